#!/usr/bin/env python3
"""Coverage of the library by its tests: lines and branches of each folder, by gcov.

    tests/coverage.py [--work DIR [--no-run]] [--branches] [TEST...]

Builds with counters, runs `meson test` (or the tests named), prints a table, and below it the lines that no test runs;
with --branches also the lines with branches that no test takes. --work keeps the build. Exit status: 0; 1 if a folder
has less than 95 % of its lines or 90 % of its branches; 2 if a build or a test fails.

A source that is compiled several times (per type and instruction set) counts once: a line or branch is covered if it
runs in one of the objects. Not counted: branches of asserts, and the plan verifier, both of which only fail if the
engine is at fault."""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDERS = ("autograd", "ops", "nn", "optim", "io", "metrics", "onnx", "train", "dist")
LINES, BRANCHES = 95, 90
SETUP = ["--buildtype=plain", "-Doptimization=1", "-Db_ndebug=true", "-Db_coverage=true",
         "-Dc_args=-DWG_COVERAGE"]
BROKEN = ("charlm", "install")  # by the counters: they fill a disk, and are exported
UNCOUNTED = re.compile(r"\bassert\(|\bassert_")


def run(command, **options):
    done = subprocess.run(command, **options)
    if done.returncode != 0:
        print(f"coverage.py: failed: {' '.join(command)}", file=sys.stderr)
        sys.exit(2)
    return done.stdout


def drop_stale(build):
    """Removes counts of objects that were compiled again since: a program that adds to them complains."""
    for folder, _, names in os.walk(build):
        for name in names:
            count = os.path.join(folder, name)
            note = count[:-len(".gcda")] + ".gcno"
            if name.endswith(".gcda") and os.path.exists(note) and os.path.getmtime(note) > os.path.getmtime(count):
                os.remove(count)


def reports(build):
    """What gcov says of the library's objects, one source file of one object at a time."""
    objects = [os.path.join(folder, name) for folder, _, names in os.walk(build) for name in names
               if name.endswith(".gcda") and (os.path.relpath(folder, build).split(os.sep)[0]
               not in ("tests", "examples", "bench") or name.startswith(".._"))]  # .._: compiled again in a test
    for i in range(0, len(objects), 50):
        text = run(["gcov", "--json-format", "--stdout", "--branch-probabilities", *objects[i:i + 50]], cwd=build,
                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in text.splitlines():
            report = json.loads(line)
            for file in report["files"]:
                path = os.path.join(report["current_working_directory"], file["file"])
                yield os.path.relpath(os.path.realpath(path), ROOT), file["lines"]


def counted(path):
    return path.split(os.sep)[0] in FOLDERS and not os.path.basename(path).startswith("verify")


def merged(build):
    """{path: {line: [runs, [runs of each branch]]}}"""
    files = {}
    for path, lines in reports(build):
        if not counted(path):
            continue
        known = files.setdefault(path, {})
        for line in lines:
            entry = known.setdefault(line["line_number"], [0, []])
            entry[0] += line["count"]
            taken = [branch["count"] for branch in line["branches"]]
            entry[1] += [0] * (len(taken) - len(entry[1]))
            for i, count in enumerate(taken):
                entry[1][i] += count
    for path, known in files.items():
        with open(os.path.join(ROOT, path), encoding="utf-8") as source:
            for number, text in enumerate(source, 1):
                if number in known and UNCOUNTED.search(text):
                    known[number][1] = []
    return files


def share(part, whole):
    return 100 * part / whole if whole else 100


def ranges(numbers):
    """[1, 2, 3, 7] as "1-3 7"."""
    out = []
    for n in numbers:
        if out and n == out[-1][1] + 1:
            out[-1][1] = n
        else:
            out.append([n, n])
    return " ".join(f"{a}-{b}" if b > a else f"{a}" for a, b in out)


def table(files):
    """Prints the figures; returns whether all are high enough."""
    good = True
    print(f"{'folder':10}{'lines':>8}{'covered':>10}{'branches':>10}{'covered':>10}")
    for folder in (*FOLDERS, ""):
        entries = [e for path, known in files.items() if path.startswith(folder) for e in known.values()]
        lines, ran = len(entries), sum(e[0] > 0 for e in entries)
        branches, taken = sum(len(e[1]) for e in entries), sum(n > 0 for e in entries for n in e[1])
        good &= share(ran, lines) >= LINES and share(taken, branches) >= BRANCHES
        print(f"{folder or 'all':10}{lines:8}{share(ran, lines):8.1f} %{branches:10}{share(taken, branches):8.1f} %")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", metavar="DIR", help="build directory, kept")
    parser.add_argument("--branches", action="store_true", help="also list lines with branches that are not taken")
    parser.add_argument("--no-run", action="store_true", help="only print, from what --work has counted")
    parser.add_argument("test", nargs="*")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        build = os.path.abspath(options.work or scratch)
        if not os.path.exists(os.path.join(build, "build.ninja")):
            run(["meson", "setup", *SETUP, build, ROOT], stdout=subprocess.DEVNULL)
        if not options.no_run:
            run(["ninja", "-C", build, "--quiet"], stdout=sys.stderr)
            drop_stale(build)
            tests = json.loads(run(["meson", "introspect", "--tests", build], stdout=subprocess.PIPE))
            names = options.test or [test["name"] for test in tests if test["name"] not in BROKEN]
            run(["meson", "test", "-C", build, "--no-rebuild", "--timeout-multiplier", "10", *names], stdout=sys.stderr)
        files = merged(build)
    good = table(files)
    for path in sorted(files):
        missed = [n for n, e in sorted(files[path].items()) if e[0] == 0]
        if missed:
            print(f"{path}: {ranges(missed)}")
        partly = [n for n, e in sorted(files[path].items()) if e[0] and 0 in e[1]]
        if partly and options.branches:
            print(f"{path}: branches: {ranges(partly)}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
