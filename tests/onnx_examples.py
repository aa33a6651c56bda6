#!/usr/bin/env python3
"""The models of the examples, exported, run by onnxruntime, and imported again.

    tests/onnx_examples.py ONNX_AGAIN EXAMPLE...

Each example is trained for a moment and writes its model with inputs and outputs of batches of 2 and 5. onnxruntime must
give the same outputs within 1e-5, and wg_onnx_apply (tests/onnx_again.c) the same bits.

Exit code 77, skipped, without the pip packages onnx, onnxruntime and numpy."""
import pathlib
import subprocess
import sys
import tempfile

from onnx_out import TOLERANCE, compare, onnx, open_session

import numpy

DIGITS = "--drawn 60 --test 20 --epochs 1 --n1 2 --n2 2 --n3 4"
SENTIMENT = "--tiny --task order --sentences 40 --epochs 1 --model"
TRANSLATE = "--tiny --steps 2 --tests 1 --model"
VIDEO = "--tiny --steps 2 --test 20 --model"
CAPTION = "--tiny --steps 2 --test 2 --batch 2"

# Arguments by example; {tmp} is the folder of the run.
RUNS = [
    ("answer", "--tiny --stories 40 --epochs 1"),
    ("caption", f"{CAPTION} --cell gru"),
    ("caption", f"{CAPTION} --cell lstm"),
    ("caption", f"{CAPTION} --feature input"),
    ("charlm", "sample --length 1 --model {tmp}/rnn.model"),
    ("charlm", "sample --length 1 --model {tmp}/lstm.model"),
    ("charlm", "sample --length 1 --model {tmp}/gru.model"),
    ("digits", DIGITS),
    ("digits", f"{DIGITS} --batch-norm"),
    ("digits", f"{DIGITS} --model mlp"),
    ("gpt", "--tiny --steps 2 --length 2"),
    ("gpt", "--tiny --steps 2 --length 2 --position sinusoid"),
    ("hello", "--steps 20"),
    ("house_price", "--tiny --steps 100"),
    ("penguins", "--steps 20"),
    ("sentiment", f"{SENTIMENT} bow"),
    ("sentiment", f"{SENTIMENT} cnn"),
    ("sentiment", f"{SENTIMENT} rnn"),
    ("sentiment", f"{SENTIMENT} lstm"),
    ("sentiment", f"{SENTIMENT} lstm2"),
    ("tagger", "--tiny --sentences 40 --epochs 1"),
    ("translate", f"{TRANSLATE} plain"),
    ("translate", f"{TRANSLATE} bahdanau"),
    ("translate", f"{TRANSLATE} luong"),
    ("translate", f"{TRANSLATE} transformer"),
    ("video", f"{VIDEO} recurrent"),
    ("video", f"{VIDEO} recurrent --cell gru"),
    ("video", f"{VIDEO} average"),
    ("video", f"{VIDEO} conv3d"),
]


def run(command, folder):
    """Standard output of a program that must succeed."""
    done = subprocess.run([part.format(tmp=folder) for part in command], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()


def check(again, program, arguments, folder):
    """Exports, runs and imports a model. Prints a line for each batch; True if all is as it must be."""
    model = folder / "model.onnx"
    run([program, *arguments.split(), "--export", str(model), "--export-samples"], folder)
    onnx.checker.check_model(str(model), full_check=True)
    session = open_session(model)
    good = True
    for batch in 2, 5:
        sample = f"{model}.{batch}.npz"
        worst = compare(f"batch of {batch}", session, numpy.load(sample))
        bits = run([again, str(model), sample], folder)
        good &= worst <= TOLERANCE and bits == "same bits"
        print(f"    batch of {batch}: onnxruntime {worst:.1e}, imported: {bits}", flush=True)
    return good


def main():
    again, *programs = [str(pathlib.Path(program).resolve()) for program in sys.argv[1:]]
    programs = {pathlib.Path(program).name: program for program in programs}
    failed = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for cell in "rnn", "lstm", "gru":
            run([programs["charlm"], "train", "--tiny", "--steps", "2", "--cell", cell, "--out", f"{name}/{cell}.model"],
                folder)
        for example, arguments in RUNS:
            print(f"{example} {arguments}", flush=True)
            if not check(again, programs[example], arguments, folder):
                failed.append(f"{example} {arguments}")
    unused = programs.keys() - {example for example, _ in RUNS}
    for line in failed + [f"no run of {name}" for name in unused]:
        print(f"FAILED: {line}")
    return 1 if failed or unused else 0


if __name__ == "__main__":
    sys.exit(main())
