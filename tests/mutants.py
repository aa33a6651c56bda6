#!/usr/bin/env python3
"""Mutation testing: breaks the sources in the ways that a list states, one at a time, and runs tests that must notice.

    tests/mutants.py [--only WORD] [--work DIR] [--timeouts N] LIST...
    tests/mutants.py --check LIST...    only says which texts to replace are no longer in the sources

The tree is copied to a scratch directory (--work keeps one for the next time) and built there once. For each mutant
the text is replaced, the executables of its tests are built again, and the tests run in their order until one fails, or
takes longer than N times its timeout (1; more where the machine is busy).
Prints a line for each mutant and the score. Exit status: 0 if all were caught, 1 if one was missed, 2 if one cannot be
applied or built, or if a test fails without any.

A list holds one statement on a line; a blank line or one that begins with # says nothing:

    setup ARG...      more arguments of `meson setup`
    run TEST ARG...   a test, by meson's name for it, and more arguments for its program. Before the first mutant: for
                      all mutants that name none of their own
    mutant NAME       the next mutant; what follows up to the next one belongs to it
    file PATH         where to replace, from the root of the tree
    after TEXT        replace the first occurrence after this text, which occurs once in the file; without it, the text
                      to replace must occur once
    - TEXT            the text to replace; further lines of this kind continue it
    + TEXT            its replacement; likewise

A mutant may replace several texts, each given by its "-" and "+" lines, in one file or several."""
import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Bad(Exception):
    """A list, a mutant or a build that is wrong: nothing was tested."""


class Mutant:
    def __init__(self, name):
        self.name = name
        self.edits = []  # (path, anchor or None, old lines, new lines)
        self.runs = []


def read_list(path):
    """Returns the arguments of `meson setup`, the default tests and the mutants."""
    setup, runs, mutants = [], [], []
    where = anchor = None
    before = ""
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            word, _, rest = line.rstrip("\n").partition(" ")
            if not word or word.startswith("#"):
                before = word
                continue
            if word == "mutant":
                mutants.append(Mutant(rest))
                where = anchor = None
            elif word == "setup":
                setup += shlex.split(rest)
            elif word == "run":
                (mutants[-1].runs if mutants else runs).append(shlex.split(rest))
            elif word == "file" and mutants:
                where, anchor = rest, None
            elif word == "after" and mutants:
                anchor = rest
            elif word == "-" and where:
                if before != "-":
                    mutants[-1].edits.append((where, anchor, [], []))
                    anchor = None
                mutants[-1].edits[-1][2].append(rest)
            elif word == "+" and where and before in ("-", "+"):
                mutants[-1].edits[-1][3].append(rest)
            else:
                raise Bad(f"{path}:{number}: '{line.strip()}' is out of place")
            before = word
    for mutant in mutants:
        mutant.runs = mutant.runs or runs
        if not mutant.edits or not mutant.runs:
            raise Bad(f"{path}: mutant {mutant.name}: replaces nothing or runs nothing")
    return setup, runs, mutants


def replaced(text, anchor, old, new, path):
    start = 0
    if anchor is not None:
        if text.count(anchor) != 1:
            raise Bad(f"{path}: '{anchor}' occurs {text.count(anchor)} times, must occur once")
        start = text.index(anchor) + len(anchor)
    count = text.count(old, start)
    if count == 0 or (anchor is None and count > 1):
        raise Bad(f"{path}: '{old}' occurs {count} times, must occur once")
    at = text.index(old, start)
    return text[:at] + new + text[at + len(old):]


def edited(source, mutant):
    """The files of a mutant before and after it: two maps from path to text."""
    before, after = {}, {}
    for path, anchor, old, new in mutant.edits:
        if path not in before:
            with open(os.path.join(source, path), encoding="utf-8") as file:
                before[path] = after[path] = file.read()
        after[path] = replaced(after[path], anchor, "\n".join(old), "\n".join(new), path)
    return before, after


