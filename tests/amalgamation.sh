#!/bin/sh
# The library as one file: one command of each compiler compiles it without a warning; it defines no foreign name, needs
# libc, libm and pthreads alone, and programs run with it. -Damalgamation=true runs all tests with it. Usage:
# amalgamation.sh SOURCE
set -eu
source=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "amalgamation.sh: $1" >&2; exit 1; }

"$source/packaging/amalgamation/amalgamate.py" "$source" "$work"
cp "$source/tests/cpp/twin.c" "$source/wengert.hpp" "$work"
mkdir "$work/examples" # their "../wengert.h" is now the one file
for file in app.h app.c options.c result.c watch.c export.c hello.c; do cp "$source/examples/$file" "$work/examples"; done
printf '\037\213\010\000' >"$work/a.gz"
cat >"$work/refused.c" <<'PROGRAM'
#include <stdio.h>
#include "wengert.h"
int main(int arguments, char **argument)
{
    wg_text text;
    wg_error error = {0};
    const wg_status status = wg_text_read(argument[arguments - 1], &text, &error);
    printf("%s\n", error.text);
    return status != WG_ERR_FORMAT;
}
PROGRAM
cd "$work"
compilers=${CC:-cc}
level=-O1
if [ "${WG_TEST_LONG:-}" ]; then
    level=-O2
    ! command -v clang >/dev/null 2>&1 || compilers="$compilers clang"
fi
jobs=
for compiler in $compilers; do # a minute each: side by side
    "$compiler" $level -Wall -Wextra -Werror -c wengert.c -o "$(basename "$compiler").o" &
    jobs="$jobs $!"
done
for job in $jobs; do wait "$job" || fail "a compiler refuses or warns"; done
for compiler in $compilers; do
    mv "$(basename "$compiler").o" wengert.o
    foreign=$(nm -g --defined-only wengert.o | awk '$3 !~ /^wg_/ { print $3 }')
    [ -z "$foreign" ] || fail "names without prefix: $foreign"
    "$compiler" -Wall -Wextra -Werror -I. twin.c wengert.o -o twin -lm -pthread
    ./twin >out
    [ "$(wc -l <out)" = 41 ] || fail "twin.c printed something else"
    "$compiler" refused.c wengert.o -o refused -lm -pthread
    ./refused a.gz | grep -q 'a.gz: gzipped, and this library was built without zlib' || fail "no clear error for .gz"
    "$compiler" examples/*.c wengert.o -o hello -lm -pthread
    ./hello --tiny >/dev/null || fail "hello --tiny"
done
if printf '#include <string>\n' | c++ -x c++ -fsyntax-only - >/dev/null 2>&1; then
    c++ -std=c++17 -Wall -Wextra -Werror -I. "$source/tests/cpp/twin.cpp" wengert.o -o twin++ -lm -pthread
    ./twin++ | cmp - out || fail "twin.cpp printed something else"
fi
echo "one file, compiled and run by $compilers"
