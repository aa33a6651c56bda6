#!/usr/bin/env python3
"""Many ranks on this machine: the same bits on any number of them, ranks that die, hang or get bad input.

    tests/dist.py PROGRAM WHAT [--mpirun COMMAND] [--examples FOLDER] [--long] [--seed N]

PROGRAM is dist_train; WHAT is bits, bytes, killed, data, input or examples. --long: 100 steps, 1 and 2 threads, 50
kills. With a sanitizer WG_TEST_SLOW=N makes the time limits N times as long. A test that fails prints the commands that
repeat it."""
import argparse
import os
import pathlib
import random
import re
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import time

MODELS = ["lstm", "gpt", "conv"]
OPENMPI = "mpirun --oversubscribe --allow-run-as-root"
LAUNCHER = re.compile(r"^(-+$|Primary job|a non-zero|mpirun |the job to be|Process name|Exit code|=+$|\[mpiexec|YOUR "
                      r"APPLICATION|This typically|\[proxy|=  |Per user-direction|\[\S+:\d+\] PMIX)")


class Failure(Exception):
    pass


class Runs:
    def __init__(self, options):
        self.options, self.last = options, ""
        options.program = os.path.abspath(options.program)  # some runs have a folder of their own
        self.slow = float(os.environ.get("WG_TEST_SLOW", "1"))
        self.launcher = shlex.split(options.mpirun)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="wengert-dist-"))

    def command(self, ranks, *words):
        return [*self.launcher, "-n", str(ranks), self.options.program, *map(str, words)]

    def example(self, ranks, name, *words):
        """Runs an example; its results, which one rank prints."""
        command = [*self.launcher, "-n", str(ranks), f"{self.options.examples}/{name}", *map(str, words)]
        self.last = shlex.join(command)
        done = subprocess.run(command, capture_output=True, text=True, timeout=100 * self.slow, check=False)
        if done.returncode != 0:
            raise Failure(f"exit {done.returncode}, {done.stderr}: {self.last}")
        return done.stdout, done.stderr

    def __call__(self, ranks, *words, limit=60.0, folder=None):
        """exit code, what the program printed, its lines on stderr."""
        command = self.command(ranks, *words)
        self.last = shlex.join(command)
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit * self.slow, check=False,
                                  cwd=folder)
        except subprocess.TimeoutExpired:
            raise Failure(f"hangs: {self.last}") from None
        lines = [line for line in done.stderr.splitlines() if line.strip() and not LAUNCHER.match(line.strip())]
        return done.returncode, done.stdout, lines

    def good(self, ranks, *words, folder=None):
        """What each rank says of itself, by rank."""
        code, out, lines = self(ranks, *words, folder=folder)
        if code != 0 or lines:
            raise Failure(f"exit {code}, {lines}: {self.last}")
        said = [dict(word.split("=", 1) for word in line.split()) for line in out.splitlines() if line]
        if len(said) != ranks or len({one["hash"] for one in said}) != 1:
            raise Failure(f"{len(said)} of {ranks} ranks with hashes {[one['hash'] for one in said]}: {self.last}")
        return sorted(said, key=lambda one: int(one["rank"]))

    def file(self, name):
        return self.folder / name


