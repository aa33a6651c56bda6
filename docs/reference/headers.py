"""The public headers, read: sections, declarations and the comments that document them.

A header opens with a comment about itself. `/* ---- name ----` begins a section, with text about it up to the end of
that comment. A comment documents the declaration below it, or the one that it stands behind. Declarations without a
blank line between them share the comment above the first one (Symbol.share). Used by filter.py, which writes
doxygen's comments, and by tests/documented.py."""
import os
import re

TOKEN = re.compile(r"""(?P<comment>/\*.*?\*/)|(?P<blank>\n[ ]*(?=\n))|(?P<space>\s+)
    |(?P<directive>\#(?:\\\n|/\*.*?\*/|[^\n])*?(?=\s*/\*|\n|$))|(?P<code>"(?:\\.|[^"\\])*"|//[^\n]*|.)""", re.S | re.X)
SECTION = re.compile(r"---- (.*?) -{2,}(.*)", re.S)


class Symbol:
    """A declaration, a field or an enumerator."""

    def __init__(self, kind, name, code, line):
        self.kind, self.name, self.code, self.line = kind, name, code, line
        self.before, self.behind, self.shared, self.members = "", "", "", []

    @property
    def doc(self):
        return "\n".join(text for text in (self.before or self.shared, self.behind) if text)

    def share(self, comment, first):
        """Takes the comment above the declaration `first`, if it is about this one as well: if it has the last word of
        this name, or if the names differ only in `begin` and `end` or in the number of axes."""
        alike = re.sub(r"\dd$|_end$", "", self.name) == re.sub(r"\dd$|_begin$", "", first)
        if alike or re.search(r"\b" + self.name.split("_")[-1] + r"(s|es)?\b", comment, re.I):
            self.shared = comment


class Section:
    def __init__(self, title, text):
        self.title, self.text, self.symbols = title, text, []


class Header:
    """path: relative to the source folder; head: the text about the header; sections: the first one has no title."""

    def __init__(self, path):
        self.path, self.head, self.sections = path, "", [Section("", "")]

    @property
    def title(self):
        return re.split(r"[:.,]| \(", self.head, maxsplit=1)[0]


def paths(source, path="wengert-dist.h", seen=None):
    """The public headers: all that wengert.h and wengert-dist.h include, in this order."""
    seen = [] if seen is None else seen
    with open(os.path.join(source, path), encoding="utf-8") as file:
        for include in re.findall(r'^#include "(.*)"', file.read(), re.M):
            include = os.path.normpath(os.path.join(os.path.dirname(path), include))
            if include not in seen:
                paths(source, include, seen)
                if "/" in include:
                    seen.append(include)
    return seen


def plain(comment):
    """The text of a comment: without marks and common indentation."""
    lines = [re.sub(r"^\s*\* ?", "", line) for line in re.sub(r"^/\*|\*/$", "", comment).split("\n")]
    rest = [line for line in lines[1:] if line.strip()]
    margin = min((len(line) - len(line.lstrip()) for line in rest), default=0)
    hanging = margin if margin > 4 and "\n *" not in comment else 0  # continued far to the right of code
    return "\n".join([lines[0].strip()] + [line[hanging:].rstrip() for line in lines[1:]]).strip("\n ")


def c_part(text):
    """The text as a C compiler sees it: lines for C++ are blanked, so that line numbers stay."""
    out, stack = [], []
    for line in text.split("\n"):
        directive = re.match(r"#\s*(ifdef|ifndef|if|elif|else|endif)\b\s*(.*)", line)
        if directive:
            if directive[1] in ("ifdef", "ifndef", "if"):
                stack.append("c++" if line.startswith("#ifdef __cplusplus") else "any")
            elif directive[1] == "else":
                stack[-1] = {"c++": "c", "any": "other"}.get(stack[-1], "other")
            elif directive[1] == "endif":
                stack.pop()
            out.append(" ")
        else:
            out.append(" " if "c++" in stack or "other" in stack else line)
    return "\n".join(out)


