#!/usr/bin/env python3
"""Static analysis of the library, all rooms: gcc -fanalyzer, clang --analyze and cppcheck.

    tests/analyze.py [BUILD] [--only gcc|clang|cppcheck] [--file WORD]

Reads the compile commands of BUILD (a new one in build-analyze if it is not given). Of sources that are compiled many
times, the baseline f32 variant is analyzed. Asserts are compiled. An analysis that takes too much time or memory is a
finding. Fails with a finding that tests/analyze.txt does not explain, or if a line there explains nothing."""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SECONDS, BYTES = 120, 6 << 30  # the limits of one analysis
ROOMS = ("autograd", "ops", "nn", "optim", "io", "metrics", "onnx", "train", "dist")
FINDING = re.compile(r"^(\S+?):(\d+):\d+: (?:warning|error|performance|portability): (.*)$")


def commands(build):
    """Source file -> its compiler arguments, without the compiler and the output, with asserts."""
    found = {}
    for row in json.loads((build / "compile_commands.json").read_text(encoding="utf-8")):
        file = os.path.relpath((pathlib.Path(row["directory"]) / row["file"]).resolve(), ROOT)
        words = shlex.split(row["command"])
        wanted = "-DWG__T=32" in words and "-DWG__ISA=baseline" in words
        if file.split("/")[0] in ROOMS and (file not in found or wanted):
            found[file] = [w for w in words[1:] if w.startswith(("-I", "-D", "-std", "-isystem", "-f"))
                           and "color" not in w and w != "-DNDEBUG" or w.startswith("/usr/include")]
    return found


def run(tool, file, arguments, build):
    # Without optimization, gcc 12 takes minutes and gigabytes for kernels, whose functions are inlined by force.
    level = "-O1" if file.startswith("ops/kernels/") else "-O0"
    line = {
        "gcc": ["gcc", "-fanalyzer", level, "-fdiagnostics-color=never", *arguments, "-c", "-o", os.devnull],
        "clang": ["clang", "--analyze", "--analyzer-output", "text", "-Wno-unknown-warning-option",
                  "-Wno-unused-command-line-argument", *arguments],
        "cppcheck": ["cppcheck", "--quiet", "--enable=warning,performance,portability", "--inline-suppr",
                     "--template={file}:{line}:{column}: {severity}: {message} [{id}]",
                     "-DUINTPTR_MAX=1", "-DUINT64_MAX=1", *[a for a in arguments if a.startswith(("-I", "-D"))]],
    }[tool]
    done = subprocess.run(["prlimit", f"--cpu={SECONDS}", f"--as={BYTES}", *line, str(ROOT / file)], cwd=build,
                          capture_output=True, text=True, check=False)
    found = []
    for text in done.stderr.splitlines() + done.stdout.splitlines():
        match = FINDING.match(text)
        if match:
            path = (build / match[1]).resolve()
            code = path.read_text(encoding="utf-8").splitlines()[int(match[2]) - 1].strip() if int(match[2]) else ""
            found.append((tool, os.path.relpath(path, ROOT), int(match[2]), code, match[3]))
    if done.returncode != 0:
        found.append((tool, file, 0, "", "not finished: " + (done.stderr.splitlines() or ["?"])[-1]))
    return found


def explanations(path):
    """(tool, file, code, text) of each line `tool file | code | text | reason`."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            tool, file, code, text, _ = re.match(r"(\S+) (\S+) \| (.*?) \| (.*?) \| (.+)$", line).groups()
            yield tool, file, code, text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?")
    parser.add_argument("--only", choices=("gcc", "clang", "cppcheck"))
    parser.add_argument("--file", default="", help="only files whose name contains this")
    args = parser.parse_args()
    build = pathlib.Path(args.build or ROOT / "build-analyze").resolve()
    if not (build / "compile_commands.json").exists():
        subprocess.run(["meson", "setup", build, "-Dtests=disabled"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    tools = [args.only] if args.only else ["gcc", "clang", "cppcheck"]
    work = [(tool, file, words, build) for file, words in sorted(commands(build).items()) if args.file in file
            for tool in tools]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        found = sorted({f for one in pool.map(lambda w: run(*w), work) for f in one})
    known, used = list(explanations(ROOT / "tests/analyze.txt")), set()
    open_findings = 0
    for tool, path, line, code, message in found:
        reason = next((k for k in known if k[:2] == (tool, path) and k[2] in code and k[3] in message), None)
        if reason:
            used.add(reason)
            continue
        open_findings += 1
        print(f"{path}:{line}: {tool}: {message}\n    {code}")
    if not args.file and not args.only:
        for entry in set(known) - used:
            open_findings += 1
            print(f"tests/analyze.txt: explains nothing: {entry}")
    print(f"{len({w[1] for w in work})} files by {', '.join(tools)}: {len(found)} findings, "
          f"{open_findings} of them not explained")
    return 1 if open_findings else 0


if __name__ == "__main__":
    sys.exit(main())
