#!/bin/sh
# Compiles and runs every C program in the README and docs, and compares what it prints with the text block that
# follows it; of the dump blocks that follow it, that their lines occur in this order. Compiles the examples in the public
# headers. Usage: docs.sh SOURCE BUILD
set -eu
source=$1
build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
awk -v work="$work" '
    /^```c$/ { n++; file = sprintf("%s/%03d.c", work, n); inside = 1; next }
    /^```text$/ && n { if (!(n in seen)) { file = sprintf("%s/%03d.txt", work, n); inside = 1; seen[n] = 1; next } }
    /^```dump$/ && n { file = sprintf("%s/%03d.dump", work, n); inside = 1; next }
    /^```/ { if (inside) close(file); inside = 0; next }
    inside && file ~ /dump$/ { print >> file; next }
    inside { print > file }
    FNR == 1 && n { seen[n] = 1 }
' "$source/README.md" "$source"/docs/*.md
run=0
for program in "$work"/*.c; do
    grep -q 'int main' "$program" || continue
    ${CC:-cc} -std=c11 -Wall -Wextra -Werror -I"$source" "$program" -o "$work/program" -L"$build" -lwengert -lm \
        -Wl,-rpath,"$build" ${WG_TEST_LINK_ARGS:-}
    ${MESON_EXE_WRAPPER:-} "$work/program" >"$work/out"
    run=$((run + 1))
    expected="${program%.c}.txt"
    if [ -f "$expected" ] && ! diff -u "$expected" "$work/out"; then
        echo "docs.sh: $program prints something else than the documentation says" >&2
        exit 1
    fi
    excerpts="${program%.c}.dump"
    [ -f "$excerpts" ] || continue
    awk 'NR == FNR { want[++n] = $0; next }
        at < n && want[at + 1] ~ /^ *\.\.\.$/ { at++ }
        at < n && $0 == want[at + 1] { at++ }
        END { if (at < n) { print "docs.sh: the program does not print: " want[at + 1]; exit 1 } }' \
        "$excerpts" "$work/out" >&2
done
[ "$run" -gt 0 ] || { echo "docs.sh: no program found" >&2; exit 1; }
echo "$run programs compiled and run"
# shellcheck disable=SC2086
python3 "$source/tests/header_examples.py" "$source" ${CC:-cc}
