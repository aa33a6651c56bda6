#!/usr/bin/env python3
"""The training run of examples/digits.c in PyTorch, from the same weights, with the same batches.

    digits --images I --labels L --seed 1 --init-out init.safetensors --order-out order.txt
    digits_torch.py --images I --labels L --seed 1 --load-init init.safetensors --order order.txt

The last --test pictures are kept back; each line of the order is a minibatch, by the numbers of its pictures. With
--dropout 0 the two programs differ by rounding only; otherwise their dropout masks differ."""
import argparse
import gzip
import struct
import time

import torch
from torch.nn.functional import cross_entropy, max_pool2d, relu

import tensorfile


def options():
    p = argparse.ArgumentParser()
    for name in ["images", "labels", "load-init", "order"]:
        p.add_argument("--" + name, required=True, metavar="FILE")
    p.add_argument("--model", choices=["convnet", "mlp"], default="convnet")
    for name, value in {"test": 1000, "seed": 1, "threads": 1}.items():
        p.add_argument("--" + name, type=int, default=value)
    for name, value in {"dropout": 0.5, "lr": 1e-2, "momentum": 0.9}.items():
        p.add_argument("--" + name, type=float, default=value)
    return p.parse_args()


def read_idx(path):
    """Reads a file of bytes as a tensor."""
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
        raw = file.read()
    shape = struct.unpack(f">{raw[3]}I", raw[4 : 4 + 4 * raw[3]])
    return torch.frombuffer(bytearray(raw[4 + 4 * raw[3] :]), dtype=torch.uint8).reshape(shape)


class Net(torch.nn.Module):
    """Parameter names are those of digits' files; shapes are those of the initial weights."""

    def __init__(self, weights, dropout):
        super().__init__()
        self.convolves = "conv_1.weight" in weights
        if self.convolves:
            n1, n2 = weights["conv_1.weight"].shape[0], weights["conv_2.weight"].shape[0]
            self.conv_1, self.conv_2 = torch.nn.Conv2d(1, n1, 5), torch.nn.Conv2d(n1, n2, 5)
        n3, flat = weights["fc_3.weight"].shape
        self.fc_3, self.fc_4 = torch.nn.Linear(flat, n3), torch.nn.Linear(n3, 10)
        self.dropout = torch.nn.Dropout(dropout)
        self.load_state_dict(weights)

    def forward(self, x):
        if self.convolves:
            x = max_pool2d(self.conv_1(x), 2)
            x = max_pool2d(self.conv_2(x), 2)
        return self.fc_4(self.dropout(relu(self.fc_3(x.flatten(1)))))


def main():
    o = options()
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    images, labels = read_idx(o.images).float().unsqueeze(1) / 255, read_idx(o.labels).long()
    kept = len(images) - o.test
    with open(o.order, encoding="ascii") as file:
        order = [torch.tensor([int(n) for n in line.split()]) for line in file]
    net = Net(tensorfile.read(o.load_init), o.dropout)
    optimizer = torch.optim.SGD(net.parameters(), lr=o.lr, momentum=o.momentum)
    per_epoch = -(-kept // max(len(batch) for batch in order))
    seconds, accuracy = 0, 0
    for epoch in range(len(order) // per_epoch):
        net.train()
        total, started = 0, time.perf_counter()
        for batch in order[epoch * per_epoch : (epoch + 1) * per_epoch]:
            loss = cross_entropy(net(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        seconds += time.perf_counter() - started
        net.eval()
        with torch.no_grad():
            right = (net(images[kept:]).argmax(-1) == labels[kept:]).sum().item()
        accuracy = 100 * right / o.test
        print(f"epoch {epoch + 1}: training loss {total / per_epoch:.4f}, accuracy {accuracy:.2f} %", flush=True)
    print(f"final: accuracy {accuracy:.2f} %, parameters {sum(p.numel() for p in net.parameters())}, "
          f"steps {len(order)}, time {seconds:.1f} s")


if __name__ == "__main__":
    main()
