#!/usr/bin/env python3
"""Every public symbol is documented: what wengert.h includes is read, comments and all.

    documented.py SOURCE

A function, type or macro needs a comment above or behind it (docs/reference/headers.py says when declarations share
one). So does a field or an enumerator, unless the comment of its struct or enum names it. A `_defaults` function is
documented by the struct that it returns. Each header introduces itself and has an example; header_examples.py compiles
those."""
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


def main():
    problems, count = [], 0
    for path in headers.paths(SOURCE):
        header = headers.read(SOURCE, path)
        with open(os.path.join(SOURCE, path), encoding="utf-8") as file:
            lines = file.read().split("\n")
        if not header.head or not header_examples.examples_of(lines):
            problems.append(f"{path}: no introduction or no example in it")
        problems += undocumented(header)
        count += sum(1 + len(symbol.members) for section in header.sections for symbol in section.symbols)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{count} symbols, {len(problems)} problems")
    return 1 if problems or count < 1000 else 0


if __name__ == "__main__":
    sys.exit(main())
