#!/usr/bin/env python3
"""Writes the files of this folder, which tests/test_pt.c, test_npy.c, test_hdf5.c and test_gguf.c read: by PyTorch 2.13,
NumPy 2.4, h5py 3.16 and gguf 0.19. Element i of a tensor that holds n of them before it is (n + i) / 8, so that the test knows all values."""
import pathlib
import zipfile

import gguf
import h5py
import numpy
import torch

HERE = pathlib.Path(__file__).parent


def numbered(state):
    """The same dict with values that count through it."""
    n = 0
    for tensor in state.values():
        tensor.copy_(torch.arange(n, n + tensor.numel()).reshape(tensor.shape) / 8)
        n += tensor.numel()
    return state


def count(*shape):
    return torch.arange(float(torch.Size(shape).numel())).reshape(shape) / 8


torch.save(numbered(torch.nn.LSTM(2, 3).state_dict()), HERE / "lstm.pt")

x = count(3, 4)
torch.save({"transposed": x.t(), "column": x[:, 1], "row": x[1], "all": x, "again": x, "every_other": x[::2, 1::2],
            "expanded": x[0, :2].expand(3, 2), "scalar": torch.tensor(0.5), "empty": torch.zeros(0, 3)},
           HERE / "strided.pt")
torch.save({"f64": count(3).double(), "f16": count(3).half(), "bf16": count(3).bfloat16(),
            "i64": torch.tensor([1, -2, 3]), "i32": torch.tensor([1, -2, 3], dtype=torch.int32),
            "i16": torch.tensor([1, -2, 3], dtype=torch.int16), "i8": torch.tensor([1, -2, 3], dtype=torch.int8),
            "u8": torch.tensor([1, 2, 3], dtype=torch.uint8), "bool": torch.tensor([True, False, True])},
           HERE / "types.pt")

linear = torch.nn.Linear(3, 2)
adam = torch.optim.Adam(linear.parameters())
linear(torch.ones(1, 3)).sum().backward()
adam.step()
with torch.no_grad():
    numbered(linear.state_dict())
torch.save({"epoch": 3, "loss": 0.1, "note": None, "done": False, "large": 2**70, "state_dict": linear.state_dict(),
            "optimizer": adam.state_dict(), "parameters": dict(linear.named_parameters()), "list": [1, (x, x[0])]},
           HERE / "checkpoint.pt")
torch.save(x, HERE / "tensor.pt")
# What PyTorch wrote before 1.6.
torch.save({"t": x.t(), "list": [x, x[1].double()], "empty": torch.zeros(0, 3)}, HERE / "old.pt",
           _use_new_zipfile_serialization=False)
torch.save(torch.nn.Linear(1, 1), HERE / "module.pt")

y = x.numpy()
numpy.savez(HERE / "arrays.npz", c=y, fortran=numpy.asfortranarray(y), big=y.astype(">f8"), half=y.astype("f2"),
            scalar=numpy.float64(0.5), empty=numpy.zeros((0, 3), "f4"), i64=numpy.array([1, -2, 3]),
            fortran_big=numpy.asfortranarray(y.reshape(3, 2, 2).astype(">i4")))
numpy.savez_compressed(HERE / "deflated.npz", c=y, zeros=numpy.zeros((100, 200), "f4"))
numpy.save(HERE / "strings.npy", numpy.array(["a", "b"]))

# A .pt that the fuzzer can hold: without padding.
with zipfile.ZipFile(HERE / "small.pt", "w") as small:
    torch.save({"a": x.t(), "b": [x]}, HERE / "padded.pt")
    with zipfile.ZipFile(HERE / "padded.pt") as padded:
        for name in ("data.pkl", "data/0"):
            small.writestr(zipfile.ZipInfo("a/" + name), padded.read("padded/" + name))
(HERE / "padded.pt").unlink()

# HDF5: a symbol table and chunks (what h5py wrote before 3.16), links in headers, links in a heap; a .keras around one.
def write_hdf5(name, write, **options):
    with h5py.File(HERE / name, "w", **options) as file:
        write(file)


def write_symbols(file):
    group = file.create_group("model_weights/lstm_1")
    group.create_dataset("kernel:0", data=y)
    group.create_dataset("big", data=y[0].astype(">f8"))
    group.create_dataset("flags", data=y[0] > 0.1)
    file["soft"] = h5py.SoftLink("/model_weights/lstm_1/big")
    file["words"] = numpy.array([b"no", b"numbers"])


def write_chunks(file):
    file.create_dataset("c", data=y, chunks=(2, 3), compression="gzip", shuffle=True)
    file.create_dataset("plain", data=y.astype("f2"), chunks=(3, 1))


def write_links(file):
    file["layers/dense/vars/0"] = y
    file["layers/dense/vars/1"] = y[0].astype("i8")
    file["empty"] = numpy.zeros((0, 3), "f4")


def write_heap(file):
    for i in range(10):
        file[f"w{i}"] = numpy.float32(i / 8)


write_hdf5("symbols.h5", write_symbols, libver=("earliest", "v108"))
write_hdf5("chunks.h5", write_chunks, libver=("earliest", "v108"))
write_hdf5("links.h5", write_links, libver=("v108", "v108"))
write_hdf5("heap.h5", write_heap, libver=("v108", "v108"))
with zipfile.ZipFile(HERE / "model.keras", "w") as keras:
    keras.writestr(zipfile.ZipInfo("config.json"), "{}")
    keras.writestr(zipfile.ZipInfo("model.weights.h5"), (HERE / "links.h5").read_bytes())

# GGUF: random bits of each quantized type, beside what the package gguf decodes them to.
writer = gguf.GGUFWriter(HERE / "small.gguf", "test")
writer.add_string("general.name", "eighths")
writer.add_int32("test.below", -5)
writer.add_float32("test.quarter", 0.25)
writer.add_bool("test.yes", True)
writer.add_array("test.words", ["one", "two"])
writer.add_array("test.numbers", [1, 2, 3])
for name, dtype in ("f32", "f4"), ("f64", "f8"), ("f16", "f2"), ("i8", "i1"), ("i16", "i2"), ("i32", "i4"), ("i64", "i8"):
    values = numpy.arange(12).reshape(3, 4)
    writer.add_tensor(name, (values / 8 if dtype[0] == "f" else values).astype(dtype))
random = numpy.random.default_rng(1)
for name in "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K":
    kind = gguf.GGMLQuantizationType[name]
    block, size = gguf.GGML_QUANT_SIZES[kind]
    rows = 2 if block == 32 else 1
    packed = random.integers(0, 256, (rows, size)).astype("u1")
    scales = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2],
              "Q6_K": [208]}[name]
    for at in scales:
        packed[:, at:at + 2] = random.normal(0, 1, (rows, 1)).astype("<f2").view("u1")
    writer.add_tensor(name, packed, raw_dtype=kind)
    writer.add_tensor(name + ".f32", gguf.quants.dequantize(packed, kind))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