def bits(run, long):
    """Parameters, buffers and the optimizer's state have the same bits: the checkpoints are equal."""
    steps = 100 if long else 12
    for model in MODELS:
        want = None
        for ranks in [1, 2, 3, 4, 5, 8, 16] if long else [1, 3, 4]:
            for threads in [1, 2] if long else [1 + (ranks == 4)]:
                for overlap in [1, 0] if ranks in (2, 4, 8, 16) else [1]:
                    path = run.file(f"{model}-{ranks}-{threads}-{overlap}")
                    said = run.good(ranks, model, f"steps={steps}", f"threads={threads}", f"overlap={overlap}",
                                    f"barrier={overlap}",  # its messages pass those of sums that are on their way
                                    f"save={path}", "every=1000")
                    have = said[0]["hash"], said[0]["loss"], said[0]["norm"], path.read_bytes()
                    if want and have != want:
                        raise Failure(f"{have[:3]}, not {want[:3]}, or another checkpoint: {run.last}")
                    want = have
                    early = [int(one["early_bytes"]) for one in said]
                    if (min(early) == 0) if overlap and ranks in (2, 4, 8, 16) else (max(early) > 0):
                        raise Failure(f"bytes sent during a backward pass: {early}: {run.last}")
        if model == "lstm":  # what the shards of a step that fails have carried on is forgotten
            path = run.file("again")
            run.good(4, model, f"steps={steps}", "nan=3", "again=1", f"save={path}", "every=1000")
            if path.read_bytes() != want[3]:
                raise Failure(f"another checkpoint after a step that failed: {run.last}")
        print(f"{model}: hash {want[0]} after {steps} steps")
    for shards in [7, 10, 12] if long else [10]:  # uneven shards; ranks that are a power of two, but do not divide S
        paths = [run.file(f"uneven-{ranks}") for ranks in (1, 2, 4, 7)]
        for ranks, path in zip((1, 2, 4, 7), paths):
            run.good(ranks, "conv", f"shards={shards}", f"save={path}", "every=1000")
            if path.read_bytes() != paths[0].read_bytes():
                raise Failure(f"another checkpoint than on one rank: {run.last}")
        print(f"conv: the same with {shards} uneven shards")


def bytes_moved(run, long):
    """Recursive halving and doubling: (R - 1) n bytes in all, for gradients and for parameters; memory as predicted."""
    for model in MODELS:
        for ranks in [2, 4, 8, 16] if long else [2, 4]:
            said = run.good(ranks, model, "steps=3")
            elements = int(said[0]["elements"]) + (13 if model == "conv" else 0)  # the means of batch norm
            want = 3 * (ranks - 1) * 4 * elements
            for what in "gradient_bytes", "parameter_bytes":
                have = sum(int(one[what]) for one in said)
                if have != want:
                    raise Failure(f"{what} {have}, not {want}: {run.last}")
            for one in said:
                if int(one["memory"]) > 1.05 * int(one["predicted"]):
                    raise Failure(f"memory {one['memory']}, predicted {one['predicted']}: {run.last}")
        print(f"{model}: {want} bytes in 3 steps on {ranks} ranks")


def killed(run, long):
    """A rank is killed; the run goes on with fewer, then with more, and ends in the same bits."""
    dice = random.Random(run.options.seed)
    for trial in range(50 if long else 2):
        model, ranks, path = MODELS[trial % 3], dice.choice([2, 3, 4]), run.file("killed")
        want = run.good(1, model, "steps=20")[0]["hash"]
        path.unlink(missing_ok=True)
        at = dice.randrange(1, 20)
        words = [model, "steps=20", "timeout=3", f"save={path}", "every=1"]
        code, _, lines = run(ranks, *words, f"victim={dice.randrange(ranks)}", f"at={at}", "signal=9")
        after = time.time() - path.stat().st_mtime  # the step before it is the last one that was saved
        if code == 0 or len(lines) > 1 or after > 15 * run.slow:
            raise Failure(f"exit {code} {after:.1f} s after the kill, {lines}: {run.last}")
        middle, again = dice.randrange(at, 21), [f"load={path}"]
        run.good(max(1, ranks - 1), model, f"steps={middle}", f"save={path}", *again)
        have = run.good(ranks + 1, model, "steps=20", *again)[0]["hash"]
        if have != want:
            raise Failure(f"hash {have}, not {want}, after a kill at {at} and {middle}: {run.last}")
    print(f"{trial + 1} runs were killed and ended as the others")


def refuse(run, text, ranks, *words, folder=None):
    """One line, from one rank, and all end. (The exit code is 1, unless the launcher kills those that are slower.)"""
    began = time.monotonic()
    have, _, lines = run(ranks, *words, limit=30, folder=folder)
    if have == 0 or len(lines) != 1 or text not in lines[0]:
        raise Failure(f"exit {have}, {lines}, not '{text}': {run.last}")
    print(f"{time.monotonic() - began:4.1f} s  {lines[0]}")


