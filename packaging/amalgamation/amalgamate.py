#!/usr/bin/env python3
"""Writes the library as two files, wengert.c and wengert.h, that one command compiles: cc -O2 -c wengert.c

    packaging/amalgamation/amalgamate.py [-v] SOURCE FOLDER

The result needs libc, libm and pthreads alone: the reference product instead of BLIS, libm instead of SLEEF, no zlib,
libpng, libjpeg or libsndfile (-DWG_HAVE_ZLIB -lz: with it, and so on), and kernels for one instruction set, that of the
compiler's flags. The files come from the lists in the meson.build files. Each is copied as it is, but

  - a header stands where it is first included; headers of the C library stand at the top, once;
  - the macros of a file end with it;
  - kernels that are compiled per element type stand once for each type, and their names get its suffix;
  - file-scope names that two files define, or that the C library declares, get the file's name as suffix.

-v prints the table of these."""
import argparse
import pathlib
import re
import sys

import c_names

CONDITIONAL = {"cpuid.h", "immintrin.h", "jerror.h", "jpeglib.h", "png.h", "sleef.h", "sndfile.h", "sys/syscall.h",
               "zlib.h"}  # stay where they are, inside of #if
LIBC = {"accept", "bind", "connect", "drem", "dup", "gamma", "index", "j0", "j1", "jn", "link", "listen", "pause",
        "pipe", "poll", "read", "remove", "rename", "rindex", "round", "scalb", "select", "send", "signal", "sleep",
        "sync", "truncate", "unlink", "wait", "write", "y0", "y1", "yn"}  # short ones of the headers that are included
NOT_HERE = {"blis.c"}  # no_blis.c takes its place
KERNEL_H = "ops/kernels/base/kernel.h"  # for other files than kernels it is but an #include of exec.h
DEPENDS_ON_TYPE = re.compile(r"\b(?:real|WG__T|WG__ISA|WG__K|WG__BF16|WG__I32|WG__BOOL)\b")

F32, F64 = {"WG__T": "32"}, {"WG__T": "64"}
I32, BOOL = {"WG__T": "0", "WG__I32": ""}, {"WG__T": "0", "WG__BOOL": ""}
BF16 = {"WG__T": "32", "WG__BF16": ""}
PLAIN, PRODUCT = ["integer", "variant"], ["product_variant", "product_both", "product_tile"]
# suffix, macros, lists of meson.build, mode of arithmetic: as meson.build compiles them
GROUPS = [("f32", F32, PLAIN, ""), ("f64", F64, PLAIN, ""),
          ("i32", I32, ["integer"], "WRAPPING"), ("bool", BOOL, ["integer"], ""),
          ("product_f32", F32, PRODUCT + ["product_f32"], "CONTRACTED"),
          ("product_f64", F64, PRODUCT, "CONTRACTED"),
          ("product_bf16", BF16, ["product_bf16", "product_both", "product_tile"], "CONTRACTED"),
          ("update_f32", {"REAL_BITS": "32", "WG__UPDATE": "wg__update_f32_baseline"}, ["update"], ""),
          ("update_f64", {"REAL_BITS": "64", "WG__UPDATE": "wg__update_f64_baseline"}, ["update"], "")]

HEAD = """\
/* Wengert @VERSION@ in one file, by packaging/amalgamation/amalgamate.py. Do not edit it: edit the sources.
 *
 *     cc -O2 -c wengert.c          and link the program with -lm -pthread
 *
 * Flags such as -O3 -march=native make it faster. -DWG_HAVE_ZLIB -lz lets it read .gz, -DWG_HAVE_PNG -lpng PNG,
 * -DWG_HAVE_JPEG -ljpeg JPEG, -DWG_HAVE_SNDFILE -lsndfile WAV. -DWG__VERIFY switches the asserts and the verifier of
 * plans on.
 *
@LICENSE@ */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define WG__ONE_ISA /* autograd/base/isa.h */
#if !defined WG__VERIFY && !defined NDEBUG
#define NDEBUG
#endif
#if defined __clang__
#pragma STDC FP_CONTRACT OFF
#pragma clang diagnostic ignored "-Wbitwise-instead-of-logical"
#elif defined __GNUC__
#pragma GCC optimize("fp-contract=off")
#pragma GCC diagnostic ignored "-Wformat-truncation" /* of messages, where they are cut */
#endif
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#pragma GCC diagnostic ignored "-Wpsabi"
#pragma GCC diagnostic ignored "-Wshadow" /* names at file scope of earlier files */
"""
MIDDLE = """
#include "wengert.h"
#pragma GCC visibility push(hidden)
"""
END = "#pragma GCC visibility pop\n"
MODES = {
    "": ("", ""),
    "WRAPPING": ("""\
#if defined __GNUC__ && !defined __clang__ /* clang wraps vectors always */
#pragma GCC push_options
#pragma GCC optimize("wrapv")
#endif
""", """\
#if defined __GNUC__ && !defined __clang__
#pragma GCC pop_options
#endif
"""),
    "CONTRACTED": ("""\
#if defined __clang__
#pragma clang fp contract(fast)
#elif defined __GNUC__
#pragma GCC push_options
#pragma GCC optimize("fp-contract=fast")
#endif
""", """\
#if defined __clang__
#pragma clang fp contract(off)
#elif defined __GNUC__
#pragma GCC pop_options
#endif
"""),
}


