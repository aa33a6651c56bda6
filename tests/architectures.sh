#!/bin/sh
# Checks docs/architectures.md, and links and names of the other documents, against the tree. Every row of the tables has
# six cells. The target of a link exists. A name in backquotes after a link occurs in that file: as a word of a header, as
# a test that is defined and run, or as an option of an example. Every wg_ name is declared in a header.
# Usage: architectures.sh SOURCE [FILE]
set -eu
source=$(cd "$1" && pwd)
file=${2:-$source/docs/architectures.md}
cd "$source/docs"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "$file:$line: $*" >>"$work/failures"; }
word() { grep -qw -e "$1" -- "$2"; }
: >"$work/failures"

# Prints a line for each item to check: line number, column, kind (row, file, name), text. A name belongs to the last
# link before it.
awk '
    /^```/ { code = !code; next }
    code { next }
    /^\|/ && !/^\| *---/ && !/^\| *What *\|/ {
        n = split($0, cell, "|")
        print FNR, 0, "row", n - 2
        for (c = 2; c < n; c++) {
            if (cell[c] ~ /^ *$/) print FNR, c - 1, "empty", "-"
            rest = cell[c]
            while (match(rest, /\]\([^)]*\)|`[^`]*`/)) {
                token = substr(rest, RSTART, RLENGTH)
                rest = substr(rest, RSTART + RLENGTH)
                if (token ~ /^`/) print FNR, c - 1, "name", substr(token, 2, length(token) - 2)
                else print FNR, c - 1, "file", substr(token, 3, length(token) - 3)
            }
        }
        next
    }
    { rest = $0
      while (match(rest, /\]\([^)]*\)/)) {
          print FNR, 7, "file", substr(rest, RSTART + 2, RLENGTH - 3)
          rest = substr(rest, RSTART + RLENGTH)
      } }' "$file" >"$work/things"

rows=0 tests=0 names=0 target=''
while read -r line column kind text; do
    case $kind in
    row)
        rows=$((rows + 1))
        [ "$text" = 6 ] || fail "$text cells, not 6"
        target=''
        echo "$line" >>"$work/rows"
        ;;
    empty) fail "cell $column is empty" ;;
    file)
        target=$text
        case $target in
        '#'* | http*) target='' ;;
        *) [ -f "$target" ] || { fail "there is no file $target"; target=''; } ;;
        esac
        stem=$(basename "${target:-none}" | sed 's/\..*//')
        [ "$column" != 4 ] || echo "$line" >>"$work/headers"
        [ "$column" != 6 ] || echo "$line" >>"$work/shows"
        if [ "$column" = 5 ] && [ -n "$target" ]; then
            grep -q "'$stem'" ../examples/meson.build || fail "$stem is not built as an example"
            [ -f "../tests/examples/$stem.tsv" ] || [ -f "../tests/test_$stem.sh" ] || fail "nothing runs $stem"
        elif [ "$column" = 6 ] && [ -n "$target" ]; then
            case $target in
            *.tsv) grep -q "'$stem'" ../examples/meson.build || fail "$stem is not built as an example" ;;
            *) grep -q "'${stem#test_}'\|$stem" ../tests/meson.build || fail "meson does not know $stem" ;;
            esac
        fi
        ;;
    name)
        [ -n "$target" ] || { [ "$column" -lt 4 ] || [ "$column" = 5 ] || fail "'$text' is in no file"; continue; }
        names=$((names + 1))
        case $column in
        4) word "$text" "$target" || fail "'$text' is not in $target" ;;
        5) # `--option value` or a subcommand, in any source of the program
            option=$(echo "$text" | sed 's/^--//; s/ .*//')
            case $text in run*) ;; *)
                grep -q "\"$option\"" "../examples/$stem"*.c || fail "$stem has no '$text'"
                value=$(echo "$text" | sed -n 's/^[^ ]* //p')
                [ -z "$value" ] || grep -q "\"$value\"" "../examples/$stem"*.[ch] || fail "$stem has no '$text'"
                ;;
            esac
            ;;
        6)
            tests=$((tests + 1))
            grep -q "^static void $text(void" "$target" || grep -q "^static void $text(run \*r" "$target" ||
                fail "there is no test '$text' in $target"
            grep -Eq "(TEST|TEST_CASE|TEST_CASE_WITH|ON_TAPE|cmocka_unit_test)\($text[,)]|, $text\);" "$target" ||
                fail "the test '$text' in $target is never run"
            ;;
        esac
        ;;
    esac
done <"$work/things"

touch "$work/rows" "$work/headers" "$work/shows"
for what in headers shows; do
    sort -u "$work/$what" >"$work/have"
    for line in $(sort "$work/rows" | comm -23 - "$work/have"); do fail "a row without $what"; done
done

# wg_ names and constants in the text, programs included.
api() { grep -hoEw '(wg|WG)_[A-Za-z0-9_]+' "$@" | sort -u; }
api ../wengert.h ../*/*.h ../run >"$work/declared"
for name in $(api "$file" | comm -23 - "$work/declared"); do
    line=$(grep -nw -e "$name" "$file" | head -1 | cut -d: -f1)
    fail "there is no $name"
done
# Links of the other documents; every example is in the README.
for doc in ../README.md ../CHANGELOG.md *.md; do
    line=0
    for target in $(grep -o ']([^)#]*' "$doc" | sed 's/^](//; /^http/d'); do
        [ -e "$(dirname "$doc")/$target" ] || fail "$doc: there is no $target"
    done
    for name in $(api "$doc" | comm -23 - "$work/declared"); do fail "$doc: there is no $name"; done
done
for example in $(sed -n "/^foreach name/,/^]/s/^  '\(.*\)',/\1/p" ../examples/meson.build) charlm; do
    grep -q "(examples/$example.c)" ../README.md || fail "README.md does not list the example $example"
done
line=0
[ "$rows" -ge 75 ] && [ "$tests" -ge 80 ] || fail "only $rows rows with $tests tests were found"
if [ -s "$work/failures" ]; then
    cat "$work/failures" >&2
    exit 1
fi
echo "$rows rows, $names names, $tests of them tests"