def name_of(code):
    """(kind, name) of a declaration; None if it declares nothing of the library."""
    code = re.sub(r"\s+", " ", code)
    macro = re.match(r"#define (\w+)(\([^)]*\))?", code)
    if macro:
        return None if macro[1].endswith("_H") else ("macro", macro[1])
    body = re.match(r"(?:typedef )?(struct|enum)(?: \w+)? ?\{.*\} ?(\w*) ?;$", code)
    if body:
        return body[1], body[2] or (re.match(r"struct (\w+)", code) or [None, ""])[1]
    if code.startswith("typedef"):
        return "typedef", (re.search(r"\(\*(\w+)\)", code) or re.search(r"(\w+) ?;$", code))[1]
    function = re.match(r".*?\b(wg_\w+) ?\(", code)
    return ("function", function[1]) if "WG_API" in code and function else None


def members_of(symbol, body, line):
    """The fields or enumerators, with their comments."""
    mark = "," if symbol.kind == "enum" else ";"
    found = scan(body, line, lambda text, depth: depth == 0 and text == mark, lambda code: member(code, symbol.kind))
    return [part for item in found if isinstance(item, Symbol) for part in item.members]


def member(code, kind):
    code = code.strip()
    if kind == "enum":
        return ("enumerator", [code.rstrip(",").split("=")[0].strip()]) if code.strip(",") else None
    pointer = re.search(r"\(\*(\w+)\)", code)
    if pointer:
        return "field", [pointer[1]]
    return "field", [re.sub(r"\[.*?\]", "", part).split()[-1].strip("*;") for part in code.rstrip(";").split(",")]


def scan(text, line, ends, kind_of):
    """Comments and declarations, in order. Declarations end where ends(character, depth) says."""
    items, code, start, depth = [], "", 0, 0
    pending, shared, first, inner = "", "", "", []
    last, last_line = None, -1

    def close():
        nonlocal code, pending, shared, first, last, last_line, inner
        what = kind_of(code)
        if what:
            names = what[1] if isinstance(what[1], list) else [what[1]]
            symbol = Symbol(what[0], names[0], code.strip(), start)
            if isinstance(what[1], list):
                symbol.members = [Symbol(what[0], name, code.strip(), start) for name in names]
            first = symbol.name if pending else first
            for part in [symbol] + symbol.members:
                part.before, part.behind = pending, "\n".join(inner)
                if shared and not pending:
                    part.share(shared, first)
            items.append(symbol)
            last, last_line = symbol, line
            shared = pending or shared
        code, pending, inner = "", "", []

    for token in TOKEN.finditer(text):
        kind, word = token.lastgroup, token[0]
        if kind == "comment":
            inside = plain(word)
            if code.strip() and "{" in code:
                code += word  # belongs to a field
            elif code.strip():
                inner.append(inside)
            elif last is not None and last_line == line:
                for part in [last] + (last.members if last.kind in ("field", "enumerator") else []):
                    part.behind = "\n".join(filter(None, [part.behind, inside]))
            elif SECTION.match(inside):
                items.append((line, inside))
                shared = ""
            else:
                pending = shared = inside
        elif kind == "blank":
            if not code.strip():
                if pending:
                    items.append((line, pending))
                pending = shared = ""
            code += word if code else ""
        elif kind == "directive":
            code, start = word, line
            close()
        elif kind == "code" and not (word.startswith("//")):
            if not code.strip():
                start = line
            code += word
            depth += (word in "{(") - (word in "})")
            if ends(word, depth):
                close()
        else:
            code += word if code else ""
        line += word.count("\n")
    if code.strip():
        close()
    return items


def read(source, path):
    with open(os.path.join(source, path), encoding="utf-8") as file:
        text = file.read()
    header = Header(path)
    head = TOKEN.match(text)[0]
    header.head = plain(head)
    ends = lambda word, depth: word == ";" and depth == 0  # noqa: E731
    for item in scan(c_part(text[len(head):]), 1 + head.count("\n"), ends, name_of):
        if isinstance(item, tuple):
            section = SECTION.match(item[1])
            if section:
                header.sections.append(Section(section[1].strip(), section[2].strip("-\n").rstrip()))
            else:
                here = header.sections[-1]
                here.text = (here.text + "\n\n" + item[1]).strip()
            continue
        if item.kind in ("struct", "enum"):
            body = item.code[item.code.index("{") + 1:item.code.rindex("}")]
            item.members = members_of(item, body, item.line + item.code[:item.code.index("{")].count("\n"))
        header.sections[-1].symbols.append(item)
    return header


if __name__ == "__main__":
    print("\n".join(paths(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))))
