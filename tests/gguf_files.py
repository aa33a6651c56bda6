#!/usr/bin/env python3
"""GGUF files: every number that the package gguf decodes of them is compared, bit for bit, with what the library reads.

    gguf_files.py LOAD_WEIGHTS

LOAD_WEIGHTS is the program of load_weights.c. Exit code 77 (skipped) where the pip packages gguf or numpy are missing."""
import os
import subprocess
import sys
import tempfile

try:
    import gguf
    import numpy
except ImportError as error:
    print(f"skipped: {error} (pip install gguf numpy)")
    sys.exit(77)

random = numpy.random.default_rng(5)
PLAIN = ["f4", "f8", "f2", "i1", "i2", "i4", "i8"]
# Where a block has numbers in f16, which random bits would make NaN.
QUANTIZED = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q4_K": [0, 2], "Q5_K": [0, 2],
             "Q6_K": [208]}


def shape(last):
    return tuple(int(n) for n in random.integers(1, 5, random.integers(0, 4))) + (last,)


def add_random(writer, wanted):
    """Adds tensors of random types and shapes; wanted[name] is what they hold."""
    for i in range(int(random.integers(1, 40))):
        name = f"blk.{i}.weight"
        if random.integers(2):
            values = random.normal(0, 40, shape(int(random.integers(1, 9)))).clip(-99, 99)
            wanted[name] = values.astype(PLAIN[random.integers(len(PLAIN))])
            writer.add_tensor(name, wanted[name])
            continue
        kind = list(QUANTIZED)[random.integers(len(QUANTIZED))]
        number = gguf.GGMLQuantizationType[kind]
        block, size = gguf.GGML_QUANT_SIZES[number]
        blocks = random.integers(0, 256, shape(int(random.integers(1, 4))) + (size,)).astype("u1")
        for at in QUANTIZED[kind]:
            scale = random.normal(0, 1, blocks.shape[:-1] + (1,)).astype("<f2")
            blocks[..., at:at + 2] = scale.view("u1").reshape(blocks.shape[:-1] + (2,))
        packed = blocks.reshape(blocks.shape[:-2] + (-1,))
        wanted[name] = gguf.quants.dequantize(packed, number)
        writer.add_tensor(name, packed, raw_dtype=number)


def write(path, wanted, alignment):
    writer = gguf.GGUFWriter(path, "llama")
    if alignment:
        writer.add_custom_alignment(alignment)
    writer.add_array("tokenizer.ggml.tokens", [f"token {i}" for i in range(3000)])
    writer.add_uint64("big", 2 ** 64 - 1)
    add_random(writer, wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    program, numbers = sys.argv[1], 0
    with tempfile.TemporaryDirectory() as folder:
        path, out = os.path.join(folder, "x.gguf"), os.path.join(folder, "x.npz")
        for i in range(60):
            wanted = {}
            write(path, wanted, [0, 8, 64, 4096][i % 4])
            subprocess.run([program, "any", path, out], check=True)
            with numpy.load(out) as ours:
                assert set(ours.files) == set(wanted), sorted(set(ours.files) ^ set(wanted))
                for name, value in wanted.items():
                    assert ours[name].shape == value.shape and numpy.array_equal(ours[name], value.astype("f8")), name
                    numbers += value.size
    print(f"{numbers} numbers of 60 files are those of the package gguf")


main()
