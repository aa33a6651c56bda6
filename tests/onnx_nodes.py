#!/usr/bin/env python3
"""The node tests of the ONNX project, run by tests/onnx_run.c: a table per operator of passed, refused and failed ones.

    tests/onnx_nodes.py PROGRAM [--pip] [--folder FOLDER]... [--only WORD] [-v] [--f64 | --gradients | --faults]

--pip: what the pip package onnx generates. --folder: tests as files, such as /usr/share/libonnx-testdata/data/node.
-v prints the reason of each test that did not pass. Fails if a test failed, or if the program crashed. Exit code 77,
skipped, without the pip package onnx."""
import argparse
import collections
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

# Tests whose expected numbers are drawn at random, by another generator than ours.
RANDOM = ("bernoulli", "training_dropout", "randomnormal", "randomuniform")


def from_pip(folder):
    """Writes the generated tests to files; yields (name, operators, model, folder of data, rtol, atol)."""
    warnings.filterwarnings("ignore")
    import numpy as np
    import onnx
    from onnx import numpy_helper
    from onnx.backend.test.case.node import collect_testcases

    def write(path, value, proto):
        if proto is not None and isinstance(value, np.ndarray) or np.isscalar(value):
            path.write_bytes(numpy_helper.from_array(np.asarray(value)).SerializeToString())
        elif isinstance(value, onnx.TensorProto):
            path.write_bytes(value.SerializeToString())

    for case in collect_testcases(None):
        where = folder / case.name
        (where / "data").mkdir(parents=True)
        onnx.save(case.model, where / "model.onnx")
        inputs, outputs = case.data_sets[0]
        for kind, values in ("input", inputs), ("output", outputs):
            for i, value in enumerate(values):
                write(where / "data" / f"{kind}_{i}.pb", value, True)
        yield case.name, ops_of(case.model), where / "model.onnx", where / "data", case.rtol, case.atol


def ops_of(model):
    return [n.op_type for n in model.graph.node]


def from_folder(folder):
    """Yields the same of tests that are files."""
    import onnx
    for model in sorted(folder.glob("*/model.onnx")):
        for data in sorted(model.parent.glob("test_data_set_*")):
            yield (model.parent.name, ops_of(onnx.load(model, load_external_data=False)), model, data, 1e-3, 1e-7)


def run(command, tasks):
    """One line of result for each task; starts the program again after a crash."""
    results = []
    while len(results) < len(tasks):
        text = "".join("\t".join(map(str, task[2:])) + "\n" for task in tasks[len(results):])
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=3000)
        results += done.stdout.splitlines()
        if len(results) < len(tasks):
            results.append(f"FAILED: crash, exit code {done.returncode}: {done.stderr[-2000:]}")
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--pip", action="store_true")
    parser.add_argument("--folder", action="append", default=[])
    parser.add_argument("--only", default="")
    parser.add_argument("--f64", action="store_true")
    parser.add_argument("--gradients", action="store_true")
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("-v", action="store_true")
    options = parser.parse_args()
    try:
        import onnx
    except ImportError as error:
        print(f"skipped: {error}")
        return 77
    print(f"onnx {onnx.__version__}")

    with tempfile.TemporaryDirectory() as scratch:
        tasks = list(from_pip(pathlib.Path(scratch))) if options.pip else []
        for folder in options.folder:
            tasks += from_folder(pathlib.Path(folder))
        tasks = [t for t in tasks if options.only in t[0]]
        modes = [f"--{mode}" for mode in ("f64", "gradients", "faults") if getattr(options, mode)]
        results = run([options.program] + modes, tasks)

    table = collections.defaultdict(collections.Counter)
    total = collections.Counter()
    for (name, ops, *_), result in zip(tasks, results):
        verdict = result.split(":")[0]
        if any(word in name for word in RANDOM) and verdict in ("FAILED", "late"):
            verdict = "random"
        elif verdict != "passed" and options.v:
            print(f"{name}: {result}")
        row = ops[0] if len(set(ops)) == 1 else "(several operators)"
        table[row][verdict] += 1
        total[verdict] += 1
    kinds = ["passed", "refused", "late", "random", "none", "FAILED"]
    print(f"{'operator':32}" + "".join(f"{k:>9}" for k in kinds))
    for row in sorted(table):
        print(f"{row:32}" + "".join(f"{table[row][k] or '':>9}" for k in kinds))
    print(f"{'all':32}" + "".join(f"{total[k]:>9}" for k in kinds))
    return 1 if total["FAILED"] or not tasks else 0


if __name__ == "__main__":
    sys.exit(main())
