#!/usr/bin/env python3
"""The training run of examples/charlm.c in PyTorch, on the same data in the same order.

    charlm_torch.py --data FILE --cell lstm [--save-init init.safetensors] [--losses losses.txt]

Vocabulary: the file's bytes, sorted. Training text: the first 90 %, cut into B streams of equal length; step s takes
positions [s T, s T + T) of each and predicts the next byte; at the end of the streams it starts over with state zero.
Otherwise the state is carried from step to step. Validation: the rest, the same way, all whole windows. --load-init
reads initial weights from a file, so that both programs start from the same values."""
import argparse
import math
import time

import torch

import tensorfile


def options():
    p = argparse.ArgumentParser()
    p.add_argument("--data", required=True)
    p.add_argument("--cell", choices=["rnn", "lstm", "gru"], default="lstm")
    for name, value in {"layers": 2, "hidden": 128, "batch": 50, "unroll": 50, "steps": 1000, "seed": 1, "threads": 1}.items():
        p.add_argument("--" + name, type=int, default=value)
    for name, value in {"lr": 2e-3, "decay": 0.95, "clip": 5.0}.items():
        p.add_argument("--" + name, type=float, default=value)
    p.add_argument("--save-init", metavar="FILE", help="write the initial weights")
    p.add_argument("--load-init", metavar="FILE", help="start from these weights")
    p.add_argument("--losses", metavar="FILE", help="write the training loss of every step")
    return p.parse_args()


class CharLM(torch.nn.Module):
    """Parameter names are those of charlm's files: rnn.weight_ih_l0, ..., decoder.weight, decoder.bias."""

    def __init__(self, cell, vocabulary, hidden, layers):
        super().__init__()
        kind = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell]
        self.vocabulary = vocabulary
        self.rnn = kind(vocabulary, hidden, layers)
        self.decoder = torch.nn.Linear(hidden, vocabulary)

    def forward(self, inputs, state):
        """inputs [T, B] -> logits [T, B, vocabulary], new state."""
        one_hot = torch.nn.functional.one_hot(inputs, self.vocabulary).to(self.decoder.weight.dtype)
        h, state = self.rnn(one_hot, state)
        return self.decoder(h), state


def detached(state):
    return tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()


def streams(text, batch):
    """[B, L]: B pieces of equal length."""
    length = len(text) // batch
    return text[: batch * length].reshape(batch, length)


def window_loss(model, text, start, unroll, state):
    """The mean loss over the window at start, and the state after it."""
    inputs, targets = (text[:, start + k : start + k + unroll].T for k in (0, 1))
    logits, state = model(inputs, state)
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()), state


def validate(model, text, unroll):
    state, losses = None, []
    with torch.no_grad():
        for start in range(0, text.shape[1] - unroll, unroll):
            loss, state = window_loss(model, text, start, unroll, state)
            losses.append(loss.item())
    return sum(losses) / len(losses)


def main():
    o = options()
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    with open(o.data, "rb") as file:
        raw = file.read()
    index = {byte: i for i, byte in enumerate(sorted(set(raw)))}
    text = torch.tensor([index[byte] for byte in raw])
    cut = len(text) * 9 // 10
    train, valid = streams(text[:cut], o.batch), streams(text[cut:], o.batch)
    model = CharLM(o.cell, len(index), o.hidden, o.layers)
    if o.load_init:
        tensors = tensorfile.read(o.load_init)
        model.load_state_dict({name: tensors[name] for name in model.state_dict()})
    if o.save_init:
        tensorfile.write(o.save_init, model.state_dict())
    optimizer = torch.optim.RMSprop(model.parameters(), lr=o.lr, alpha=o.decay)
    start, state, losses, began = 0, None, [], time.perf_counter()
    for _ in range(o.steps):
        if start + o.unroll + 1 > train.shape[1]:
            start, state = 0, None
        loss, state = window_loss(model, train, start, o.unroll, state)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), o.clip)
        optimizer.step()
        state, start = detached(state), start + o.unroll
        losses.append(loss.item())
    seconds = time.perf_counter() - began
    if o.losses:
        with open(o.losses, "w") as file:
            file.writelines(f"{loss:.8f}\n" for loss in losses)
    val = validate(model, valid, o.unroll)
    last = losses[-100:]
    print(f"final: training loss {sum(last) / max(1, len(last)):.4f} nats, validation loss {val:.4f} nats, "
          f"bits per character {val / math.log(2):.4f}, "
          f"speed {o.steps * o.batch * o.unroll / seconds:.0f} characters/s, "
          f"parameters {sum(p.numel() for p in model.parameters())}")


if __name__ == "__main__":
    main()
