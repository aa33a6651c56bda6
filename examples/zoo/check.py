#!/usr/bin/env python3
"""Compares the zoo's programs with ONNX Runtime: outputs and time, on 2 threads.

    examples/zoo/check.py [--programs DIR] [--folder DIR] [--rounds N] [--strict] [--tune] [NAME ...]

A program writes the inputs and outputs of a run of its model as arrays, which onnxruntime repeats: the largest difference
may be 1e-4. Then both run in turns, N times, and the medians are compared. --tune: the programs also train, and their
loss must fall. --strict: a recurrent model or a Transformer that is slower than in onnxruntime is an error.
Exit code 77 if a model or onnxruntime is missing.
"""
import argparse
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import fetch

THREADS, TOLERANCE, SPREAD = 2, 1e-4, 1.1
TEXT = ['The quick brown fox jumps over the lazy dog, and nobody in the village knows why it does that.',
        'A kitten takes a nap on the warm windowsill.', 'Stocks fell sharply after the central bank raised rates.',
        'She repaired the engine of the old motorcycle herself.', 'The market lost three percent.', 'It rained for a week.',
        'Trains to the coast leave every hour from the third platform.', 'Two hundred people came to the reading.']
# Program, file of the model, arguments, kind; fast: at least as fast as onnxruntime.
PROGRAMS = [('vad', 'silero_vad.onnx', [], 'LSTM, convolutions, If', True),
            ('minilm', 'minilm.onnx', TEXT, 'Transformer', True),
            ('pitch', 'nmp.onnx', [], 'ConvNet', False)]


class Ours:
    """A program that runs its model once for every line."""

    def __init__(self, program, folder, arguments, arrays):
        self.process = subprocess.Popen([program, '--threads', str(THREADS), '--folder', folder, '--check', arrays, *arguments],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != 'ready\n':
            sys.exit(f'check.py: {program} failed')

    def milliseconds(self):
        self.process.stdin.write('\n')
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        if self.process.wait() != 0:
            sys.exit('check.py: a program failed')


class Theirs:
    """The same in onnxruntime. Its threads do not spin between two runs: they would take the other's time."""

    def __init__(self, model, arrays):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        self.session = onnxruntime.InferenceSession(model, options, providers=['CPUExecutionProvider'])
        types = {'tensor(int64)': numpy.int64, 'tensor(int32)': numpy.int32, 'tensor(float)': numpy.float32}
        self.feed = {value.name: numpy.load(arrays / f'in{i}.npy').astype(types[value.type])
                     for i, value in enumerate(self.session.get_inputs())}

    def outputs(self):
        return self.session.run(None, self.feed)

    def milliseconds(self):
        begin = time.perf_counter()
        self.outputs()
        return 1e3 * (time.perf_counter() - begin)


def difference(theirs, arrays):
    """The largest one of any element of any output."""
    pairs = [(y, numpy.load(arrays / f'out{i}.npy')) for i, y in enumerate(theirs.outputs())]
    if any(a.shape != b.shape for a, b in pairs):
        return float('inf')
    return max(float(numpy.abs(a - b).max()) for a, b in pairs)


def compare(program, model, arguments, rounds):
    """Largest difference, and the medians of milliseconds: ours, theirs."""
    with tempfile.TemporaryDirectory() as folder:
        arrays = pathlib.Path(folder)
        ours = Ours(program, model.parent, arguments, arrays)
        theirs = Theirs(model, arrays)
        error = difference(theirs, arrays)
        times = [(ours.milliseconds(), theirs.milliseconds()) for _ in range(rounds)]
        ours.close()
    return error, *(statistics.median(column) for column in zip(*times))


def tune(program, folder):
    """Trains; whether the loss fell, and the line that says so."""
    run = subprocess.run([program, '--tune', '--threads', str(THREADS), '--folder', folder], stdout=subprocess.PIPE,
                         text=True, check=True)
    before, after = map(float, re.search(r'loss before ([\d.]+), after ([\d.]+)', run.stdout).groups())
    return after < before, run.stdout.strip()


def main():
    parser = argparse.ArgumentParser(description='Compares the programs of the zoo with ONNX Runtime.')
    parser.add_argument('names', nargs='*', metavar='NAME', help='of programs; default: all whose model is there')
    parser.add_argument('--programs', type=pathlib.Path, default=pathlib.Path('build/examples/zoo'), help='default: %(default)s')
    parser.add_argument('--folder', type=pathlib.Path, default=fetch.FOLDER, help='of models; default: %(default)s')
    parser.add_argument('--rounds', type=int, default=25, help='runs of each side; default: %(default)s')
    parser.add_argument('--strict', action='store_true', help='too slow is an error')
    parser.add_argument('--tune', action='store_true', help='also train')
    arguments = parser.parse_args()
    chosen = [row for row in PROGRAMS
              if (not arguments.names or row[0] in arguments.names) and (arguments.folder / row[1]).exists()]
    if not chosen or onnxruntime is None:
        print('check.py: skipped:', 'there is no onnxruntime' if chosen else f'no models in {arguments.folder}')
        return 77
    failures = 0
    print('program  kind                    max error  ms ours  ms onnxruntime  ratio')
    for name, model, words, kind, fast in chosen:
        error, ours, theirs = compare(arguments.programs / name, arguments.folder / model, words, arguments.rounds)
        print(f'{name:8} {kind:23} {error:9.1e} {ours:8.2f} {theirs:15.2f} {ours / theirs:6.2f}')
        failures += not error <= TOLERANCE
        failures += arguments.strict and fast and ours > SPREAD * theirs
        if arguments.tune:
            fell, line = tune(arguments.programs / name, arguments.folder)
            print(f'         {line}')
            failures += not fell
    return 1 if failures else 0


try:
    import numpy
    import onnxruntime
except ImportError:
    onnxruntime = None

if __name__ == '__main__':
    sys.exit(main())
