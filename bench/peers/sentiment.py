#!/usr/bin/env python3
"""The models of examples/sentiment.c in PyTorch: the same initial weights, sentences and batches.

    sentiment --pos pos.txt --neg neg.txt --model bow --seed 1 --init-out init.safetensors --order-out order.safetensors
    sentiment.py --init init.safetensors --order order.safetensors --seed 1

Which model it is, is seen from the weights. The dropout masks are PyTorch's own, so that single runs differ and means
over seeds can be compared; with --dropout 0 in both the losses are equal."""
import argparse
import time

import torch
from torch.nn import functional

import tensorfile

WIDTHS = (3, 4, 5)


class BagOfWords(torch.nn.Module):
    """Parameter names are those of sentiment's files: bag.weight, ..., head.bias."""

    def __init__(self, init, dropout):
        super().__init__()
        hidden, self.vocabulary = init["bag.weight"].shape
        self.bag = torch.nn.Linear(self.vocabulary, hidden)
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(hidden, 2)

    def forward(self, tokens, lengths):
        present = torch.zeros(len(tokens), self.vocabulary).scatter_(1, tokens, 1)
        present[:, 0] = 0  # padding
        return self.head(self.dropout(self.bag(present).relu()))


class TextCNN(torch.nn.Module):
    def __init__(self, init, dropout):
        super().__init__()
        filters, size, _ = init["conv3.weight"].shape
        self.embedding = torch.nn.Embedding(*init["embedding.weight"].shape, padding_idx=0)
        for width in WIDTHS:
            setattr(self, f"conv{width}", torch.nn.Conv1d(size, filters, width, padding=width - 1))
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(len(WIDTHS) * filters, 2)

    def forward(self, tokens, lengths):
        x, best = self.embedding(tokens).transpose(1, 2), []
        for width in WIDTHS:
            y = getattr(self, f"conv{width}")(x).relu()
            holds_word = torch.arange(y.shape[2]) < (lengths + width - 1)[:, None]
            best.append(torch.where(holds_word[:, None], y, torch.zeros(())).amax(2))
        return self.head(self.dropout(torch.cat(best, 1)))


class LastState(torch.nn.Module):
    """Elman or LSTM, one layer or two: the top layer's state after the last word."""

    def __init__(self, init, dropout):
        super().__init__()
        rows, size = init["rnn.weight_ih_l0"].shape
        hidden, layers = init["rnn.weight_hh_l0"].shape[1], 1 + ("rnn.weight_ih_l1" in init)
        cells = torch.nn.LSTM if rows == 4 * hidden else torch.nn.RNN
        self.embedding = torch.nn.Embedding(*init["embedding.weight"].shape, padding_idx=0)
        self.rnn = cells(size, hidden, layers, dropout=dropout if layers > 1 else 0, batch_first=True)
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(hidden, 2)

    def forward(self, tokens, lengths):
        x = self.embedding(tokens)
        x = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        state = self.rnn(x)[1]
        h = state[0] if isinstance(state, tuple) else state
        return self.head(self.dropout(h[-1]))


def model_of(init, dropout):
    """Returns the model that these weights belong to, and its name."""
    if "bag.weight" in init:
        name, model = "bow", BagOfWords(init, dropout)
    elif "conv3.weight" in init:
        name, model = "cnn", TextCNN(init, dropout)
    else:
        model = LastState(init, dropout)
        name = "rnn" if model.rnn.mode == "RNN_TANH" else "lstm" if model.rnn.num_layers == 1 else "lstm2"
    model.load_state_dict({key: init[key] for key in model.state_dict()})
    if name != "bow":
        with torch.no_grad():
            model.embedding.weight[0] = 0
    return name, model


def batch(data, samples):
    lengths = data["lengths"][samples]
    return data["tokens"][samples, : lengths.max()].long(), lengths, data["labels"][samples].long()


def accuracy(model, data, first, last, size):
    model.eval()
    right = 0
    with torch.no_grad():
        for i in range(first, last, size):
            tokens, lengths, labels = batch(data, torch.arange(i, min(i + size, last)))
            right += (model(tokens, lengths).argmax(1) == labels).sum().item()
    model.train()
    return right / (last - first)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--init", required=True, metavar="FILE")
    p.add_argument("--order", required=True, metavar="FILE")
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--dropout", type=float, default=0.5)
    p.add_argument("--epochs", type=int, default=12)
    p.add_argument("--patience", type=int, default=4)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--steps", type=int, help="stop here and print the loss of every step")
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)

    init, data = tensorfile.read(o.init), tensorfile.read(o.order)
    name, model = model_of(init, o.dropout)
    optimizer = torch.optim.Adam(model.parameters(), lr=o.lr)

    n, size = data["tokens"].shape[0], data["order"].shape[1]
    train, held = data["parts"].tolist()
    batches = (train + size - 1) // size
    best, result, since, started = -1.0, None, 0, time.monotonic()
    for epoch in range(o.epochs):
        for step in range(epoch * batches, (epoch + 1) * batches):
            samples = data["order"][step]
            tokens, lengths, labels = batch(data, samples[samples >= 0].long())
            loss = functional.cross_entropy(model(tokens, lengths), labels)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5)
            optimizer.step()
            if o.steps is not None:
                print(f"{loss.item():.7g}")
                if step + 1 == o.steps:
                    return
        chosen = accuracy(model, data, train, n - held, size)
        since += 1
        if chosen > best:
            best, since, result = chosen, 0, (accuracy(model, data, n - held, n, size), epoch + 1)
        if since >= o.patience or best == 1:
            break
    print(f"final: files {name} {result[0]:.3f}, epoch {result[1]}, time {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main()
