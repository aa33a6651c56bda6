#!/usr/bin/env python3
"""The peer of `./run bench models --vs torch`: the same steps in PyTorch, one at a time.

    torch_models.py MODEL [--threads N] [--compile]

Reads commands, a line each, and answers each with a line of JSON, so that the caller can interleave its own steps:

    load FILE   takes weights and data from a safetensors file         {"ok": true, "version": "2.13.0+cpu"}
    step        does one step, timed here                              {"ms": 21.3, "loss": 4.17}
    memory      resident memory at most since then, over idle          {"bytes": 1234}
    quit

The models are in torch_rows.py; sizes are those of the file's tensors. With --compile the loss is compiled
(torch.compile)."""
import argparse
import ctypes
import gc
import json
import sys
import time

import torch

import tensorfile
import torch_rows


def process_bytes(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))


def release():
    """Gives freed memory back; from now on VmHWM is the most since now."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def warm():
    """Uses the libraries once, optimizers and what they import too, so that code does not count as a model's memory."""
    conv, lstm = torch.nn.Conv2d(4, 4, 3), torch.nn.LSTM(144, 4)
    y = lstm(conv(torch.randn(2, 4, 8, 8)).flatten(1)[None])[0]
    torch.nn.functional.cross_entropy(y[0] @ torch.randn(4, 4), torch.tensor([0, 1])).backward()
    parameters = [*conv.parameters(), *lstm.parameters()]
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    for optimizer in [torch.optim.RMSprop, torch.optim.SGD, torch.optim.AdamW]:
        optimizer(parameters, lr=0.0).step()


class Model:
    def __init__(self, name, path, compiled):
        self.row = torch_rows.ROWS[name](tensorfile.read(path))
        self.loss = torch.compile(self.row.loss) if compiled else self.row.loss

    def step(self):
        row = self.row
        if not row.parameters:
            with torch.no_grad():
                return float(self.loss())
        loss = self.loss()
        for p in row.parameters:
            p.grad = None
        loss.backward()
        if row.clip:
            torch.nn.utils.clip_grad_norm_(row.parameters, row.clip)
        if row.optimizer:
            row.optimizer.step()
        return loss.item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    name = o.model.partition(":")[0]
    warm()
    release()
    idle, model = process_bytes("VmRSS:"), None
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        try:
            if command == "load":
                model = Model(name, argument, o.compile)
                release()
                answer = {"ok": True, "version": torch.__version__}
            elif command == "step" and model:
                began = time.perf_counter()
                loss = model.step()
                answer = {"ms": (time.perf_counter() - began) * 1e3, "loss": loss}
            elif command == "memory":
                answer = {"bytes": process_bytes("VmHWM:") - idle}
            elif command == "quit":
                break
            else:
                answer = {"error": f"not understood: {line.strip()}"}
        except Exception as error:  # whatever it is, the caller is told
            text = f"{type(error).__name__}: {error}".partition("\n")[0].replace('"', "'")
            answer = {"error": text[:180]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
