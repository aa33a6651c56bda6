#!/bin/sh
# Compares the plans of the benchmark's models with the committed ones. Usage: plan_metrics.sh BENCH EXPECTED
set -eu
bench=$1
expected=$2
actual=$(mktemp)
trap 'rm -f "$actual"' EXIT
${MESON_EXE_WRAPPER:-} "$bench" models --metrics >"$actual"
diff -u "$expected" "$actual" && exit 0
cat <<EOF

The plans of models changed: lines with - are committed, lines with + are of this build. If the change is intended,
commit it together with its cause:

    $bench models --metrics >$expected
EOF
exit 1
