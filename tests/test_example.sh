#!/bin/sh
# Runs an example by its table. Usage: test_example.sh PROGRAM TABLE
#
# A row of the table, with tabs between: the expected exit code; an extended regular expression that the output must
# match; arguments. With an exit code other than 0 the program must print one line to stderr, "name: ...", and nothing to
# stdout. Instead of an exit code:
#   same     exit code 0, and the stdout of the row before, apart from the time
#   file     no run: the expression must match in this file, which an earlier row has written
#   long:0   exit code 0, run only with WG_TEST_LONG
#   stop:143 SIGTERM after the first line of stderr, then this exit code
# In arguments, {here} is the folder of the table, and {tmp} is a temporary folder with files to refuse: empty, binary,
# spaces; and IDX files: two-images (28 x 28 bytes each), with two-labels, three-labels, or labels-of-10; images-cut,
# which is truncated; small-images, which are 1 x 1. And models from strangers: gpt-huge, whose settings ask for 400 GB;
# gpt-escape, whose vocabulary has an escape character. For the zoo: what zoo_models.py writes.
set -u
binary=$(realpath "$1")
table=$(realpath "$2")
name=$(basename "$binary")
dir=$(mktemp -d /tmp/example-XXXXXX)
program=$("$(dirname "$0")/wrapped.sh" "$1" "$dir")
trap 'rm -rf "$dir"' EXIT
case "$table" in */zoo/*) "$(dirname "$0")/zoo_models.py" "$dir" || exit 1 ;; esac
cd "$dir" || exit 1
: >empty
head -c 3000 "$binary" >binary
printf '   \n\n  \n' >spaces
{ printf '\000\000\010\003\000\000\000\002\000\000\000\034\000\000\000\034'; head -c 1568 /dev/zero; } >two-images
head -c 1000 two-images >images-cut
printf '\000\000\010\003\000\000\000\002\000\000\000\001\000\000\000\001\001\002' >small-images
printf '\000\000\010\001\000\000\000\002\003\004' >two-labels
printf '\000\000\010\001\000\000\000\003\003\004\005' >three-labels
printf '\000\000\010\001\000\000\000\002\003\012' >labels-of-10
model() { # METADATA: a safetensors file without tensors; the length of the header is below 256
    header="{\"__metadata__\":{$1}}"
    printf "\\$(printf %o ${#header})\\000\\000\\000\\000\\000\\000\\000%s" "$header"
}
settings='"layers":"16","heads":"1","width":"16384","context":"16384","position":"learned","untied":"0"'
model '"program":"gpt","vocabulary":"0a20",'"$settings" >gpt-huge
model '"program":"gpt","vocabulary":"1b20",'"$settings" >gpt-escape
failures=0
rows=0
: >before.txt

fail() {
    echo "FAIL: $name $arguments: $*" >&2
    failures=$((failures + 1))
}

while IFS='	' read -r code pattern arguments; do
    stops=
    case "$code" in
    '' | '#'*) continue ;;
    stop:*)
        code=${code#stop:}
        stops=1
        ;;
    long:*)
        [ "${WG_TEST_LONG:-}" ] || continue
        code=${code#long:}
        ;;
    esac
    rows=$((rows + 1))
    arguments=$(printf '%s' "$arguments" | sed "s|{tmp}|$dir|g; s|{here}|$(dirname "$table")|g")
    if [ "$code" = file ]; then
        grep -Eq -- "$pattern" "$arguments" || fail "no '$pattern' in it: $(head -c 400 "$arguments")"
        continue
    fi
    leaks=1
    case "$code" in [1-9]*) leaks=0 ;; esac # a program that gives up leaves its memory to the system
    : >err.txt
    # shellcheck disable=SC2086 # arguments are words
    ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=$leaks" "$program" $arguments >out.txt 2>err.txt &
    pid=$!
    if [ "$stops" ]; then
        until [ -s err.txt ] || ! kill -0 $pid 2>/dev/null; do sleep 0.1; done
        kill -TERM $pid
    fi
    wait $pid
    got=$?
    sed 's/, time [0-9.]* s$//' out.txt >now.txt
    if [ "$code" = same ]; then
        cmp -s before.txt now.txt || fail "differs from the row before: $(diff before.txt now.txt | head -4)"
        code=0
    fi
    mv now.txt before.txt
    [ "$got" = "$code" ] || fail "exit $got, not $code ($(tail -3 err.txt | head -c 300))"
    cat out.txt err.txt | grep -Eq -- "$pattern" || fail "no '$pattern' in '$(cat out.txt err.txt | tail -4 | head -c 400)'"
    if [ "$code" != 0 ] && [ ! "$stops" ]; then
        [ "$(wc -l <err.txt)" = 1 ] || fail "not one line on stderr"
        grep -q "^$name: " err.txt || fail "stderr does not begin with '$name: '"
        [ -s out.txt ] && fail "something on stdout"
    fi
done <"$table"
[ "$rows" -gt 0 ] || { echo "FAIL: no rows in $table" >&2; exit 1; }
exit $((failures > 0))