class Sources:
    """The files of the library: texts, lists of meson.build, which headers depend on the element type."""

    def __init__(self, root):
        self.root, self.texts = root, {}
        self.lists = {"update": ["optim/update.c"]}
        rooms = re.findall(r"^subdir\('(\w+)'\)", self.text("meson.build").split("one_file_args")[0], re.M)
        for build in sorted(path for room in rooms for path in (root / room).rglob("meson.build")):
            folder = build.parent.relative_to(root)
            for name, files in re.findall(r"^\s*(\w+_sources) \+?= files\(([^)]*)\)", build.read_text(), re.M):
                self.lists.setdefault(name.removesuffix("_sources"), []).extend(
                    str(folder / f) for f in re.findall(r"'([^']*)'", files) if f not in NOT_HERE)

    def text(self, name):
        if name not in self.texts:
            self.texts[name] = (self.root / name).read_text(encoding="utf-8")
        return self.texts[name]

    def include(self, name, file):
        """The path from the root of #include "file" in `name`."""
        for folder in ((self.root / name).parent, self.root):
            if (folder / file).is_file():
                return str((folder / file).resolve().relative_to(self.root.resolve()))
        sys.exit(f'amalgamate: {name}: no file for #include "{file}"')

    def includes(self, name):
        return [self.include(name, f) for f in re.findall(r'^\s*#\s*include "([^"]*)"', self.text(name), re.M)]

    def depends_on_type(self, name):
        code = c_names.without_comments(self.text(name))
        return name == KERNEL_H or DEPENDS_ON_TYPE.search(code) is not None or any(
            self.depends_on_type(h) for h in self.includes(name) if h != KERNEL_H and h.endswith(".h"))


class Amalgamation:
    """Appends files to `out`, each header once; those that depend on the type once in each group."""

    def __init__(self, sources, suffixes):
        self.sources, self.suffixes = sources, suffixes
        self.out, self.seen, self.group, self.system = [], set(), None, set()
        self.declared = False  # the kernels of kernels.def are; again, in another mode of arithmetic, gcc warns

    def expand(self, name, names=None):
        """The file's text, renamed, with its includes in it."""
        text = self.sources.text(name)
        guard = re.search(r"^#ifndef (\w+_H)\n#define \1\n", text, re.M) if name.endswith(".h") else None
        if guard:
            text = text[:guard.start()] + text[guard.end():].rstrip().removesuffix("#endif")
        names = self.names(name) if names is None else names
        text = c_names.rename(text, names, f"_{stem(name)}_{self.group['name']}" if self.group else "")
        return re.sub(r'^[ \t]*#\s*include ([<"])([^">]*)[">].*\n', lambda m: self.included(name, m, names), text,
                      flags=re.M)

    def names(self, name):
        """What the names that the file uses become."""
        if self.group is None:
            return self.suffixes.get(name, {})
        return {**self.group["names"][""], **self.group["names"].get(name, {})}

    def included(self, name, match, names):
        kind, file = match.groups()
        if kind == "<":
            if file in CONDITIONAL or file.startswith("blis"):
                return f"#pragma GCC visibility push(default)\n{match[0]}#pragma GCC visibility pop\n"
            self.system.add(file)
            return ""
        path = self.sources.include(name, file)
        if path.endswith(".def"):
            return "" if self.declared and name == KERNEL_H else self.expand(path, names)
        typed = self.sources.depends_on_type(path)
        if typed and self.group is None:
            if path != KERNEL_H:
                sys.exit(f"amalgamate: {name} includes {path}, which depends on the element type")
            return "".join(self.header(h) for h in self.sources.includes(path) if h.endswith(".h"))
        return self.header(path)

    def header(self, path):
        """Its text where it is first included; in a group, texts that do not depend on the type go before it."""
        typed = self.sources.depends_on_type(path)
        done = self.group["seen"] if typed else self.seen
        if path in done:
            return ""
        done.add(path)
        if typed:
            self.group["macros"] |= c_names.macros(self.sources.text(path))
            return banner(path) + self.expand(path)
        group, self.group = self.group, None
        text = banner(path) + self.expand(path)
        self.group = group
        if group is None:
            return text
        self.out.append(text)
        return ""

    def file(self, name, condition=None):
        if name.endswith("wengert.h"):
            return
        text = self.expand(name)
        ends = "".join(f"#undef {m}\n" for m in sorted(c_names.macros(self.sources.text(name))))
        if condition:
            text, ends = f"#ifdef {condition}\n" + text, ends + "#endif\n"
        self.out.append(banner(name) + text + ends)

    def one_group(self, name, macros, files, mode):
        headers = set()
        for file in files:
            headers |= closure(self.sources, file)
        typed = {h for h in headers if self.sources.depends_on_type(h)}
        names = {"": {n: f"{n}_{name}" for h in typed for n in c_names.defined(self.sources.text(h))}}
        for file in files:
            names[file] = {n: f"{n}_{stem(file)}_{name}" for n in c_names.defined(self.sources.text(file))}
        self.group = {"name": name, "seen": set(), "macros": set(), "names": names}
        self.declared = mode != ""
        before, after = MODES[mode]
        self.out.append(f"\n/* ======== kernels: {name} ======== */\n" + before)
        if "REAL_BITS" not in macros:
            self.out.append("#define WG__ISA baseline\n")
            self.group["macros"].add("WG__ISA")
        self.out.append("".join(f"#define {m} {value}".rstrip() + "\n" for m, value in macros.items()))
        for file in files:
            self.file(file)
        ends = self.group["macros"] | set(macros)
        self.out.append("".join(f"#undef {m}\n" for m in sorted(ends)) + after)
        self.group = None


