#!/usr/bin/env python3
"""The tutorial, done as a reader does it: its listings are compiled and run, and print what the text shows.

    tutorial.py SOURCE BUILD CHAPTER.md|PROGRAM.c ...

In a chapter, a block ```c FILE is from docs/tutorial/FILE: its lines stand there in one piece, or in pieces if the
block has lines of dots. The blocks ```sh are run in an empty folder that has the tutorial's programs; ```sh install is
not run, ```sh long only with WG_TEST_LONG. The block ```text that follows is what is printed on standard output; in
```text about, numbers may differ by a tenth or 0.05, since they depend on the instruction set; ```text sample is not
compared. A program of examples/short has at most 25, 40 or 50 lines of C, learns, and saves a file."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE, BUILD = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
TUTORIAL = os.path.join(SOURCE, "docs", "tutorial")
SHORT = {"mlp.c": (25, 0.6), "convnet.c": (40, 0.6), "gru.c": (50, 2.8)}  # lines, largest validation loss
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def fail(text):
    sys.exit(f"tutorial.py: {text}")


def blocks_of(path):
    """(first line of the fence without its mark, lines) of each block."""
    with open(path, encoding="utf-8") as file:
        return [(mark, body.split("\n")[:-1])
                for mark, body in re.findall(r"^```([^\n]*)\n(.*?)^```$", file.read(), re.S | re.M)]


def check_listing(chapter, name, lines):
    with open(os.path.join(TUTORIAL, name), encoding="utf-8") as file:
        have = file.read().split("\n")
    at = 0
    for piece in "\n".join(lines).split("\n...\n"):
        piece = [line for line in piece.split("\n") if line != "..."]
        places = [i for i in range(at, len(have)) if have[i:i + len(piece)] == piece]
        if not places:
            fail(f"{chapter}: {name} does not have these lines, or not in this order:\n" + "\n".join(piece))
        at = places[0] + len(piece)


def alike(shown, printed):
    """Whether two texts differ in the values of numbers only, and little."""
    pairs = list(zip(NUMBER.findall(shown), NUMBER.findall(printed)))
    return NUMBER.sub("#", shown) == NUMBER.sub("#", printed) and all(
        abs(float(a) - float(b)) <= max(0.05, 0.1 * abs(float(a))) for a, b in pairs)


def run(command, folder, env):
    compiler = os.environ.get("CC", "cc")  # that of the build
    script = f'cc() {{ command {compiler} "$@"; }}\n{command}'
    done = subprocess.run(["sh", "-e", "-c", script], cwd=folder, env=env, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    if done.returncode != 0:
        fail(f"{command}\nexit code {done.returncode}\n{done.stderr[-2000:]}")
    return done


def do_chapter(path, folder, env):
    printed, runs, compared = "", 0, 0
    for mark, lines in blocks_of(path):
        kind, _, rest = mark.partition(" ")
        text = "\n".join(lines)
        if kind == "c":
            check_listing(os.path.basename(path), rest, lines)
        elif kind == "sh" and (not rest or (rest == "long" and os.environ.get("WG_TEST_LONG"))):
            printed = run(text, folder, env).stdout.strip("\n")
            runs += 1
        elif kind == "text" and rest in ("", "about"):
            if not (alike(text, printed) if rest else text == printed):
                fail(f"{path}: the text shows\n{text}\nand what is printed is\n{printed}")
            compared += 1
    if not runs or not compared:
        fail(f"{path}: {runs} blocks run, {compared} outputs compared")
    print(f"{os.path.basename(path)}: {runs} blocks run, {compared} outputs compared")


def do_short(path, folder, env):
    name = os.path.basename(path)
    most, limit = SHORT[name]
    with open(path, encoding="utf-8") as file:
        code = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    count = sum(1 for line in code.split("\n") if line.strip())
    run(f"cc -std=c11 -Wall -Wextra -Wno-unused-parameter -Werror {path} -o short "
        "$(pkg-config --cflags --libs wengert)", folder, env)
    before = set(os.listdir(folder))
    found = re.findall(r"validation (\d+\.\d+)", run("./short", folder, env).stderr)
    saved = [file for file in set(os.listdir(folder)) - before if file.endswith(".safetensors")]
    print(f"{name}: {count} lines, validation loss {found[-1] if found else 'none'}, {saved}")
    if count > most or not found or float(found[-1]) > limit or not saved:
        fail(f"{name}: more than {most} lines, or a loss above {limit}, or nothing saved")


def main():
    env = dict(os.environ, WENGERT=SOURCE, PKG_CONFIG_PATH=os.path.join(BUILD, "meson-uninstalled"),
               LD_LIBRARY_PATH=BUILD)
    for path in map(os.path.abspath, sys.argv[3:]):
        with tempfile.TemporaryDirectory() as folder:
            for program in glob.glob(os.path.join(TUTORIAL, "*.c")):
                shutil.copy(program, folder)
            if path.endswith(".md"):
                do_chapter(path, folder, env)
                continue
            data = {"mlp.c": "2-csv.md", "convnet.c": "3-pictures.md", "gru.c": "4-lstm.md"}[os.path.basename(path)]
            make = next(lines for mark, lines in blocks_of(os.path.join(TUTORIAL, data)) if mark == "sh")
            run("\n".join(make), folder, env)  # the chapter's first commands make the data
            do_short(path, folder, env)


if __name__ == "__main__":
    main()
