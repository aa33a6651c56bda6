#!/usr/bin/env python3
"""The node tests of the ONNX project, run by tests/onnx_run.c: a table per operator of passed, refused and failed ones.

    tests/onnx_nodes.py PROGRAM [--pip] [--folder FOLDER]... [--only WORD] [-v] [--f64 | --gradients | --faults]

--pip: what the pip package onnx generates. --folder: tests as files, such as /usr/share/libonnx-testdata/data/node.
-v prints the reason of each test that did not pass. Fails if a test failed, or if the program crashed. Exit code 77,
skipped, without the pip package onnx."""
import argparse
import collections
import importlib.metadata
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

# Tests whose expected numbers are drawn at random, by another generator than ours.
RANDOM = ("bernoulli", "training_dropout", "randomnormal", "randomuniform")

# The operators that exported RNNs, ConvNets and Transformers have: what torch.onnx, tf2onnx and skl2onnx write, without
# those of integers, text and trees. Control operators of sequences are among them.
USED = set("""Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool
    BatchNormalization Cast CastLike Ceil Celu Clip Col2Im Compress Concat ConcatFromSequence Constant ConstantOfShape
    Conv ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Div Dropout DynamicQuantizeLinear Einsum Elu Equal
    Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool
    Greater GreaterOrEqual GridSample GroupNormalization HardSigmoid HardSwish Hardmax Identity If InstanceNormalization
    IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul
    Max MaxPool MaxUnpool Mean MeanVarianceNormalization Min Mish Mod Mul Neg NegativeLogLikelihoodLoss NonZero Not OneHot
    Or PRelu Pad Pow QuantizeLinear RMSNormalization RNN RandomNormalLike RandomUniformLike Range Reciprocal ReduceL1
    ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape
    Resize ReverseSequence RoiAlign RotaryEmbedding Round Scan Scatter ScatterElements ScatterND Selu SequenceAt
    SequenceConstruct SequenceInsert Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax SoftmaxCrossEntropyLoss
    Softplus Softsign SpaceToDepth Split SplitToSequence Sqrt Squeeze Sub Sum SwiGLU Swish Tan Tanh TensorScatter
    ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Upsample Where Xor""".split())
# Tests of element types that no tensor here has, by their names.
TYPES = re.compile("FLOAT8|FLOAT4|INT4|INT2|e4m3|e5m2|e8m0|int4|int2$|float4|string", re.ASCII)


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
        print("onnx", importlib.metadata.version("onnx"))  # "import onnx" finds the folder beside this script, too
    except ImportError as error:
        print(f"skipped: {error}")
        return 77

    with tempfile.TemporaryDirectory() as scratch:
        tasks = list(from_pip(pathlib.Path(scratch))) if options.pip else []
        for folder in options.folder:
            tasks += from_folder(pathlib.Path(folder))
        tasks = [t for t in tasks if options.only in t[0]]
        modes = [f"--{mode}" for mode in ("f64", "gradients", "faults") if getattr(options, mode)]
        results = run([options.program] + modes, tasks)

    table = collections.defaultdict(collections.Counter)
    total = collections.Counter()
    used = collections.defaultdict(collections.Counter)
    for (name, ops, *_), result in zip(tasks, results):
        verdict = result.split(":")[0]
        if any(word in name for word in RANDOM) and verdict in ("FAILED", "late"):
            verdict = "random"
        elif verdict != "passed" and options.v:
            print(f"{name}: {result}")
        row = ops[0] if len(set(ops)) == 1 else "(several operators)"
        if row in USED and verdict not in ("random", "none"):
            used["other element types" if TYPES.search(name) else "known element types"][verdict] += 1
        table[row][verdict] += 1
        total[verdict] += 1
    kinds = ["passed", "refused", "late", "random", "none", "FAILED"]
    print(f"{'operator':32}" + "".join(f"{k:>9}" for k in kinds))
    for row in sorted(table):
        print(f"{row:32}" + "".join(f"{table[row][k] or '':>9}" for k in kinds))
    print(f"{'all':32}" + "".join(f"{total[k]:>9}" for k in kinds))
    for types, verdicts in sorted(used.items()):
        count = sum(verdicts.values())
        print(f"operators of trained models, {types}: {verdicts['passed']} of {count} passed, "
              f"{100 * verdicts['passed'] / count:.1f} %")
    return 1 if total["FAILED"] or not tasks else 0


if __name__ == "__main__":
    sys.exit(main())
