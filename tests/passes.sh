#!/bin/sh
# The exact passes of the planner change no bit of any example. Each runs once without them, and once with them and
# rematerialization; the output must be the same, apart from times. Usage: passes.sh PROGRAM...
set -u
dir=$(mktemp -d /tmp/passes-XXXXXX) tools=$(mktemp -d)
trap 'rm -rf "$dir" "$tools"' EXIT
failures=0
for program; do
    program=$("$(dirname "$0")/wrapped.sh" "$program" "$tools")
    name=$(basename "$program")
    arguments=--tiny
    case $name in
    charlm) arguments='train --steps 40 --hidden 24' ;;
    esac
    if [ -z "${WG_TEST_LONG:-}" ]; then
        case $name in
        answer) arguments="$arguments --stories 600 --epochs 4" ;;
        caption | video) arguments="$arguments --steps 10 --test 32" ;;
        digits) arguments="$arguments --epochs 1" ;;
        gpt) arguments="$arguments --steps 60 --length 40" ;;
        gradient_flow) arguments="$arguments --steps 20" ;;
        translate) arguments="$arguments --steps 60 --tests 10" ;;
        esac
    fi
    number=0
    for plan in -all '-attention,-lookup,-merge,+remat,+share_weight'; do
        number=$((number + 1))
        # shellcheck disable=SC2086
        (cd "$dir" && WG_PLAN=$plan "$program" $arguments --threads 2 >"out" 2>err) ||
            { echo "$name fails with $plan: $(tail -n 1 "$dir/err")"; failures=$((failures + 1)); }
        sed -E 's/[0-9.]+ (s|MiB|characters\/s)\b//g' "$dir/out" \
            >"$dir/$number"
    done
    [ -s "$dir/1" ] || { echo "$name prints nothing"; failures=$((failures + 1)); }
    cmp -s "$dir/1" "$dir/2" || { echo "$name: differs"; diff "$dir/1" "$dir/2" | head -n 4; failures=$((failures + 1)); }
    rm -rf "${dir:?}"/*
done
[ $failures -eq 0 ]