def other_launcher(run):
    """Started by another MPI's launcher, which ends nobody: rank 0 tells."""
    name = "OMPI_COMM_WORLD" if "mpich" in run.options.mpirun else "PMI"
    for rank in 0, 1:
        run.last = f"{name}_RANK={rank} {name}_SIZE=2 {run.options.program} gpt"
        done = subprocess.run([run.options.program, "gpt"], capture_output=True, text=True, check=False,
                              env={**os.environ, f"{name}_RANK": str(rank), f"{name}_SIZE": "2"}, timeout=30 * run.slow)
        want = ["dist_train: world: started on 2 ranks, by a launcher that is not that of"][:1 - rank]
        lines = done.stderr.splitlines()
        if done.returncode != 1 or len(lines) != len(want) or not all(map(str.startswith, lines, want)):
            raise Failure(f"exit {done.returncode}, {lines}, not {want}: {run.last}")


def bad_input(run, long):
    path, full = run.file("one"), run.file("full")
    other_launcher(run)
    refuse(run, "3 ranks, but only 2 shards", 3, "gpt", "shards=2")
    refuse(run, "rank 2 has other initial values than rank 0", 3, "gpt", "other=2")
    refuse(run, "rank 1 has another optimizer than rank 0", 3, "gpt", "beta=1")
    refuse(run, "rank 1 has other options than rank 0", 3, "conv", "means=1")
    refuse(run, "rank 1 has another build or instruction set than rank 0", 1, "gpt", ":", "-n", 1, "env",
           "WENGERT_ISA=baseline", run.options.program, "gpt")
    refuse(run, "cannot open", 3, "gpt", "missing=0")
    refuse(run, "cannot open", 3, "gpt", "missing=2")
    refuse(run, "is not finite at element", 3, "gpt", "nan=3")
    for ranks in 2, 3, 4:  # the others have begun to send their gradients, or not
        refuse(run, "rank 1, shard", ranks, "gpt", "victim=1", "fails=3")
    run.good(2, "gpt", "steps=4", f"save={path}")
    before = path.read_bytes()
    refuse(run, "cannot write", 3, "gpt", f"save={path}", "limit=20000")
    if path.read_bytes() != before:
        raise Failure(f"the old checkpoint is gone: {run.last}")
    refuse(run, "cannot create", 2, "gpt", "save=/no/such/folder/x")
    refuse(run, "of a run of 16 shards, not 8", 2, "gpt", f"load={path}", "shards=8")
    refuse(run, "cannot open", 2, "gpt", f"load={full}")
    full.write_bytes(before[:-1])
    refuse(run, "", 2, "gpt", f"load={full}")
    limit = f"{4 * run.slow:g}"
    refuse(run, f"rank 1 of 3 has not answered for {limit} s", 3, "gpt", "victim=1", "hangs=4", f"timeout={limit}",
           "late=2")
    for number in (15, 10):
        words = "gpt", "steps=20", f"save={path}", "every=100", "victim=2", "at=7", f"signal={number}"
        code, out, lines = run(3, *words)
        if code != 128 + number or lines or out.count("steps=8") != 3:
            raise Failure(f"exit {code}, {lines}, {out}: {run.last}")
    want = run.good(1, "gpt", "steps=20")[0]["hash"]
    if run.good(2, "gpt", "steps=20", f"load={path}")[0]["hash"] != want:
        raise Failure(f"another hash after a signal: {run.last}")


def fnv(data):
    """FNV-1a, of 64 bits."""
    value = 14695981039346656037
    for byte in data:
        value = ((value ^ byte) * 1099511628211) % (1 << 64)
    return f"{value:016x}"


