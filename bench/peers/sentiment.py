#!/usr/bin/env python3
"""The text CNN of examples/sentiment.c in PyTorch: same weights to start from, same sentences, same batches.

    sentiment --pos pos.txt --neg neg.txt --model cnn --seed 1 --init-out init.safetensors --order-out order.safetensors
    sentiment.py --init init.safetensors --order order.safetensors --seed 1

The dropout masks are PyTorch's own, so that single runs differ and means over seeds can be compared."""
import argparse
import time

import torch
from torch.nn import functional

import tensorfile

WIDTHS = (3, 4, 5)


class TextCNN(torch.nn.Module):
    """Names as in sentiment's files: embedding.weight, conv3.weight, ..., head.bias."""

    def __init__(self, vocabulary, embedding, filters, dropout):
        super().__init__()
        self.embedding = torch.nn.Embedding(vocabulary, embedding, padding_idx=0)
        for width in WIDTHS:
            setattr(self, f"conv{width}", torch.nn.Conv1d(embedding, filters, width, padding=width - 1))
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(len(WIDTHS) * filters, 2)

    def forward(self, tokens, lengths):
        x, best = self.embedding(tokens).transpose(1, 2), []
        for width in WIDTHS:
            y = getattr(self, f"conv{width}")(x).relu()
            holds_word = torch.arange(y.shape[2]) < (lengths + width - 1)[:, None]
            best.append(torch.where(holds_word[:, None], y, torch.zeros(())).amax(2))
        return self.head(self.dropout(torch.cat(best, 1)))


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
    (vocabulary, embedding), filters = init["embedding.weight"].shape, init["conv3.weight"].shape[0]
    model = TextCNN(vocabulary, embedding, filters, o.dropout)
    model.load_state_dict({name: init[name] for name in model.state_dict()})
    with torch.no_grad():
        model.embedding.weight[0] = 0
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
        if since >= o.patience:
            break
    print(f"final: files_cnn={result[0]:.3f} epoch={result[1]} seconds={time.monotonic() - started:.1f}")


if __name__ == "__main__":
    main()
