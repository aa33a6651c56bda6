#!/bin/sh
# wengert.hpp: without warnings by each C++ compiler that there is, in C++17 and C++20, with and without exceptions; and
# a program that trains prints the same bits as its twin in C. Usage: cpp.sh SOURCE BUILD
set -eu
source=$1
build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
link="-L$build -lwengert -lm -Wl,-rpath,$build ${WG_TEST_LINK_ARGS:-}"
# shellcheck disable=SC2086 # words
${CC:-cc} -std=c11 -Wall -Wextra -Werror -I"$source" "$source/tests/cpp/twin.c" -o "$work/twin" $link
"$work/twin" >"$work/expected"
[ "$(wc -l <"$work/expected")" = 41 ] || { echo "cpp.sh: twin.c printed something else" >&2; exit 1; }
compilers=
for compiler in g++ clang++; do
    printf '#include <string>\n' | "$compiler" -x c++ -fsyntax-only - >/dev/null 2>&1 || continue
    compilers="$compilers $compiler"
    for setting in c++17 c++20 "c++17 -DWENGERT_EXCEPTIONS"; do
        # shellcheck disable=SC2086 # words
        "$compiler" -std=$setting -Wall -Wextra -Wshadow -pedantic -Werror -I"$source" "$source/tests/cpp/twin.cpp" \
            -o "$work/twin" $link
        "$work/twin" >"$work/out"
        cmp "$work/out" "$work/expected" || { echo "cpp.sh: $compiler, $setting: other bits than in C" >&2; exit 1; }
    done
done
[ "$compilers" ] || { echo "cpp.sh: there is no C++ compiler"; exit 77; }
echo "the same bits as in C by$compilers"
