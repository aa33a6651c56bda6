#!/usr/bin/env python3
"""Derivatives by all parameters and inputs of imported models, against PyTorch's.

    tests/onnx_gradients.py ONNX_RUN

Modules of PyTorch are exported as a user would, without optimization, so that parameters keep their names.
all-MiniLM-L6-v2 of examples/zoo, if fetch.py got it, is evaluated node by node by PyTorch, on the weights of the file.
The loss is that of tests/onnx_run.c, which records the same file in f64 and f32.

Exit code 77, skipped, without the pip packages numpy, onnx, onnxscript and torch."""
import collections
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

warnings.filterwarnings("ignore")
try:
    import numpy
    import onnx
    import onnxscript  # which torch.onnx.export needs
    import torch
    from torch import nn
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

# Errors relative to the largest number of a gradient. One that is 0 but for rounding (of the bias of keys, for example)
# is compared with FLOOR times the largest number of all gradients.
TOLERANCE = {"f64": 1e-9, "f32": 1e-4}
FLOOR = 1e-3

ZOO = pathlib.Path(os.environ.get("WG_ZOO", pathlib.Path.home() / ".cache/wengert-zoo"))


class Recurrent(nn.Module):
    """Two bidirectional LSTMs, a GRU, and a classifier of its last state."""
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, num_layers=2, bidirectional=True)
        self.gru = nn.GRU(8, 5)
        self.out = nn.Linear(5, 3)

    def forward(self, x):
        _, last = self.gru(self.lstm(x)[0])
        return torch.log_softmax(self.out(last[0]), -1)


class Conv(nn.Module):
    """Convolutions with strides, groups, dilation and transposed, two norms, a pooling and a resize."""
    def __init__(self):
        super().__init__()
        self.first, self.batch_norm = nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4)
        self.second, self.group_norm = nn.Conv2d(4, 6, 3, groups=2, dilation=2, padding=2), nn.GroupNorm(2, 6)
        self.up, self.out = nn.ConvTranspose2d(6, 3, 2, stride=2), nn.Linear(3, 3)
        nn.init.uniform_(self.batch_norm.running_mean)
        nn.init.uniform_(self.batch_norm.running_var, 1, 2)

    def forward(self, x):
        x = nn.functional.max_pool2d(nn.functional.silu(self.batch_norm(self.first(x))), 2)
        x = nn.functional.gelu(self.group_norm(self.second(x)))
        x = nn.functional.interpolate(self.up(x), scale_factor=2, mode="bilinear")
        return self.out(x.mean((2, 3)))


