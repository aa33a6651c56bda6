#!/bin/sh
# Runs bench models: rows as JSON, error messages, a peer that is missing or computes another loss. The peer is a script
# with the protocol of bench/peers/process.py.
set -u
dir=$(mktemp -d)
bench=$("$(dirname "$0")/wrapped.sh" "$1" "$dir")
trap 'rm -rf "$dir"' EXIT
failed=0

says() { # name, exit code, text that the output must contain, arguments of bench
    name=$1 code=$2 text=$3
    shift 3
    "$bench" "$@" >"$dir/out" 2>&1
    got=$?
    if [ $got != "$code" ] || ! grep -qF -- "$text" "$dir/out"; then
        echo "FAILED $name: exit $got, wanted $code and '$text':"
        tail -3 "$dir/out"
        failed=1
    fi
}

peer() { # a peer whose loss is $1
    cat >"$dir/peer" <<END
#!/bin/sh
while read -r command rest; do
    case \$command in
    load) echo '{"ok": true, "version": "9.9"}' ;;
    step) echo '{"ms": 1000, "loss": $1}' ;;
    memory) echo '{"bytes": 5}' ;;
    quit) exit ;;
    esac
done
END
    chmod +x "$dir/peer"
    export WG_PYTHON="$dir/peer"
}

says 'unknown peer' 2 "not 'torch,foo'" models --vs torch,foo
says 'unknown section' 2 "there is no section 'nonsense'" nonsense
says 'no row' 1 "no row's id contains 'zzz'" models --filter zzz
says 'unknown model' 1 "there is no model 'zzz'" serve --model zzz
says 'file that cannot be written' 1 'cannot write' models --filter tiny --steps 1 --json "$dir/none/rows.json"

# The first losses of tiny are all equal: it has no optimizer.
"$bench" models --filter tiny --steps 1 --threads 1 --json "$dir/rows.json" >/dev/null || failed=1
loss=$(sed -n 's/.*"loss": \([0-9.]*\).*/\1/p' "$dir/rows.json")
peer "$loss"
says 'equal losses' 0 '| ' models --filter tiny --steps 1 --threads 1 --vs torch,jax --json "$dir/rows.json"
for text in '"machine": {"processor"' '"id": "tiny", "ms":' '"bytes":' '"peers": {"torch": {"version": "9.9", "ms": 1000' \
    '"ratio":' ', "jax": {"version": "9.9"' "\"loss\": $loss"; do
    grep -qF "$text" "$dir/rows.json" || { echo "FAILED JSON: no $text"; failed=1; }
done
peer 7
says 'other losses' 1 'losses differ' models --filter tiny --steps 1 --threads 1 --vs torch
export WG_PYTHON="$dir/none"
says 'missing peer' 0 'tiny: no torch: ' models --filter tiny --steps 1 --threads 1 --vs torch
says 'profile' 0 'tanh' models --filter tiny --threads 1 --profile
exit $failed
