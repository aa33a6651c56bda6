#!/bin/sh
# Coverage-guided fuzzing of the readers of untrusted files, with clang's libFuzzer under the address and
# undefined-behaviour sanitizers.
#
#     tests/fuzz.sh SECONDS [READER...]     tries inputs that grow from tests/corpus, for SECONDS each
#     tests/fuzz.sh merge [READER...]       adds what was found to tests/corpus: the files that take new paths
#
# New inputs are kept in build-fuzz/corpus. The last line has the figures. Exit status: 0 if nothing was found.
set -eu
cd "$(dirname "$0")/.."
BUILD=${WG_FUZZ_BUILD:-build-fuzz}
what=$1
shift
[ $# -gt 0 ] || set -- safetensors checkpoint idx text words csv png jpeg wav npy npz pt hdf5 gguf

if [ ! -f "$BUILD/build.ninja" ]; then
    CC=clang meson setup "$BUILD" -Dfuzzers=true -Dbuildtype=debugoptimized -Db_sanitize=address,undefined \
        -Db_lundef=false -Dc_args=-fsanitize=fuzzer-no-link >/dev/null
fi
targets=""
for reader in "$@"; do targets="$targets tests/fuzz_$reader"; done
# shellcheck disable=SC2086
ninja -C "$BUILD" $targets >"$BUILD/build.log" || { cat "$BUILD/build.log" >&2; exit 1; }

total=0 status=0
for reader in "$@"; do
    mkdir -p "$BUILD/corpus/$reader" "tests/corpus/$reader"
    if [ "$what" = merge ]; then
        "$BUILD/tests/fuzz_$reader" -merge=1 -max_len=1024 "tests/corpus/$reader" "$BUILD/corpus/$reader" 2>&1 | tail -1
        continue
    fi
    log=$BUILD/$reader.log
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 "$BUILD/tests/fuzz_$reader" -max_total_time="$what" -max_len=1024 \
        -print_final_stats=1 -artifact_prefix="$BUILD/$reader-" "$BUILD/corpus/$reader" "tests/corpus/$reader" \
        >"$log" 2>&1 || { status=1; tail -40 "$log"; }
    inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "fuzz: $reader: ${inputs:-0} inputs"
    total=$((total + ${inputs:-0}))
done
[ "$what" = merge ] || echo "fuzz: $total inputs, $([ $status = 0 ] && echo nothing || echo 'something') found"
exit $status