def data_of_rank_0(run, long):
    """Files that rank 0 alone can see: the contents on all ranks, and its errors; batches that it scatters."""
    pictures, folder = run.file("pictures"), run.folder
    pictures.write_bytes(bytes([0, 0, 0x0d, 1, 0, 0, 0, 3]) + struct.pack(">fff", 1, 2, -3))
    for size in 0, 1, 700_001:  # nothing, and more than two messages
        text = (b"A sentence.\n" * (size // 12 + 1))[:size]
        run.file("text").write_bytes(text)
        for ranks in (1, 2, 3, 4) if size > 1 else (3,):
            want = {"hash": fnv(text), "size": str(size), "end": "0", "numbers": "7,1,1", "idx": "0.5,1,-1.5,"}
            for one in run.good(ranks, "files", "text=text", "idx=pictures", folder=folder):
                if {key: one[key] for key in want} != want:
                    raise Failure(f"{one}, not {want}: {run.last}")
    print("text and pictures: the same on 1 to 4 ranks")
    for ranks in 1, 3:
        refuse(run, "no-text: cannot open", ranks, "files", "text=no-text", folder=folder)
        refuse(run, "text: has more than 1000 bytes", ranks, "files", "text=text", "most=1000", folder=folder)
        refuse(run, "text: not an IDX file", ranks, "files", "text=text", "idx=text", folder=folder)
    refuse(run, "rank 0 shares 4 bytes, rank 2 takes 8", 3, "files", "text=text", "other=2", folder=folder)
    refuse(run, "rank 1 has no such file", 3, "files", "text=text", "missing=1", folder=folder)
    if run.slow == 1:  # a sanitizer needs address space of its own
        run.file("large").write_bytes(b"x" * 50_000_000)
        refuse(run, "large: rank 2 is out of memory for its 50000000 bytes", 3, "files", "text=large", "poor=2",
               folder=folder)
    for shards in 16, 25:  # 22 rows at the end of an epoch: shards without any
        want = run.good(1, "conv", f"shards={shards}")[0]["hash"]
        for ranks in 1, 2, 3, 4:
            have = run.good(ranks, "conv", f"shards={shards}", "scatter=1")[0]["hash"]
            if have != want:
                raise Failure(f"hash {have}, not {want}: {run.last}")
    print("conv: the same with batches that rank 0 scatters")
    refuse(run, "cannot read", 3, "conv", "scatter=1", "unreadable=2")


EXAMPLES = {
    "charlm": ["train", "--tiny", "--dropout", "0.2", "--layers", "2", "--optimizer", "adam"],
    "gpt": ["--tiny", "--dropout", "0.1"],
    "digits": ["--tiny", "--batch-norm", "--epochs", "1"],
}


def examples(run, long):
    """charlm, gpt and digits: the same files from any number of ranks; one rank prints; a signal saves and ends all."""
    for name, words in EXAMPLES.items():
        files = {}
        steps = [] if name == "digits" else ["--steps", "100" if long else "20"]
        for ranks in [1, 2, 3, 4, 5, 8, 16] if long else [1, 3]:
            for threads in [1, 2] if long else [1]:
                path = run.file(f"{name}-{ranks}-{threads}")
                out, err = run.example(ranks, name, *words, *steps, "--shards", 16, "--threads", threads, "--out", path)
                if out.count("final: ") != 1 or (ranks > 1 and f" on {ranks} ranks" not in err):
                    raise Failure(f"{out} {err}: {run.last}")
                files[path.read_bytes()] = run.last
        if len(files) != 1:
            raise Failure("other files by " + " and ".join(files.values()))
        print(f"{name}: the same file")
    out, _ = run.example(3, "many")
    if out.count("final: a 3.00,") != 1:
        raise Failure(f"{out}: {run.last}")
    if run.example(2, "charlm", "train", "--help")[0].count("usage:") != 1:
        raise Failure(f"not one help: {run.last}")
    path = run.file("signal")
    command = [*run.launcher, "-n", "2", f"{run.options.examples}/charlm", "train", "--tiny", "--steps", "1000000",
               "--eval-every", "0", "--save-every", "5", "--out", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        while not path.exists() and process.poll() is None:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=60 * run.slow)[1]
    if process.returncode == 0 or err.count("is saved, --resume goes on") != 1:
        raise Failure(f"exit {process.returncode}, {err}: {shlex.join(command)}")
    print(f"Ctrl-C: exit {process.returncode}, saved")


def main():
    tests = {"bits": bits, "bytes": bytes_moved, "killed": killed, "data": data_of_rank_0, "input": bad_input,
             "examples": examples}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("what", choices=tests)
    parser.add_argument("--mpirun", default=OPENMPI)
    parser.add_argument("--examples")
    parser.add_argument("--long", action="store_true", default=bool(os.environ.get("WG_TEST_LONG")))
    parser.add_argument("--seed", type=int, default=1)
    run = Runs(parser.parse_args())
    try:
        tests[run.options.what](run, run.options.long)
    except Failure as failure:
        sys.exit(f"failed: {failure}")


if __name__ == "__main__":
    main()
