#!/usr/bin/env python3
"""Modules that PyTorch saved load as they are, and NumPy reads what is written: every value is compared.

    pytorch.py LOAD_WEIGHTS

LOAD_WEIGHTS is the program of load_weights.c. Exit code 77 (skipped) where the pip packages torch or numpy are missing."""
import os
import subprocess
import sys
import tempfile

try:
    import numpy
    import torch
    from torch import nn
except ImportError as error:
    print(f"skipped: {error} (pip install torch numpy)")
    sys.exit(77)

# Layers of load_weights.c: the module of the same names and sizes.
LAYERS = {
    "rnn_tanh": nn.RNN(3, 4), "rnn_both": nn.RNN(3, 4, bidirectional=True), "lstm": nn.LSTM(3, 4),
    "lstm_deep": nn.LSTM(3, 4, 2, bidirectional=True), "lstm_plain": nn.LSTM(3, 4, bias=False), "gru": nn.GRU(3, 4),
    "gru_deep": nn.GRU(3, 4, 3), "linear": nn.Linear(3, 4), "linear_plain": nn.Linear(3, 4, bias=False),
    "conv1d": nn.Conv1d(3, 4, 5), "conv2d": nn.Conv2d(3, 4, (3, 2)), "conv3d": nn.Conv3d(3, 4, 2),
    "conv_transpose2d": nn.ConvTranspose2d(3, 4, (3, 2)), "embedding": nn.Embedding(7, 3), "layer_norm": nn.LayerNorm(5),
    "rms_norm": nn.RMSNorm(5), "batch_norm": nn.BatchNorm2d(5), "mha": nn.MultiheadAttention(8, 2),
    "mha_sizes": nn.MultiheadAttention(8, 2, kdim=6, vdim=5),
    "encoder_layer": nn.TransformerEncoderLayer(8, 2, 16), "decoder_layer": nn.TransformerDecoderLayer(8, 2, 16),
    "transformer": nn.Transformer(8, 2, 2, 1, 16),
}
# Others, whose tensors are read without a layer.
MODULES = [
    nn.LSTM(3, 4, proj_size=2), nn.LSTMCell(3, 4), nn.GRUCell(3, 4), nn.Bilinear(2, 3, 4), nn.PReLU(5),
    nn.GroupNorm(2, 4), nn.InstanceNorm1d(3, affine=True, track_running_stats=True), nn.EmbeddingBag(7, 3),
    nn.Linear(3, 4).to(torch.float64), nn.Linear(3, 4).to(torch.bfloat16), nn.Linear(3, 4).to(torch.float16),
    nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Linear(2, 2)),
    nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last),
]


def load(program, layer, path, out):
    done = subprocess.run([program, layer, path, out], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{layer}: {done.stderr}"
    with numpy.load(out) as arrays:
        return {name: arrays[name] for name in arrays}


def compare(what, state, arrays):
    assert set(state) == set(arrays), f"{what}: {set(state) ^ set(arrays)}"
    for name, tensor in state.items():
        wanted = tensor.detach().double().numpy()
        assert wanted.shape == arrays[name].shape, f"{what}: {name} is {arrays[name].shape}, not {wanted.shape}"
        assert (wanted == arrays[name]).all(), f"{what}: {name} has other values"
    return len(state)


def main():
    program = sys.argv[1]
    compared = 0
    with tempfile.TemporaryDirectory() as folder:
        path, out = os.path.join(folder, "a.pt"), os.path.join(folder, "a.npz")
        for name, module in LAYERS.items():
            if name == "batch_norm":
                module(torch.randn(4, 5, 2, 2))  # it counts the batch
            for parameter in module.parameters():
                nn.init.normal_(parameter)  # biases, too
            torch.save(module.state_dict(), path)
            compared += compare(name, module.state_dict(), load(program, name, path, out))
        for module in MODULES:
            torch.save(module.state_dict(), path)
            compared += compare(str(module), module.state_dict(), load(program, "any", path, out))
            torch.save(module.state_dict(), path, _use_new_zipfile_serialization=False)  # as before PyTorch 1.6
            compared += compare(f"old {module}", module.state_dict(), load(program, "any", path, out))
        for module in [nn.Linear(3, 4), nn.LSTM(2, 3)]:  # parameters instead of tensors; more than 256 memo numbers
            state = {f"{i}.{name}": p for i in range(40) for name, p in module.named_parameters()}
            torch.save(state, path)
            compared += compare("parameters", state, load(program, "any", path, out))
        arrays = {f"a{rank}": numpy.random.randn(*range(1, rank + 1)) for rank in range(6)}
        for save in (numpy.savez, numpy.savez_compressed):
            save(os.path.join(folder, "b.npz"), **{name: numpy.asfortranarray(a) for name, a in arrays.items()})
            got = load(program, "any", os.path.join(folder, "b.npz"), out)
            assert all((got[name] == a).all() for name, a in arrays.items())
    print(f"{len(LAYERS)} layers and {len(MODULES) + 2} modules, {compared} tensors")


if __name__ == "__main__":
    main()
