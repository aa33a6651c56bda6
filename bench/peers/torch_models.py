#!/usr/bin/env python3
"""The peer of `./run bench models --vs torch`: the same training steps in PyTorch, one at a time.

    torch_models.py rnn|lstm|gru|tiny [--threads N]

Reads commands, a line each, and answers each with a line of JSON, so that the caller can interleave its own steps:

    load FILE   takes weights and data from a safetensors file         {"ok": true, "version": "2.13.0+cpu"}
    step        does one training step, timed here                     {"ms": 21.3, "loss": 4.17}
    quit

rnn, lstm, gru: layers, hidden size, time, batch and vocabulary are those of the file's tensors: rnn.weight_ih_l0, ...,
decoder.weight, decoder.bias, inputs and targets (i32 [T, B]). Forward, mean cross entropy, backward, clipping at 5,
RMSprop (lr 2e-3, alpha 0.95); the state starts at zero. The loss is the one before the update.
tiny: x and c (both [n]); 1000 times x = tanh(x * c), then the sum, backward. No optimizer. Weights stay as they are."""
import argparse
import json
import re
import sys
import time

import torch

import tensorfile
from charlm_torch import CharLM


class Model:
    """One training step of a character model."""

    def __init__(self, cell, tensors):
        layers = 1 + max(int(re.search(r"_l(\d+)$", n)[1]) for n in tensors if n.startswith("rnn.weight_ih_l"))
        vocabulary, hidden = tensors["decoder.weight"].shape
        self.model = CharLM(cell, vocabulary, hidden, layers)
        self.model.load_state_dict({name: tensors[name] for name in self.model.state_dict()})
        self.inputs, self.targets = tensors["inputs"].long(), tensors["targets"].long()
        self.optimizer = torch.optim.RMSprop(self.model.parameters(), lr=2e-3, alpha=0.95)

    def step(self):
        logits, _ = self.model(self.inputs, None)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), self.targets.flatten())
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        return loss.item()


class Tiny:
    """2000 small operations, forward and backward."""

    def __init__(self, _, tensors):
        self.x, self.c = tensors["x"].requires_grad_(), tensors["c"]

    def step(self):
        self.x.grad = None
        y = self.x
        for _ in range(1000):
            y = torch.tanh(y * self.c)
        loss = y.sum()
        loss.backward()
        return loss.item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=["rnn", "lstm", "gru", "tiny"])
    parser.add_argument("--threads", type=int, default=1)
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    model = None
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        try:
            if command == "load":
                model = (Tiny if o.model == "tiny" else Model)(o.model, tensorfile.read(argument))
                answer = {"ok": True, "version": torch.__version__}
            elif command == "step" and model:
                began = time.perf_counter()
                loss = model.step()
                answer = {"ms": (time.perf_counter() - began) * 1e3, "loss": loss}
            elif command == "quit":
                break
            else:
                answer = {"error": f"not understood: {line.strip()}"}
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
