#!/usr/bin/env python3
"""Which room needs which: symbols of the built objects, by nm, and #include lines, against tests/rooms.txt.

    tests/arrows.py SOURCE BUILD [-v]

A room is a folder of the library's sources. Fails if a room needs a symbol or a header of a room that is listed after
it, if a folder is not listed, or if files inside a room need each other in a circle (ops is one room of op families
that are written in each other's terms: circles of its files are allowed). -v prints every arrow between rooms."""
import collections
import json
import os
import pathlib
import re
import subprocess
import sys

CIRCLES_ALLOWED = {"ops"}


def read_rooms(path):
    """The rooms in order, the shared files, the known circles."""
    rooms, shared, known = [], set(), set()
    for line in path.read_text(encoding="utf-8").splitlines():
        word, *rest = line.split() or [""]
        if word == "room":
            rooms.append(rest[0])
        elif word == "shared":
            shared.update(rest)
        elif word == "circle":
            known.add(tuple(sorted(rest)))
        elif word and not word.startswith("#"):
            sys.exit(f"{path}: '{line}' is neither room, shared nor circle")
    return rooms, shared, known


def library_objects(source, build):
    """(source file, object) for every compiled file outside of tests, bench and examples."""
    for row in json.loads((build / "compile_commands.json").read_text(encoding="utf-8")):
        path = (build / row["file"]).resolve()
        if build in path.parents:
            continue  # generated: tests only
        file = pathlib.Path(os.path.relpath(path, source)).as_posix()
        out = build / (row.get("output") or re.search(r"-o (\S+)", row["command"]).group(1))
        if file.split("/")[0] not in ("tests", "bench", "examples", "..") and out.exists():
            yield file, str(out)


def needs_by_symbol(source, build):
    """file -> file -> the symbols that the first needs of the second."""
    of = {out: file for file, out in library_objects(source, build)}
    if not of:
        sys.exit(f"{build}: no objects; build first")
    defined, wanted = collections.defaultdict(set), set()
    nm = subprocess.run(["nm", "-A", "-P", *of], capture_output=True, text=True, check=True).stdout
    for line in nm.splitlines():
        name, symbol, kind = re.match(r"(.*): (\S+) (\S)", line).groups()
        if kind == "U":
            wanted.add((of[name], symbol))
        elif kind.isupper():
            defined[symbol].add(of[name])
    files = collections.defaultdict(lambda: collections.defaultdict(set))
    for file, symbol in wanted:
        for other in defined[symbol] - {file}:
            files[file][other].add(symbol)
    return files, set(of.values())


def needs_by_header(source, rooms, shared):
    """The same for headers: file -> file -> the header's name."""
    files = collections.defaultdict(lambda: collections.defaultdict(set))
    for room in rooms:
        for path in sorted((source / room).glob("*.[ch]")):
            for header in re.findall(r'^#include "([^"]+)"', path.read_text(encoding="utf-8"), re.M):
                other = os.path.normpath(os.path.join(room, header))
                if other not in shared:
                    files[f"{room}/{path.name}"][other].add(header)
    return files


def by_room(files):
    """Arrows between files -> arrows between rooms."""
    rooms = collections.defaultdict(lambda: collections.defaultdict(set))
    for file, others in files.items():
        for other, names in others.items():
            rooms[os.path.dirname(file)][os.path.dirname(other)] |= names
    return rooms


def circles(edges):
    """The sets of nodes that reach each other, of two or more."""
    reach = {}
    for start in edges:
        seen, todo = set(), [start]
        while todo:
            for other in edges.get(todo.pop(), ()):
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
        reach[start] = seen
    return {tuple(sorted(b for b in reach[a] if a in reach.get(b, ()))) for a in reach if a in reach[a]}


def main():
    source, build = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
    rooms, shared, known = read_rooms(source / "tests/rooms.txt")
    level = {room: i for i, room in enumerate(rooms)}
    symbols, compiled = needs_by_symbol(source, build)
    errors = [f"rooms.txt lists no room {r}" for r in sorted({os.path.dirname(f) for f in compiled} - set(rooms))]
    errors += [f"rooms.txt lists {room}, which does not exist" for room in rooms if not (source / room).is_dir()]

    for what, files in ("symbols", symbols), ("headers", needs_by_header(source, rooms, shared)):
        for room, others in sorted(by_room(files).items()):
            for other, names in sorted(others.items()):
                arrow = f"{room} -> {other}: {len(names)} {what}: {', '.join(sorted(names)[:4])}"
                if "-v" in sys.argv and room != other:
                    print(arrow)
                if level.get(other, -1) > level.get(room, len(rooms)):
                    errors.append(f"runs up: {arrow}")

    found = set()
    for room in rooms:
        inside = {f: {o for o in others if os.path.dirname(o) == room} for f, others in symbols.items()
                  if os.path.dirname(f) == room}
        if room not in CIRCLES_ALLOWED:
            found |= circles(inside)
    for circle in sorted(found - known):
        errors.append("a circle of files: " + " ".join(circle))
        errors += [f"    {a} -> {b}: {', '.join(sorted(symbols[a][b]))}" for a in circle for b in circle if symbols[a][b]]
    errors += ["rooms.txt lists a circle that is gone: " + " ".join(circle) for circle in sorted(known - found)]

    print("\n".join(errors) or f"{len(rooms)} rooms, {len(compiled)} files: no arrow runs up")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
