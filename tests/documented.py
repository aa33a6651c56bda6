#!/usr/bin/env python3
"""Every public symbol is documented: what wengert.h and wengert-dist.h include is read, comments and all.

    documented.py SOURCE

A function, type or macro needs a comment above or behind it (docs/reference/headers.py says when declarations share
one). So does a field or an enumerator, unless the comment of its struct or enum names it. A `_defaults` function is
documented by the struct that it returns. Each header introduces itself and has an example; header_examples.py compiles
those. The names in the tutorial and in docs/from-pytorch.md
exist, and docs/README.md lists all pages."""
import glob
import os
import re
import sys

SOURCE = sys.argv[1]
sys.path[:0] = [os.path.join(SOURCE, "docs", "reference"), os.path.join(SOURCE, "tests")]
import header_examples  # noqa: E402
import headers  # noqa: E402


def undocumented(header):
    """Lines of text about what is not documented."""
    for section in header.sections:
        for symbol in section.symbols:
            what = f"{header.path}:{symbol.line}: {symbol.kind} {symbol.name}"
            if symbol.name and not symbol.doc and not symbol.name.endswith("_defaults"):
                yield f"{what} is not documented"
            for member in symbol.members:
                named = re.search(r"\b" + member.name + r"\b", symbol.doc + section.text)
                alone = not symbol.name and len(symbol.members) == 1 and symbol.behind
                if not (alone or named or member.doc):
                    yield f"{what}: {member.kind} {member.name} is not documented"


def unknown(names):
    """Lines of text about names in pages that are no public symbols, nor the beginning of any, as wg_sgd is."""
    known = {name + "_" for name in names}
    for page in sorted(glob.glob(os.path.join(SOURCE, "docs", "tutorial", "*.md"))
                       + [os.path.join(SOURCE, "docs", "from-pytorch.md")]):
        with open(page, encoding="utf-8") as file:
            for name in sorted(set(re.findall(r"\b(?:wg|WG)_\w+", file.read()))):
                if not any(other.startswith(name.rstrip("_") + "_") for other in known):
                    yield f"{os.path.relpath(page, SOURCE)}: there is no {name}"


def main():
    problems, names = [], []
    for path in headers.paths(SOURCE):
        header = headers.read(SOURCE, path)
        with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
            lines = file.read().split("\n")
        if not header.head or not header_examples.examples_of(lines):
            problems.append(f"{path}: no introduction or no example in it")
        problems += undocumented(header)
        for section in header.sections:
            for symbol in section.symbols:
                names += [symbol.name] + [member.name for member in symbol.members]
    problems += unknown(names)
    with open(os.path.join(SOURCE, "docs", "README.md"), encoding="utf-8") as file:
        index = file.read()
    for page in glob.glob(os.path.join(SOURCE, "docs", "**", "*.md"), recursive=True):
        page = os.path.relpath(page, os.path.join(SOURCE, "docs"))
        if page != "README.md" and f"({page})" not in index:
            problems.append(f"docs/README.md: does not list {page}")
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(names)} symbols, {len(problems)} problems")
    return 1 if problems or len(names) < 1000 else 0


if __name__ == "__main__":
    sys.exit(main())
