#!/usr/bin/env python3
"""Compares the zoo's programs with the originals of their models: outputs and time, on 2 threads.

    examples/zoo/check.py [--programs DIR] [--folder DIR] [--rounds N] [--strict] [--tune] [NAME ...]

A program runs its model on the same inputs as the original (originals.py): the largest difference may be 1e-4. Then both
run in turns, N times or for 5 seconds, and the medians are compared. --tune: the programs also train, and their loss
must fall. --strict: a recurrent model or a Transformer that is slower than in ONNX Runtime is an error.
Exit code 77 if nothing is compared, since models or packages of pip are missing.
"""
import argparse
import collections
import functools
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import fetch

try:
    import originals
except ImportError as missing:
    print(f'check.py: skipped: {missing}')
    sys.exit(77)

TOLERANCE, SPREAD = 1e-4, 1.1
LEAST, SECONDS = 3, 5  # runs of each side; then, of all
TEXT = ['The quick brown fox jumps over the lazy dog, and nobody in the village knows why it does that.',
        'A kitten takes a nap on the warm windowsill.', 'Stocks fell sharply after the central bank raised rates.',
        'She repaired the engine of the old motorcycle herself.', 'The market lost three percent.', 'It rained for a week.',
        'Trains to the coast leave every hour from the third platform.', 'Two hundred people came to the reading.']
# A program and its arguments; files of the model; what is run; fast: at least as fast as the original.
Row = collections.namedtuple('Row', 'program arguments files kind original make fast')


def onnx(program, arguments, file, kind, fast):
    return Row(program, arguments, [file], kind, 'ONNX Runtime', functools.partial(originals.onnx, model=file), fast)


def textgen(batch):
    return Row('textgen', [], ['textgenrnn.hdf5', 'textgenrnn_vocab.json'], f'LSTM, batch {batch}', 'PyTorch',
               functools.partial(originals.textgen, batch=batch), False)


def speaker(batch, kind):
    return Row('speaker', [], ['resemblyzer.pt'], f'LSTM, {kind}', 'PyTorch',
               functools.partial(originals.speaker, batch=batch), False)


ROWS = [onnx('vad', [], 'silero_vad.onnx', 'LSTM, convolutions, If', True),
        onnx('minilm', TEXT, 'minilm.onnx', 'Transformer', True),
        onnx('pitch', [], 'nmp.onnx', 'ConvNet', False),
        Row('phonemes', [], ['g2p_en.npz'], 'GRU', 'NumPy', originals.phonemes, False),
        textgen(1), textgen(32), speaker(1, 'batch 1'), speaker(8, 'batch 8'), speaker(0, 'a recording')]


class Ours:
    """A program that runs its model once for every line."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != 'ready\n':
            sys.exit(f'check.py: {command[0]} failed')

    def seconds(self):
        self.process.stdin.write('\n')
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        if self.process.wait() != 0:
            sys.exit('check.py: a program failed')


def seconds(run):
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def difference(theirs, arrays):
    """The largest one of any element of any output."""
    pairs = [(y, originals.numpy.load(arrays / f'out{i}.npy')) for i, y in enumerate(theirs)]
    if any(a.shape != b.shape for a, b in pairs):
        return float('inf')
    return max(float(abs(a - b).max()) for a, b in pairs)


def compare(row, command, folder, rounds):
    """Largest difference, and the medians of seconds: ours, theirs."""
    with tempfile.TemporaryDirectory() as name:
        arrays = pathlib.Path(name)
        run = row.make(folder, arrays)
        ours = Ours([*command, '--check', arrays, *row.arguments])
        error = difference(run(), arrays)
        times = []
        while len(times) < rounds and (len(times) < LEAST or sum(map(sum, times)) < SECONDS):
            times.append((ours.seconds(), seconds(run)))
        ours.close()
    return error, *(statistics.median(column) for column in zip(*times))


def tune(command):
    """Trains; whether the loss fell. Prints the line that says so."""
    run = subprocess.run([*command, '--tune'], stdout=subprocess.PIPE, text=True, check=True)
    line = run.stdout.strip().splitlines()[-1]
    print(f'          {line}')
    before, after = re.search(r'loss (?:before|of a linear layer) ([\d.]+).*?(?:after|loss of all) ([\d.]+)', line).groups()
    return float(after) < float(before)


def main():
    parser = argparse.ArgumentParser(description="Compares the programs of the zoo with their models' originals.")
    parser.add_argument('names', nargs='*', metavar='NAME', help='of programs; default: all whose model is there')
    parser.add_argument('--programs', type=pathlib.Path, default=pathlib.Path('build/examples/zoo'), help='default: %(default)s')
    parser.add_argument('--folder', type=pathlib.Path, default=fetch.FOLDER, help='of models; default: %(default)s')
    parser.add_argument('--rounds', type=int, default=25, help='runs of each side, at most; default: %(default)s')
    parser.add_argument('--strict', action='store_true', help='too slow is an error')
    parser.add_argument('--tune', action='store_true', help='also train')
    arguments = parser.parse_args()
    os.environ['WG_ZOO'] = str(arguments.folder)
    compared, failures = set(), 0
    print('program   kind                    original      max error  ms ours  ms theirs  ratio')
    for row in ROWS:
        if arguments.names and row.program not in arguments.names:
            continue
        if missing := [file for file in row.files if not (arguments.folder / file).exists()]:
            print(f'{row.program:9} skipped: no {missing[0]} in {arguments.folder} (examples/zoo/fetch.py)')
            continue
        command = [arguments.programs / row.program, '--threads', str(originals.THREADS)]
        try:
            error, ours, theirs = compare(row, command, arguments.folder, arguments.rounds)
        except ImportError as missing:
            print(f'{row.program:9} skipped: {missing} (pip)')
            continue
        print(f'{row.program:9} {row.kind:23} {row.original:12} {error:10.1e} {1e3 * ours:8.2f} {1e3 * theirs:10.2f} '
              f'{ours / theirs:6.2f}', flush=True)
        failures += not error <= TOLERANCE
        failures += arguments.strict and row.fast and ours > SPREAD * theirs
        if arguments.tune and row.program not in compared:
            failures += not tune(command)
        compared.add(row.program)
    return 1 if failures else 0 if compared else 77


if __name__ == '__main__':
    sys.exit(main())