def encoder():
    """Heads of 16, because the file has their scale, 16^(-1/4), as a float, and that of 4 or 8 would be rounded."""
    layer = nn.TransformerEncoderLayer(32, 2, 8, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


MODULES = [("recurrent", Recurrent, (5, 2, 3)), ("conv", Conv, (2, 2, 12, 10)), ("encoder", encoder, (2, 5, 32))]


def loss_of(outputs):
    """That of onnx_run.c."""
    weights = [torch.cos(1 + 1.7 * torch.arange(y.numel(), dtype=torch.float64)) + 0.3 for y in outputs]
    return sum((y.reshape(-1) * w).mean() for y, w in zip(outputs, weights))


def export(module, x, path):
    torch.onnx.export(module, (x,), dynamo=True, optimize=False, verbose=False).save(path)


def module_gradients(make, shape, model, inputs):
    """Writes the model and its input; returns the gradients by name."""
    torch.manual_seed(1)
    module, x = make().eval(), torch.randn(*shape)
    export(module, x, model)
    write_inputs(inputs, [x.numpy()])
    x = x.double().requires_grad_()
    loss_of([module.double()(x)]).backward()
    return {"input_0": x.grad} | {name: p.grad for name, p in module.named_parameters()}


def write_inputs(folder, arrays):
    for i, array in enumerate(arrays):
        (folder / f"input_{i}.pb").write_bytes(onnx.numpy_helper.from_array(array).SerializeToString())


# ---- the nodes of MiniLM by PyTorch ----

def cast(x, to):
    return x.to({1: torch.float64, 7: torch.int64, 9: torch.bool}[to])


def cut(x, starts, ends, axes=None, steps=None):
    for i, axis in enumerate(range(len(starts)) if axes is None else axes.tolist()):
        size = x.shape[axis]
        first, last, step = slice(int(starts[i]), int(ends[i]), int(steps[i]) if steps is not None else 1).indices(size)
        x = x.index_select(axis, torch.arange(first, last, step))
    return x


def gather_nd(x, index, batch_dims=0):
    assert batch_dims == 0
    return x[tuple(index.unbind(-1))]


def unsqueeze(x, axes):
    for axis in sorted(axes.tolist()):
        x = x.unsqueeze(axis)
    return x


OPERATORS = {
    "Add": torch.add, "And": torch.logical_and, "Cast": cast, "Div": torch.div, "Erf": torch.erf, "GatherND": gather_nd,
    "Concat": lambda *x, axis: torch.cat(x, axis),
    "Expand": lambda x, shape: x.expand(torch.broadcast_shapes(x.shape, tuple(shape.tolist()))),
    "Gather": lambda x, index, axis=0: x.index_select(axis, index.reshape(-1)).reshape(
        x.shape[:axis] + index.shape + x.shape[axis + 1:]),
    "GreaterOrEqual": torch.ge, "IsNaN": torch.isnan, "MatMul": torch.matmul, "Max": torch.maximum, "Mul": torch.mul,
    "LayerNormalization": lambda x, scale, bias, axis=-1, epsilon=1e-5, stash_type=1: nn.functional.layer_norm(
        x, x.shape[axis:], scale, bias, epsilon),
    "Range": lambda first, last, step: torch.arange(int(first), int(last), int(step)),
    "Reshape": lambda x, shape, allowzero=0: x.reshape(
        [n if n or allowzero else x.shape[i] for i, n in enumerate(shape.tolist())]),
    "Shape": lambda x, start=0, end=None: torch.tensor(x.shape[start:end]),
    "Slice": cut, "Softmax": lambda x, axis=-1: torch.softmax(x, axis),
    "Squeeze": lambda x, axes=None: x.squeeze() if axes is None else x.squeeze(tuple(axes.tolist())),
    "Transpose": lambda x, perm: x.permute(perm), "Unsqueeze": unsqueeze, "Where": torch.where,
}


def evaluate(graph, inputs):
    """All values by name, in f64; the gradients of all floats are kept."""
    values = {}

    def keep(name, x):
        values[name] = x.double() if x.is_floating_point() else x
        if values[name].requires_grad:
            values[name].retain_grad()

    for tensor in graph.initializer:
        x = torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
        keep(tensor.name, x.double().requires_grad_() if x.is_floating_point() else x)
    for value, x in zip(graph.input, inputs):
        keep(value.name, torch.from_numpy(x))
    for node in graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        keep(node.output[0], OPERATORS[node.op_type](*[values[name] for name in node.input], **attributes))
    return values


class FileGradients(collections.UserDict):
    """By name, of what a file has: a weight is an initializer, or made of integers by nodes."""
    def __init__(self, graph, values):
        super().__init__({n: x.grad if x.grad is not None else torch.zeros_like(x) for n, x in values.items()
                          if x.is_floating_point()})
        self.users = collections.defaultdict(set)
        for node in graph.node:
            for name in node.input:
                self.users[name].update(node.output)
        self.weights = [t.name for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT and t.dims]

    def missing(self, got):
        """Weights that are no parameters, nor part of one."""
        return [name for name in self.weights if name not in got and not self.users[name] <= set(got)]


def file_gradients(model, inputs):
    """The tokens of two sentences, of which the second one is shorter."""
    graph = onnx.load(model).graph
    tokens = numpy.array([[101, 1996, 4937, 25126, 102], [101, 7592, 102, 0, 0]], numpy.int64)
    arrays = [tokens, (tokens > 0).astype(numpy.int64), numpy.zeros_like(tokens)]
    write_inputs(inputs, arrays)
    values = evaluate(graph, arrays)
    loss_of([values[output.name] for output in graph.output]).backward()
    return FileGradients(graph, values)


# ---- comparison ----

def compare(program, dtype, model, folder, want):
    """What is wrong, the largest error, and how many gradients were compared."""
    command = [program, "--autograd"] + (["--f64"] if dtype == "f64" else [])
    done = subprocess.run(command, input=f"{model}\t{folder}\t0\t0\n", capture_output=True, text=True)
    if done.stdout != "passed\n":
        return [f"{done.stdout.strip()} {done.stderr[-2000:]}"], 0, 0
    got = numpy.load(folder / "gradients.npz")
    missing = want.missing(got.files) if isinstance(want, FileGradients) else sorted(want.keys() - set(got.files))
    wrong = [f"no gradient of {name}" for name in missing]
    wrong += [f"{name} is not PyTorch's" for name in got.files if name not in want]
    known = [name for name in got.files if name in want]
    most = max(float(want[name].abs().max()) for name in known)
    worst = 0
    for name in known:
        right = want[name].numpy()
        if got[name].shape != right.shape:
            wrong.append(f"{name} is {got[name].shape}, not {right.shape}")
            continue
        error = float(abs(got[name] - right).max()) / max(float(abs(right).max()), FLOOR * most)
        worst = max(worst, error)
        if not error <= TOLERANCE[dtype]:  # also NaN
            wrong.append(f"{name}: error {error:.1e}")
    return wrong, worst, len(known)


def main():
    program = sys.argv[1]
    torch.set_num_threads(1)
    failed = False
    with tempfile.TemporaryDirectory() as scratch:
        cases = [(name, lambda *paths, m=make, s=shape: module_gradients(m, s, *paths), None)
                 for name, make, shape in MODULES]
        cases += [(path.name, file_gradients, path) for path in [ZOO / "minilm.onnx"] if path.exists()]
        for name, gradients_of, path in cases:
            folder = pathlib.Path(scratch) / name
            folder.mkdir()
            model = path or folder / "model.onnx"
            want = gradients_of(model, folder)
            for dtype in "f64", "f32":
                wrong, worst, n = compare(program, dtype, model, folder, want)
                print(f"{name}, {dtype}: {n} gradients, largest error {worst:.1e}", flush=True)
                for line in wrong:
                    print(f"FAILED: {line}")
                failed |= bool(wrong)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
