#!/usr/bin/env python3
"""Doxygen's INPUT_FILTER: prints a public header with its comments in doxygen's language.

    filter.py HEADER

Each header becomes a group, each of its sections a group in that. The headers themselves stay plain."""
import os
import re
import sys

import headers

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STATEMENT = re.compile(r"[;{]\s*(//.*)?$")


def public_names():
    """The names that become links."""
    names = set()
    for path in headers.paths(SOURCE):
        for section in headers.read(SOURCE, path).sections:
            for symbol in section.symbols:
                names |= {symbol.name} | {part.name for part in symbol.members if part.kind == "enumerator"}
    return names


NAMES = public_names()


def escape(text):
    return re.sub(r"([\\@<>&#%\"$])", r"\\\1", text)


def prose(text):
    """Text with links to names and with `quoted` words as code."""
    out = []
    for i, part in enumerate(re.split(r"`([^`]+)`", text)):
        part = re.sub(r"\b[wW][gG]_\w+", lambda m: f'@ref {m[0]} "{m[0]}"' if m[0] in NAMES else m[0],
                      escape(part)) if i % 2 == 0 else f"<tt>{escape(part)}</tt>"
        out.append(part)
    return re.sub(r"(\bal\.|\bcf\.|\.\.) ", r"\1&nbsp;", "".join(out))  # where a sentence does not end


def markup(text):
    """A comment's text. Indented lines stay as they are: formulas, tables, and examples, which are coloured."""
    out, block = [], []
    for line in text.split("\n") + ["."]:
        if line.startswith("  ") or (block and not line):
            block.append(line)
            continue
        if block:
            out += preformatted(block)
            block = []
        out.append(prose(line))
    out.pop()
    return "\n".join(out).strip()


def preformatted(block):
    while block and not block[-1]:
        block = block[:-1]
    margin = min(len(line) - len(line.lstrip()) for line in block if line)
    code = any(STATEMENT.search(line) for line in block) and margin > 3
    return ["@code{.c}" if code else "@verbatim", *(line[margin:] for line in block),
            "@endcode" if code else "@endverbatim", ""]


def comment(text):
    return f"/** {text} */" if text else ""


def identifier(*words):
    return re.sub(r"\W+", "_", "_".join(words)).strip("_").lower()


def doc_of(symbol):
    if symbol.doc or not symbol.name.endswith("_defaults"):
        return markup(symbol.doc)
    result = re.search(r"(wg_\w+) wg_\w+_defaults", symbol.code)[1]
    return f"The defaults, as the fields of {prose(result)} state them."


def declaration(symbol):
    """The declaration as C without comments; its members with theirs."""
    if symbol.kind not in ("struct", "enum"):
        return symbol.code
    opening, body = symbol.code.split("{", 1)
    closing = body[body.rindex("}"):]
    lines = [opening + "{"]
    seen = set()
    for part in symbol.members:
        if part.kind == "field" and len([p for p in symbol.members if p.code == part.code]) > 1:
            code = single_field(part)
        else:
            code = part.code
        if (part.name, code) not in seen:
            about = markup(part.doc or ("" if symbol.name else symbol.doc)) or "&nbsp;"  # or it would have no anchor
            lines += [comment(about), re.sub(r"/\*.*?\*/", "", code, flags=re.S)]
        seen.add((part.name, code))
    return "\n".join(lines + [closing])


def single_field(part):
    """Of `wg_param *weight, *bias;` the declaration of one."""
    first, *rest = re.sub(r"/\*.*?\*/", "", part.code, flags=re.S).rstrip(";").split(",")
    kind = re.match(r"(.*?)\s*\**\s*\w+(\[.*?\])*$", first.strip(), re.S)[1]
    for one in [first.strip()[len(kind):], *rest]:
        if re.search(r"\b" + part.name + r"\b", one):
            return f"{kind} {one.strip()};"
    return part.code


def group(name, parent, title, text):
    above = f"@ingroup {parent}\n" if parent else ""
    return f"/** @defgroup {name} {escape(title)}\n{above}{markup(text)}\n@{{ */"


def main():
    path = os.path.relpath(os.path.abspath(sys.argv[1]), SOURCE)
    header = headers.read(SOURCE, path)
    top = identifier(os.path.splitext(path)[0])
    print(f"/** @file\n@brief {prose(header.title)} */")
    for section in header.sections:
        if section.title:
            title, text = section.title[:1].upper() + section.title[1:], section.text
            if len(title) > 45:
                title, text = re.split(r"[,:;(]", title)[0].strip(), f"{title}.\n\n{text}"
            print(group(identifier(top, section.title)[:60], top, title, text))
        else:
            print(group(top, "", header.title, header.head + "\n\n" + section.text))
        for symbol in section.symbols:
            print(comment(doc_of(symbol)), declaration(symbol), "", sep="\n")
        print("/** @} */")


if __name__ == "__main__":
    main()