def banner(name):
    return f"\n/* ---- {name} ---- */\n"


def stem(name):
    return "_".join(pathlib.PurePath(name).with_suffix("").parts[-2:])


def closure(sources, name):
    found, todo = set(), [name]
    while todo:
        for header in sources.includes(todo.pop()):
            if header.endswith(".h") and header not in found:
                found.add(header)
                todo.append(header)
    return found


def clashes(sources, files):
    """{name: files} of file-scope names that a C library declares, or more than one file or header defines. Names with
    the prefix are declared in one file and defined in another."""
    places = {}
    headers = {h for f in files for h in closure(sources, f) if not sources.depends_on_type(h)}
    for file in sorted(headers) + files:
        for name in c_names.defined(sources.text(file)):
            places.setdefault(name, []).append(file)
    return {name: [f for f in found if f.endswith(".c")] for name, found in places.items()
            if (len(set(found)) > 1 or name in LIBC) and not name.startswith("wg_")}


def public_header(sources):
    whole = Amalgamation(sources, {})
    text = whole.expand("wengert.h")
    head, rest = text.split("\n", 1)
    guarded = f"#ifndef WENGERT_H\n#define WENGERT_H\n\n{system_includes(whole)}{rest.rstrip()}\n\n#endif\n"
    return whole, f"{head}\n{guarded}"


def system_includes(whole):
    return "".join(f"#include <{h}>\n" for h in sorted(whole.system))


def license_comment(root):
    mit = (root / "LICENSE").read_text(encoding="utf-8").split("\n---")[0].strip()
    return "\n".join(f" * {line}".rstrip() for line in mit.splitlines())


def library(sources, public):
    """The text of wengert.c, and the table of clashes."""
    once = sources.lists["engine"] + sources.lists["wengert"] + sources.lists["product"]
    verifier = sources.lists["verifier"]
    clash = clashes(sources, once + verifier)
    suffixes = {}
    for name, files in clash.items():
        for file in files:
            suffixes.setdefault(file, {})[name] = f"{name}_{stem(file)}"
    whole = Amalgamation(sources, suffixes)
    whole.seen = public.seen | {"wengert.h"}
    for file in once:
        whole.file(file)
    for file in verifier:
        whole.file(file, "WG__VERIFY")
    for name, macros, lists, mode in GROUPS:
        whole.one_group(name, macros, [f for part in lists for f in sources.lists[part]], mode)
    version = re.search(r"version: '([^']*)'", sources.text("meson.build"))[1]
    head = HEAD.replace("@VERSION@", version).replace("@LICENSE@", license_comment(sources.root))
    return head + system_includes(whole) + MIDDLE + "".join(whole.out) + END, clash


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-v", action="store_true", dest="verbose")
    parser.add_argument("--depfile", type=pathlib.Path, help="of the files that were read, for make")
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    args = parser.parse_args()
    sources = Sources(args.source)
    public, header = public_header(sources)
    text, clash = library(sources, public)
    if args.verbose:
        for name, files in sorted(clash.items()):
            print(f"{name}: {', '.join(files)}")
    args.folder.mkdir(parents=True, exist_ok=True)
    (args.folder / "wengert.h").write_text(header, encoding="utf-8")
    (args.folder / "wengert.c").write_text(text, encoding="utf-8")
    if args.depfile:
        read = " ".join(str(args.source / name) for name in sorted(sources.texts))
        args.depfile.write_text(f"{args.folder / 'wengert.c'}: {read}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