class Tree:
    """The copy and its build."""

    def __init__(self, work, timeouts):
        self.timeouts = timeouts
        self.source = os.path.join(work, "source")
        self.build = os.path.join(work, "build")
        self.tests = {}

    def copy(self):
        """Copies what differs, so that a directory that was kept is built again only in part."""
        names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True, check=True,
                               stdout=subprocess.PIPE).stdout.split("\n")
        for name in names:
            source, target = os.path.join(ROOT, name), os.path.join(self.source, name)
            if not name or not os.path.isfile(source):
                continue
            with open(source, "rb") as file:
                data = file.read()
            if os.path.exists(target):
                with open(target, "rb") as file:
                    if file.read() == data:
                        continue
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(source, target)
            shutil.copymode(source, target)

    def setup(self, arguments):
        again = ["--wipe"] if os.path.exists(os.path.join(self.build, "build.ninja")) else []
        stamp = os.path.join(self.build, "mutants-setup")
        if again and os.path.exists(stamp):
            with open(stamp, encoding="utf-8") as file:
                if file.read() == repr(arguments):
                    again = None
        if again is not None:
            self.must(["meson", "setup", *again, *arguments, self.build, self.source])
            with open(stamp, "w", encoding="utf-8") as file:
                file.write(repr(arguments))
        listing = subprocess.run(["meson", "introspect", "--tests", self.build], text=True, check=True,
                                 stdout=subprocess.PIPE).stdout
        self.tests = {test["name"]: test for test in json.loads(listing)}

    @staticmethod
    def must(command):
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise Bad(f"{shlex.join(command)}:\n{done.stdout[-3000:]}")

    def test(self, name):
        if name not in self.tests:
            raise Bad(f"there is no test '{name}'")
        return self.tests[name]

    def compile(self, runs):
        """Builds the programs that the tests start, and what they are given as arguments."""
        targets = set()
        for name, *_ in runs:
            for word in self.test(name)["cmd"]:
                target = os.path.relpath(os.path.join(self.build, word), self.build)
                if word.startswith(self.build + os.sep) and not target.startswith(os.pardir):
                    targets.add(target)
        self.must(["ninja", "-C", self.build, *sorted(targets)])

    def first_failure(self, runs):
        """The name of the first test that fails or runs into its timeout; None if all pass."""
        for name, *arguments in runs:
            test = self.test(name)
            try:
                limit = self.timeouts * max(10, test["timeout"])
                done = subprocess.run([*test["cmd"], *arguments], cwd=test["workdir"] or self.build,
                                      env={**os.environ, **test["env"]}, timeout=limit,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                if done.returncode != 0:
                    return name
            except subprocess.TimeoutExpired:
                return name + " (timeout)"
        return None

    def apply(self, mutant):
        """Replaces the texts; returns the files as they were."""
        before, after = edited(self.source, mutant)
        self.write(after)
        return before

    def write(self, files):
        for path, text in files.items():
            with open(os.path.join(self.source, path), "w", encoding="utf-8") as file:
                file.write(text)


def run_list(tree, path, only):
    """Returns the number of mutants that were caught, missed, and wrong."""
    setup, runs, mutants = read_list(path)
    mutants = [mutant for mutant in mutants if only in mutant.name]
    tree.setup(setup)
    unique = []
    for mutant in mutants:
        unique += [run for run in mutant.runs if run not in unique]
    tree.compile(unique)
    failed = tree.first_failure(unique)
    if failed:
        raise Bad(f"{failed} fails without any mutant")
    caught = missed = wrong = 0
    for mutant in mutants:
        started = time.time()
        before = {}
        try:
            before = tree.apply(mutant)
            tree.compile(mutant.runs)
            failed = tree.first_failure(mutant.runs)
            caught, missed = (caught + 1, missed) if failed else (caught, missed + 1)
            verdict = f"caught by {failed}" if failed else "MISSED"
        except Bad as reason:
            wrong += 1
            verdict = f"WRONG: {reason}"
        finally:
            tree.write(before)
        print(f"{mutant.name}: {verdict}, {time.time() - started:.1f} s", flush=True)
    return caught, missed, wrong


def check(paths):
    """Exit status: 0 if all mutants can be applied to the sources here, else 2."""
    wrong = 0
    for path in paths:
        for mutant in read_list(path)[2]:
            try:
                edited(ROOT, mutant)
            except (Bad, OSError) as reason:
                wrong += 1
                print(f"{os.path.basename(path)}, {mutant.name}: {reason}")
    return 2 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("list", nargs="+", metavar="LIST")
    parser.add_argument("--only", default="", metavar="WORD", help="only mutants whose name holds it")
    parser.add_argument("--work", metavar="DIR", help="scratch directory, kept")
    parser.add_argument("--timeouts", type=float, default=1, metavar="N", help="times the timeout of each test")
    parser.add_argument("--check", action="store_true", help="only whether the mutants can be applied")
    options = parser.parse_args()
    if options.check:
        return check(options.list)
    work = os.path.abspath(options.work) if options.work else tempfile.mkdtemp(prefix="mutants-")
    tree = Tree(work, options.timeouts)
    counts = [0, 0, 0]
    try:
        tree.copy()
        for path in options.list:
            counts = [a + b for a, b in zip(counts, run_list(tree, path, options.only))]
    except Bad as reason:
        print(f"mutants.py: {reason}", file=sys.stderr)
        return 2
    finally:
        if not options.work:
            shutil.rmtree(work, ignore_errors=True)
    caught, missed, wrong = counts
    print(f"{caught} of {sum(counts)} mutants caught" + (f", {wrong} wrong" if wrong else ""))
    return 2 if wrong or not sum(counts) else 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
