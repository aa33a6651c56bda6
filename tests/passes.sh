#!/bin/sh
# What the planner's exact passes do changes no bit of any example: each runs its tiny setting without them, and with
# them and rematerialisation, and prints the same but for times. Usage: passes.sh PROGRAM...
# video, caption and gradient_flow take longest: only with WG_TEST_LONG.
set -u
dir=$(mktemp -d /tmp/passes-XXXXXX)
trap 'rm -rf "$dir"' EXIT
failures=0
for program; do
    program=$(realpath "$program")
    name=$(basename "$program")
    arguments=--tiny
    case $name in
    video | caption | gradient_flow) [ "${WG_TEST_LONG:-}" ] || continue ;;
    charlm) arguments='train --steps 40 --hidden 24' ;;
    esac
    number=0
    for plan in '-attention,-lookup,-remat,-recompute,-residuals,-merge,-fuse,-share_weight,-schedule,-pack,-place,-cache' '-attention,-lookup,-merge,+remat,+share_weight'; do
        number=$((number + 1))
        # shellcheck disable=SC2086
        (cd "$dir" && WG_PLAN=$plan "$program" $arguments --threads 2 >"out" 2>err) ||
            { echo "$name fails with $plan: $(tail -n 1 "$dir/err")"; failures=$((failures + 1)); }
        sed -E 's/[a-z_]*(seconds|_per_s|per_second|peak_bytes)[a-z_]*=[^ ]*//g; s/[0-9.,]+ (s|chars?\/s|characters\/s)\b//g' "$dir/out" \
            >"$dir/$number"
    done
    [ -s "$dir/1" ] || { echo "$name prints nothing"; failures=$((failures + 1)); }
    cmp -s "$dir/1" "$dir/2" || { echo "$name: differs"; diff "$dir/1" "$dir/2" | head -n 4; failures=$((failures + 1)); }
    rm -rf "${dir:?}"/*
done
[ $failures -eq 0 ]
