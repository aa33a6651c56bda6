#!/usr/bin/env python3
"""HDF5 files of h5py and Keras: every number that h5py reads of them is compared with what the library reads.

    hdf5.py LOAD_WEIGHTS

LOAD_WEIGHTS is the program of load_weights.c. Exit code 77 (skipped) where the pip packages h5py or numpy are missing;
files of Keras only if keras and torch are there."""
import os
import subprocess
import sys
import tempfile

try:
    import h5py
    import numpy
except ImportError as error:
    print(f"skipped: {error} (pip install h5py numpy)")
    sys.exit(77)

random = numpy.random.default_rng(7)
TYPES = ["<f4", "<f8", "<f2", ">f4", ">f8", ">f2", "i1", "u1", "<i2", ">u2", "<i4", ">u4", "<i8", ">i8", "bool"]

OPTIONS = [{}, {"libver": ("earliest", "latest")}, {"libver": "latest"}, {"track_order": True}]


def numbers(shape, dtype):
    x = random.normal(0, 40, shape)
    return x > 0 if dtype == "bool" else x.clip(0, 99).astype(dtype)


def add_random(group, options):
    """Adds datasets of random shapes, types and layouts."""
    for i in range(int(random.choice([1, 3, 8, 30, 300]))):
        shape = tuple(int(n) for n in random.integers(1, 9, random.integers(0, 5)))
        kind = random.integers(0, 5 if shape and options.get("libver") != "latest" else 1)
        extra = {}
        if kind >= 1:
            extra["chunks"] = tuple(int(random.integers(1, n + 1)) for n in shape)
        if kind >= 2:
            extra.update(compression="gzip", compression_opts=int(random.integers(1, 10)))
        if kind in (3, 4):
            extra["shuffle"] = True
        if kind == 4:
            del extra["compression"], extra["compression_opts"]
        group.create_dataset(f"kernel:{i}", data=numbers(shape, TYPES[random.integers(len(TYPES))]), **extra)


def write_random(path, options):
    with h5py.File(path, "w", **options) as file:
        file.attrs["layer_names"] = numpy.array([b"lstm_1", b"dense_1"] * 100)
        names = ["model_weights", "model_weights/lstm_1/lstm_1", "model_weights/dense \u00e9", "optimizer", "a/b/c/d/e"]
        for name in names[:int(random.integers(1, len(names) + 1))]:
            group = file.require_group(name)
            add_random(group, options)
        file.create_dataset("empty", data=numpy.zeros((0, 3), "f4"))
        file.create_dataset("words", data=numpy.array([b"not", b"numbers"]))
        file.create_dataset("text", data="of any length")
        file.create_dataset("pairs", data=numpy.zeros(2, [("x", "f4"), ("y", "i4")]))
        file["soft"] = h5py.SoftLink("/empty")


def expected(file):
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiub":
            found[name] = item[()].astype("f8")
    file.visititems(visit)
    return found


def compare(program, path, folder):
    out = os.path.join(folder, "out.npz")
    subprocess.run([program, "any", path, out], check=True)
    weights = path
    if path.endswith(".keras"):
        subprocess.run(["unzip", "-qo", path, "model.weights.h5", "-d", folder], check=True)
        weights = os.path.join(folder, "model.weights.h5")
    with numpy.load(out) as ours, h5py.File(weights) as theirs:
        wanted = expected(theirs)
        assert set(ours.files) == set(wanted), (path, len(ours.files), sorted(set(ours.files) ^ set(wanted))[:5])
        for name, value in wanted.items():
            assert numpy.array_equal(ours[name], value) and ours[name].shape == value.shape, name
        return len(wanted)


def refused(program, path, reason):
    run = subprocess.run([program, "any", path, path + ".npz"], capture_output=True, text=True, check=False)
    assert run.returncode != 0 and reason in run.stderr, (path, run.stderr)


def write_refused(folder):
    """Files of which a reason is expected."""
    def file(name, **options):
        return h5py.File(os.path.join(folder, name), "w", **options)
    with file("external.h5") as f:
        f["x"] = h5py.ExternalLink("other.h5", "/x")
    with file("raw.h5") as f:
        f.create_dataset("x", (4,), "f4", external=[(os.path.join(folder, "raw"), 0, 16)])
    with file("virtual.h5", libver="latest") as f:
        layout = h5py.VirtualLayout((4,), "f4")
        layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
        f.create_virtual_dataset("x", layout)
    with file("lzf.h5") as f:
        f.create_dataset("x", data=numpy.ones(100), compression="lzf")
    with file("unwritten.h5") as f:
        f.create_dataset("x", (1000, 1000), "f4")
    with file("part.h5") as f:
        f.create_dataset("x", (40,), "f4", chunks=(10,))[:10] = 1
    with file("newer.h5", libver="latest") as f:
        f.create_dataset("x", data=numpy.ones(40), chunks=(10,))
    with file("checked.h5", libver=("v108", "v108")) as f:  # the shortest entry of a list of filters
        f.create_dataset("x", data=numpy.ones(40), chunks=(10,), fletcher32=True)
    with file("block.h5", userblock_size=512) as f:
        f["x"] = 1.0
    return {"external.h5": "leads to another file", "raw.h5": "in other files", "virtual.h5": "virtual",
            "lzf.h5": "filter 32000", "unwritten.h5": "never written", "part.h5": "never written",
            "newer.h5": "libver", "checked.h5": "filter 3 of HDF5"}


def keras_files(folder):
    """What Keras itself writes."""
    os.environ["KERAS_BACKEND"] = "torch"
    try:
        import keras
        import torch  # noqa: F401
    except ImportError as error:
        print(f"without Keras: {error}")
        return []
    model = keras.Sequential([keras.layers.Input((5, 3)), keras.layers.LSTM(4, return_sequences=True),
                              keras.layers.GRU(3), keras.layers.BatchNormalization(), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    model.fit(numpy.ones((4, 5, 3)), numpy.ones((4, 2)), verbose=0)
    paths = [os.path.join(folder, name) for name in ("model.keras", "model.h5", "only.weights.h5")]
    model.save(paths[0])
    model.save(paths[1])
    model.save_weights(paths[2])
    return paths


def main():
    program, total = sys.argv[1], 0
    with tempfile.TemporaryDirectory() as folder:
        for i in range(30):
            path = os.path.join(folder, f"random{i}.h5")
            write_random(path, OPTIONS[i % len(OPTIONS)])
            total += compare(program, path, folder)
        for path in keras_files(folder):
            total += compare(program, path, folder)
        for name, reason in write_refused(folder).items():
            refused(program, os.path.join(folder, name), reason)
    print(f"{total} datasets are equal")


if __name__ == "__main__":
    main()
