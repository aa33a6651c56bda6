#!/usr/bin/env python3
"""The peer of `./run bench models --vs torch`: the same steps in PyTorch, one at a time (process.py).

    torch_models.py MODEL [--threads N] [--compile] [--bf16]

The models are in torch_rows.py; sizes come from the file's tensors. --compile uses torch.compile for the loss,
--bf16 torch.autocast."""
import argparse

import torch

import process
import tensorfile
import torch_rows


def warm_up():
    """Uses the libraries once, with optimizers and their imports, so that code does not count as a model's memory."""
    conv, lstm = torch.nn.Conv2d(4, 4, 3), torch.nn.LSTM(144, 4)
    y = lstm(conv(torch.randn(2, 4, 8, 8)).flatten(1)[None])[0]
    torch.nn.functional.cross_entropy(y[0] @ torch.randn(4, 4), torch.tensor([0, 1])).backward()
    parameters = [*conv.parameters(), *lstm.parameters()]
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    for optimizer in [torch.optim.RMSprop, torch.optim.SGD, torch.optim.AdamW]:
        optimizer(parameters, lr=0.0).step()


def stepper(row, loss_of):
    def generate():
        with torch.no_grad():
            return float(loss_of())

    def train():
        loss = loss_of()
        for p in row.parameters:
            p.grad = None
        loss.backward()
        if row.clip:
            torch.nn.utils.clip_grad_norm_(row.parameters, row.clip)
        if row.optimizer:
            row.optimizer.step()
        return loss.item()

    return train if row.parameters else generate


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--bf16", action="store_true")
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    warm_up()

    def load(path):
        row = torch_rows.ROWS[o.model.partition(":")[0]](tensorfile.read(path))
        loss = torch.compile(row.loss) if o.compile else row.loss
        return stepper(row, torch.autocast("cpu", torch.bfloat16)(loss) if o.bf16 else loss)

    process.serve(torch.__version__, load)


if __name__ == "__main__":
    main()
