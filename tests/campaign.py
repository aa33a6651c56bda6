#!/usr/bin/env python3
"""The campaign: random tests with new seeds for as long as they are given.

    tests/campaign.py [--hours H] [--seed S] [--jobs N] [--only WORD] [--list] BUILD SANITIZED

BUILD and SANITIZED are build folders; the second one has -Db_sanitize=address,undefined. Each job below runs in turns of
about 20 seconds, from a seed that no turn before it had. A turn that fails prints the command that repeats it. The last
line has the figures, also after an interrupt (SIGINT, SIGTERM), which lets turns end. Exit status: 0 if nothing failed.
--list prints the programs, which must be built before.
"""
import argparse
import concurrent.futures
import os
import signal
import subprocess
import sys
import threading
import time

TURN = 20  # seconds

# name, build, program, arguments, environment, what a round is, how many of that a round has
JOBS = [
    ("programs", 0, "programs", ["--test", "random_programs"], {}, "programs in 19 ways", 1),
    ("programs avx2", 0, "programs", ["--test", "random_programs"], {"WENGERT_ISA": "avx2"}, "programs in 19 ways", 1),
    ("programs baseline", 0, "programs", ["--test", "random_programs"], {"WENGERT_ISA": "baseline"}, "programs in 19 ways", 1),
    ("stored programs", 0, "programs", ["--test", "stored_programs"], {}, "programs of parameters in bf16", 1),
    ("products", 0, "product", [], {}, "products", 1),
    ("products avx2", 0, "product", [], {"WENGERT_ISA": "avx2"}, "products", 1),
    ("bf16 products", 0, "product_bf16", ["--test", "products_have_the_bits_of_scalar_code"], {}, "products in bf16", 1),
    ("bf16 tiles", 0, "product_bf16", ["--test", "tiles_have_the_bits_of_scalar_code"], {}, "tiles in bf16", 100),
    ("bf16 convolutions", 0, "conv_bf16", ["--test", "convolutions_have_the_bits_of_scalar_code"], {}, "convolutions in bf16", 1),
    ("chains", 0, "chain", ["--test", "chains"], {}, "pointwise chains", 1),
    ("values", 0, "values", [], {}, "rounds of values against loops", 1),
    ("scalar programs", 0, "hyperdual", [], {}, "programs against scalar code to third order", 1),
    ("optimizers", 0, "optim_formulas", [], {}, "runs of optimizers against their formulas", 1),
    ("calls", 1, "calls", [], {}, "random calls", 240),
    ("safetensors", 1, "fuzz", ["--test", "safetensors"], {}, "safetensors inputs", 1),
    ("idx", 1, "fuzz", ["--test", "idx"], {}, "IDX inputs", 1),
    ("text", 1, "fuzz", ["--test", "text"], {}, "text inputs", 1),
    ("csv", 1, "fuzz", ["--test", "csv"], {}, "CSV inputs", 1),
    ("npy", 1, "fuzz", ["--test", "npy"], {}, "NPY inputs", 1),
    ("npz", 1, "fuzz", ["--test", "npz"], {}, "NPZ inputs", 1),
    ("pt", 1, "fuzz", ["--test", "pt"], {}, "PyTorch inputs", 1),
    ("pt_old", 1, "fuzz", ["--test", "pt_old"], {}, "old PyTorch inputs", 1),
    ("hdf5", 1, "fuzz", ["--test", "hdf5"], {}, "HDF5 inputs", 1),
    ("gguf", 1, "fuzz", ["--test", "gguf"], {}, "GGUF inputs", 1),
    ("png", 1, "fuzz", ["--test", "png"], {}, "PNG inputs", 1),
    ("jpeg", 1, "fuzz", ["--test", "jpeg"], {}, "JPEG inputs", 1),
    ("wav", 1, "fuzz", ["--test", "wav"], {}, "WAV inputs", 1),
    ("onnx", 1, "onnx_fuzz", [], {}, "ONNX inputs", 1),
    ("kill", 0, "kill", [], {}, "saves killed", 1),
    ("memory faults", 1, "oom", ["--test", "random_faults"], {}, "allocations failed", 1),
    ("I/O faults", 1, "io_faults", [], {}, "calls with an I/O fault or without memory", 1),
]


class Job:
    def __init__(self, row, folders, seed):
        self.name, build, program, self.arguments, env, self.unit, self.times = row
        self.program = os.path.join(folders[build], "tests", "test_" + program)
        self.env = dict(os.environ, **env)
        self.shown = "".join(f"{k}={v} " for k, v in env.items())
        self.seed, self.rounds, self.done, self.failed = seed, 100, 0, 0

    def turn(self):
        """Runs once, and adapts the rounds of the next turn to the time it took."""
        command = [self.program, *self.arguments, "--seed", str(self.seed), "--rounds", str(self.rounds)]
        began = time.monotonic()
        run = subprocess.run(command, env=self.env, capture_output=True, text=True, errors="replace", check=False,
                             start_new_session=True)  # an interrupt is for the campaign alone
        took = time.monotonic() - began
        if run.returncode:
            self.failed += 1
            tail = (run.stdout + run.stderr).strip().splitlines()[-12:]
            print(f"FAILED: {self.shown}{' '.join(command)}", *("    " + line for line in tail), sep="\n", flush=True)
        self.done += self.rounds * self.times
        self.seed += self.rounds
        self.rounds = max(1, int(self.rounds * min(10.0, TURN / max(took, 0.05))))


def work(jobs, lock, end, interrupted):
    while time.monotonic() < end and not interrupted.is_set():
        with lock:
            if not jobs:
                return
            job = jobs.pop(0)
        job.turn()
        with lock:
            jobs.append(job)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=int(time.time()) << 20)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", default="")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("build")
    parser.add_argument("sanitized")
    args = parser.parse_args()
    folders = [args.build, args.sanitized]
    jobs = [Job(row, folders, args.seed) for row in JOBS if args.only in row[0]]
    programs = sorted({job.program for job in jobs})
    if args.list:
        print(*programs, sep="\n")
        return
    missing = [program for program in programs if not os.access(program, os.X_OK)]
    if missing:
        sys.exit("campaign: not built: " + " ".join(missing))
    queue, lock, interrupted = list(jobs), threading.Lock(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupted.set())
    print(f"campaign: {args.hours:g} hours from seed {args.seed}", flush=True)
    end = time.monotonic() + 3600 * args.hours
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for future in [pool.submit(work, queue, lock, end, interrupted) for _ in range(args.jobs)]:
            future.result()
    failed = sum(job.failed for job in jobs)
    figures = {}
    for job in jobs:
        figures[job.unit] = figures.get(job.unit, 0) + job.done
    times = os.times()
    hours = (times.children_user + times.children_system) / 3600
    print(f"campaign: {hours:.2f} hours of processor time;", "; ".join(f"{n} {unit}" for unit, n in figures.items()),
          f"; {failed} failures", flush=True)
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
