#!/usr/bin/env python3
"""Compiles the examples in the comments of the public headers: all that wengert-dist.h includes, and so wengert.h.

    header_examples.py SOURCE [CC ARG...]

An example is a run of comment lines indented by five blanks one of which ends a C statement. It becomes the body of a
function; definitions that begin with `static` stay outside of it. What it uses without declaring it is declared in
header_examples.h, by header. Not C, and allowed: a line that begins with dots; dots at the end of a line or before its
comment, between two others, or as the last argument (REST in header_examples.h); text after a statement and three
blanks."""
import os
import re
import subprocess
import sys
import tempfile

LINE = re.compile(r"^\s*\*     (.*?)(\s*\*/)?\s*$")
STATEMENT = re.compile(r"[;{]\s*(//.*)?$")


def public_headers(source, path="wengert.h", seen=None):
    seen = {} if seen is None else seen
    if path not in seen:
        with open(os.path.join(source, path), encoding="utf-8") as file:
            seen[path] = file.read().split("\n")
        for line in seen[path]:
            include = re.match(r'#include "(.*)"', line)
            if include:
                public_headers(source, os.path.normpath(os.path.join(os.path.dirname(path), include[1])), seen)
    return seen


def code_of(line):
    """The line as C, or None."""
    if re.match(r"\s*\.\.\.", line):
        return None
    line = re.sub(r"([;{}])\s{3,}(?!//).*$", r"\1", line)
    line = re.sub(r"\.\.\. [^;{}]*\.\.\. ", "", line)
    line = line.replace(", ...)", ", REST)")
    return re.sub(r"\s\.\.\.(?=$|\s*//)", " {}", line)


def examples_of(lines):
    """Pairs of the number of the first line and the lines."""
    found, block, first = [], [], 0
    for number, line in enumerate([*lines, ""], 1):
        match = LINE.match(line)
        if match:
            first = first if block else number
            block.append(match[1])
        if block and (not match or match[2]):
            if any(STATEMENT.search(part) for part in block):
                found.append((first, block))
            block = []
    return found


def program_of(header, block):
    """Two parts: what stands outside of the function, and inside."""
    outside, inside, braces, apart = [], [], 0, False
    for line in block:
        line = code_of(line)
        if line is None:
            continue
        apart = apart or (braces == 0 and line.startswith("static "))
        (outside if apart else inside).append(line)
        braces += line.count("{") - line.count("}")
        if braces == 0 and re.search(r"[;}]$", line):
            apart = False
    name = re.sub(r"\W", "_", os.path.splitext(os.path.basename(header))[0])
    return "\n".join([f"#define EXAMPLE_OF_{name}", '#include "tests/header_examples.h"', *outside,
                      "void example(void);", "void example(void)", "{",
                      "for (int once = 1; once; once = 0) {", *inside, "}", "}", ""])


def main():
    source, compiler = sys.argv[1], sys.argv[2:] or ["cc"]
    count = failures = 0
    with tempfile.TemporaryDirectory() as work:
        for header, lines in sorted(public_headers(source, "wengert-dist.h").items()):
            for first, block in examples_of(lines):
                path = os.path.join(work, "example.c")
                with open(path, "w", encoding="utf-8") as file:
                    file.write(program_of(header, block))
                done = subprocess.run([*compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", "-Wno-unused",
                                       "-Wno-unused-result", "-Wno-unused-parameter", "-I" + source, "-fsyntax-only",
                                       path], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                count += 1
                if done.returncode != 0:
                    failures += 1
                    print(f"{header}:{first}: the example does not compile\n{done.stdout}", file=sys.stderr)
    print(f"{count} examples in headers compiled")
    return 1 if failures or not count else 0


if __name__ == "__main__":
    sys.exit(main())
