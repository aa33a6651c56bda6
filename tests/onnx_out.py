#!/usr/bin/env python3
"""Models that wg_onnx_write wrote (tests/onnx_write.c), checked by onnx.checker and run by onnxruntime.

    tests/onnx_out.py PROGRAM

Exit code 77, skipped, without the pip packages onnx, onnxruntime and numpy."""
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy
    import onnx
    import onnxruntime
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

TOLERANCE = 1e-5


def compare(name, session, numbers):
    """The largest difference, relative to 1 + |wanted|; infinite if only one is NaN, or infinities differ."""
    given = {i.name: numbers[i.name] for i in session.get_inputs()}
    names = [o.name for o in session.get_outputs()]
    worst = 0.0
    for output, got in zip(names, session.run(names, given)):
        want = numbers[output]
        if got.dtype != want.dtype or got.shape != want.shape:
            raise AssertionError(f"{name}: {output} is {got.dtype} {got.shape}, not {want.dtype} {want.shape}")
        same = (got == want) | (numpy.isnan(got) & numpy.isnan(want)) if got.dtype.kind == "f" else got == want
        with numpy.errstate(invalid="ignore"):
            gap = numpy.abs(got.astype("f8") - want.astype("f8")) / (1 + numpy.abs(want.astype("f8")))
        gap = numpy.where(same, 0, numpy.where(numpy.isnan(gap), numpy.inf, gap))
        far = gap > TOLERANCE
        if far.any():
            print(f"{name}: {output}: {far.sum()} numbers differ, at first {numpy.argwhere(far)[0].tolist()}: "
                  f"{got[far][0]}, not {want[far][0]}")
        worst = max(worst, float(numpy.max(gap, initial=0)))
    return worst


def open_session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.argv[1], folder], check=True)
        models = sorted(pathlib.Path(folder).glob("*.onnx"))
        for path in models:
            onnx.checker.check_model(str(path), full_check=True)
            session = open_session(path)
            for batch in sorted(path.parent.glob(f"{path.stem}.*.npz")):
                worst = compare(batch.name, session, numpy.load(batch))
                failed += not worst <= TOLERANCE
                print(f"{batch.stem}: {len(onnx.load(path).graph.node)} nodes, largest difference {worst:.1e}")
    return 1 if failed or not models else 0


if __name__ == "__main__":
    sys.exit(main())
