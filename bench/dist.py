#!/usr/bin/env python3
"""Data parallel training: measures shards and messages here, predicts the efficiency of many ranks, and checks that.

    bench/dist.py PROGRAM [--shim FILE] [--steps N] [--models A,B]

PROGRAM is bench_dist. A step of R ranks with one shard each is predicted to take

    shard + update / R + a byte's time * 2 (R - 1) / R parameters' bytes + 4 log2(R) * a message's time

A byte takes what it takes here (packing, copying, adding) or the network's time, whichever is longer, since they overlap;
a message the time here plus the network's latency. The check runs 2 and 4 ranks under slowed networks: a shim between the
program and MPI holds messages back (bench/slow_mpi.c)."""
import argparse
import math
import os
import shlex
import subprocess
import sys

MODELS = ["lstm-512", "gpt-128", "gpt-384"]
LATENCY = {1000: 50e-6, 10000: 20e-6, 100000: 2e-6}  # of a message; TCP on 1 and 10 Gbit/s, InfiniBand
RANKS = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]


class Machine:
    """What was measured here."""

    def __init__(self, options):
        self.options = options
        self.models = {name: self.run(1, name) for name in options.models.split(",")}
        small, large = 1024, 4 << 20
        few, many, alone = self.run(2, small), self.run(2, large), self.run(1, large)
        # The least, since other work of the machine only adds to it.
        self.update = alone["least_step"] / large  # seconds an element
        self.message = few["least_step"] / 4
        spent = many["least_step"] - few["least_step"] - self.update * large / 2
        self.byte = max(spent, 0) / many["bytes"]

    def run(self, ranks, what, mbit=0, latency=0.0):
        command = [*shlex.split(self.options.mpirun), "-n", str(ranks), self.options.program, str(what),
                   str(self.options.steps)]
        environment = dict(os.environ)
        if mbit:
            environment.update(LD_PRELOAD=self.options.shim, SLOW_MBIT=str(mbit), SLOW_LATENCY=str(latency * 1e6))
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{shlex.join(command)}: {done.stderr.strip()}")
        return {key: float(value) for key, value in (word.split("=") for word in done.stdout.split())}

    def step(self, elements, ranks, mbit, latency):
        """Seconds of wg_dist_step."""
        network = 8e-6 / mbit if mbit else 0
        moved = 2 * (ranks - 1) / ranks * 4 * elements
        messages = 4 * math.log2(ranks)
        return (self.update * elements / ranks + moved * max(self.byte, network)
                + messages * (self.message + latency + 8 * 64 * network))

    def efficiency(self, name, ranks, mbit):
        one = self.models[name]
        alone = one["least_shard"] + self.update * one["elements"]
        return alone / (one["least_shard"] + self.step(one["elements"], ranks, mbit, LATENCY[mbit]))


def check(machine, name):
    """The largest error of a predicted step."""
    worst = 0.0
    elements = machine.models[name]["elements"]
    print(f"\n{name} here, under slowed networks: seconds of a step, measured and predicted")
    for ranks in 2, 4:
        for mbit, latency in (100, 1e-3), (300, 5e-4), (1000, 2e-4):
            have = machine.run(ranks, name, mbit, latency)
            want = have["shard"] + machine.step(elements, ranks, mbit, latency)
            error = want / (have["shard"] + have["step"]) - 1
            worst = max(worst, abs(error))
            print(f"  {ranks} ranks, {mbit:5} Mbit/s, {latency * 1e6:5.0f} us: {have['shard'] + have['step']:.4f}"
                  f"  {want:.4f}  {100 * error:+.1f} %")
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--shim", default=None)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--mpirun", default="mpirun --oversubscribe --allow-run-as-root --bind-to none")
    options = parser.parse_args()
    options.shim = options.shim or os.path.join(os.path.dirname(os.path.abspath(options.program)), "libslow_mpi.so")
    machine = Machine(options)
    print(f"a message {machine.message * 1e6:.1f} us, a byte {machine.byte * 1e9:.3f} ns, "
          f"an update {machine.update * 1e9:.3f} ns an element")
    for name, one in machine.models.items():
        print(f"\n{name}: {one['elements']:.0f} parameters, a shard {one['least_shard'] * 1e3:.2f} ms. Predicted efficiency:")
        print("  ranks     " + "".join(f"{ranks:7}" for ranks in RANKS))
        for mbit in LATENCY:
            row = "".join(f"{machine.efficiency(name, ranks, mbit):7.3f}" for ranks in RANKS)
            print(f"  {mbit // 1000:4} Gbit/s{row}")
    worst = max(check(machine, name) for name in machine.models)
    print(f"\nlargest error of a prediction: {100 * worst:.1f} %")


if __name__ == "__main__":
    main()
