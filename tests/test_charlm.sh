#!/bin/sh
# Runs charlm: tiny trainings, resuming, signals, and bad input. Usage: test_charlm.sh CHARLM
set -u
dir=$(mktemp -d /tmp/charlm-XXXXXX)
binary=$(realpath "$1")
charlm=$("$(dirname "$0")/wrapped.sh" "$1" "$dir")
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
failures=0

fail() {
    echo "FAIL: $*" >&2
    failures=$((failures + 1))
}

# expect CODE TEXT COMMAND...: this exit code, one line with TEXT on stderr, nothing on stdout
expect() {
    code=$1 text=$2
    shift 2
    "$@" >out.txt 2>err.txt
    got=$?
    [ "$got" = "$code" ] || fail "exit $got, not $code: $* ($(head -c 200 err.txt))"
    [ "$(wc -l <err.txt)" = 1 ] || fail "not one line on stderr: $*"
    grep -q -- "$text" err.txt || fail "'$text' is not in '$(cat err.txt)'"
    [ -s out.txt ] && fail "something on stdout: $*"
}

# Waits until a file has content, up to 2 minutes: programs start slowly on a loaded machine, or under qemu.
wait_for() {
    left=1200
    until [ -s "$1" ] || [ $left = 0 ]; do
        sleep 0.1
        left=$((left - 1))
    done
}

same() { cmp -s "$1" "$2" || fail "$1 and $2 differ: $3"; }

i=0
while [ $i -lt 60 ]; do
    echo "line $i: the quick brown fox jumps over the lazy dog, and the dog sleeps on."
    i=$((i + 1))
done >text.txt
tiny="--data text.txt --hidden 12 --batch 4 --unroll 8 --seed 3"

# Every cell and optimizer trains, and the last line has the results.
for cell in rnn lstm gru; do
    for optimizer in sgd rmsprop adam; do
        "$charlm" train $tiny --cell $cell --optimizer $optimizer --steps 3 --out m.safetensors >out.txt 2>err.txt ||
            fail "$cell with $optimizer: $(tail -1 err.txt)"
        tail -1 out.txt | grep -Eq '^final: training loss [0-9.]+ nats, validation loss [0-9.]+ nats, bits per character [0-9.]+, speed [0-9]+ characters/s, parameters [0-9]+, peak memory [0-9.]+ MiB$' ||
            fail "last line of $cell with $optimizer: $(tail -1 out.txt)"
    done
done
[ -s m.svg ] || fail "no loss curve"

"$charlm" train $tiny --steps 150 --lr 0.01 --out learned.safetensors --losses losses.txt >out.txt 2>err.txt || fail "150 steps"
[ "$(wc -l <losses.txt)" = 150 ] || fail "not 150 losses"
loss=$(sed -n 's/^final: training loss \([0-9.]*\) .*/\1/p' out.txt)
awk "BEGIN { exit !($loss < 2.2) }" || fail "did not learn: $loss"

# The same bits: another number of threads; stopped and resumed, dropout included; the same text again.
"$charlm" train $tiny --dropout 0.3 --steps 40 --threads 1 --out a.safetensors --losses a.txt >/dev/null 2>err.txt || fail "a: $(cat err.txt)"
for threads in 2 3; do
    "$charlm" train $tiny --dropout 0.3 --steps 40 --threads $threads --out b.safetensors >/dev/null 2>&1
    same a.safetensors b.safetensors "$threads threads"
done
rm b.safetensors
"$charlm" train $tiny --dropout 0.3 --steps 17 --out b.safetensors --losses b.txt >/dev/null 2>&1
"$charlm" train --data text.txt --resume --steps 40 --out b.safetensors --losses b.txt >/dev/null 2>err.txt || fail "resume: $(cat err.txt)"
same a.safetensors b.safetensors "resumed"
same a.txt b.txt "losses of the resumed run"
points() { sed -n "/^<!-- points/,/^-->/s/^$1 //p" "$2"; }
[ "$(points t a.svg | wc -l)" = 40 ] && [ "$(points t a.svg)" = "$(points t b.svg)" ] || fail "the curve of the resumed run"
[ "$(points v b.svg | cut -d ' ' -f 1 | xargs)" = "17 40" ] || fail "validation losses of the resumed run"

# Samples during training change no bit of the model.
"$charlm" train $tiny --dropout 0.3 --steps 40 --sample-every 20 --out b.safetensors >out.txt 2>/dev/null
[ "$(grep -Ec '^step (20|40): validation loss [0-9.]+ nats, bits per character [0-9.]+$' out.txt)" = 2 ] || fail "samples on the way"
cmp -s a.safetensors b.safetensors || fail "samples on the way change the model"

# Killed after its last save: losses written since then are written again, once.
"$charlm" train $tiny --dropout 0.3 --steps 30 --out b.safetensors --losses b.txt >/dev/null 2>&1
echo 9.5 >>b.txt
"$charlm" train --data text.txt --resume --steps 40 --out b.safetensors --losses b.txt >/dev/null 2>err.txt || fail "resume: $(cat err.txt)"
same a.txt b.txt "losses after a kill"

# case losses_lost: after kill -9, the losses have a line for each step of the checkpoint, and a resumed run goes on there.
"$charlm" train $tiny --steps 20000 --eval-every 0 --save-every 1 --out k.safetensors --losses k.txt >/dev/null 2>&1 &
pid=$!
wait_for k.safetensors
sleep 0.2
kill -9 $pid
wait $pid 2>/dev/null
step=$(head -c 1000 k.safetensors | grep -ao '"wengert.step":"[0-9]*"' | grep -o '[0-9]*')
[ "${step:-0}" -gt 0 ] && [ "$(wc -l <k.txt)" -ge "$step" ] || fail "$(wc -l <k.txt) losses of $step steps"
[ "$(points t k.svg | tail -1 | cut -d ' ' -f 1 | cut -d . -f 1)" -ge $((step - step / 100 - 1)) ] || fail "the curve after kill -9"
"$charlm" train --data text.txt --resume --steps $((step + 3)) --out k.safetensors --losses k.txt >/dev/null 2>err.txt || fail "resume: $(cat err.txt)"
[ "$(wc -l <k.txt)" = $((step + 3)) ] || fail "$(wc -l <k.txt) losses after resuming"
head -n 2 k.txt >few.txt
expect 1 "has 2 lines, but k.safetensors is at step" "$charlm" train --data text.txt --resume --out k.safetensors --losses few.txt
"$charlm" train --data text.txt --resume --steps $((step + 5)) --out k.safetensors --losses new.txt >/dev/null 2>err.txt || fail "new losses: $(cat err.txt)"
grep -q "new.txt: begins after step $((step + 3))" err.txt || fail "no word about new losses: $(cat err.txt)"
[ "$(wc -l <new.txt)" = 2 ] || fail "$(wc -l <new.txt) new losses"

# Initial weights from another file.
"$charlm" train $tiny --init-from learned.safetensors --steps 1 --losses c.txt --out c.safetensors >/dev/null 2>err.txt || fail "init-from: $(cat err.txt)"
awk '{ exit !($1 < 2.2) }' c.txt || fail "init-from did not load the weights"
expect 1 "shape differs" "$charlm" train $tiny --hidden 8 --init-from learned.safetensors --steps 1 --out d.safetensors
"$charlm" train $tiny --layers 1 --lenient --init-from learned.safetensors --steps 1 --out d.safetensors >/dev/null 2>err.txt || fail "lenient: $(cat err.txt)"
grep -q "unexpected: rnn.weight_ih_l1" err.txt || fail "no report of what was unexpected"

# Sampling: the requested length, the same text from the same seed, the given beginning.
"$charlm" sample --model learned.safetensors --prime "the " --length 50 --seed 1 >s1.txt 2>err.txt || fail "sample: $(cat err.txt)"
"$charlm" sample --model learned.safetensors --prime "the " --length 50 --seed 1 >s2.txt
"$charlm" sample --model learned.safetensors --prime "the " --length 50 --seed 2 >s3.txt
same s1.txt s2.txt "the same seed"
cmp -s s1.txt s3.txt && fail "two seeds wrote the same"
[ "$(wc -c <s1.txt)" = 55 ] || fail "not 4 + 50 characters and a newline"
grep -q "^the " s1.txt || fail "does not begin with the prime"
"$charlm" sample --model learned.safetensors --length 2 --export charlm.onnx >/dev/null || fail "export"
grep -q "rnn.weight_hh_l0" charlm.onnx && grep -q "h0_next" charlm.onnx || fail "export has no weights or states"
"$charlm" sample --model learned.safetensors --temperature 0 --length 5 >/dev/null || fail "temperature 0"

# Wrong usage: exit 2.
expect 2 "hidden must be a whole number from 1" "$charlm" train --hidden 0
expect 2 "steps must be a whole number from 1" "$charlm" train --steps -1
expect 2 "steps must be a whole number" "$charlm" train --steps 1e3
expect 2 "lr must be a number" "$charlm" train --lr nan
expect 2 "cell must be one of rnn, lstm, gru" "$charlm" train --cell transformer
expect 2 "unknown option" "$charlm" train --hiden 5
expect 2 "needs a value" "$charlm" train --hidden
expect 2 "exclude each other" "$charlm" train --resume --init-from x
expect 2 "not an option" "$charlm" sample more
expect 2 "charlm train" "$charlm"
"$charlm" --help | grep -q "usage: charlm" || fail "--help"
"$charlm" train --help | grep -q -- "--hidden N" || fail "train --help"
"$charlm" --version | grep -q "^charlm [0-9]" || fail "--version"

# Bad files: exit 1, and the old model is unchanged.
cp learned.safetensors keep.safetensors
small="--hidden 12 --batch 4 --unroll 8 --steps 2 --out learned.safetensors"
: >empty.txt
printf 'a' >one.txt
printf 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' >same.txt
printf 'short text' >short.txt
head -c 5000 "$binary" >binary.txt
expect 1 "No such file" "$charlm" train --data none.txt $small
expect 1 "empty" "$charlm" train --data empty.txt $small
expect 1 "one distinct character" "$charlm" train --data one.txt $small
expect 1 "one distinct character" "$charlm" train --data same.txt $small
expect 1 "too few for" "$charlm" train --data short.txt $small
expect 1 "not a text file" "$charlm" train --data binary.txt $small
expect 1 "is a directory" "$charlm" train --data . $small
expect 1 "No such file" "$charlm" train $tiny --out none/m.safetensors
expect 1 "not a regular file" "$charlm" train $tiny --steps 1 --out /dev/full
same learned.safetensors keep.safetensors "the model after bad input"

head -c 3000 keep.safetensors >cut.safetensors
cp keep.safetensors flipped.safetensors
printf '\377' | dd of=flipped.safetensors bs=1 seek=2000 conv=notrunc 2>/dev/null
printf '\002\000\000\000\000\000\000\000{}' >other.safetensors
cp text.txt words.safetensors
expect 1 "damaged" "$charlm" sample --model cut.safetensors
expect 1 "damaged" "$charlm" sample --model flipped.safetensors
expect 1 "not a model of charlm" "$charlm" sample --model other.safetensors
expect 1 "not a safetensors file" "$charlm" sample --model words.safetensors
expect 1 "No such file" "$charlm" sample --model none.safetensors
expect 1 "never seen" "$charlm" sample --model keep.safetensors --prime "@"
expect 1 "damaged" "$charlm" train --data text.txt --resume --out cut.safetensors
expect 1 "made with --hidden 12, not 13" "$charlm" train --data text.txt --resume --hidden 13 --out keep.safetensors
expect 1 "another text" "$charlm" train --data text.txt --data text.txt --resume --out keep.safetensors

# case model_asks_memory: settings of a model from a stranger that its file cannot have; a vocabulary with an escape.
stranger() { # SYMBOLS HIDDEN LAYERS
    header="{\"__metadata__\":{\"program\":\"charlm\",\"vocabulary\":\"$1\",\"hidden\":\"$2\",\"layers\":\"$3\",\"cell\":\"lstm\"}}"
    printf "\\$(printf %o ${#header})\\000\\000\\000\\000\\000\\000\\000%s" "$header" >stranger.safetensors
}
for size in "65536 8" "12000 1" "3000 1" "700 8"; do
    stranger 0a20 $size
    expect 1 "its settings ask for a larger model than it has" "$charlm" sample --model stranger.safetensors
done
stranger 0a1b20 8 1
expect 1 "not a model of charlm" "$charlm" sample --model stranger.safetensors

# The smallest setting.
(cd "$dir" && "$charlm" --tiny --steps 20 >out.txt 2>err.txt && [ -s charlm.safetensors ]) || fail "--tiny: $(tail -1 err.txt)"

# The demo: what it does, samples on the way, the result, a text, and commands that can be given; into a pipe, plain.
# (--out: the default is next to the program.)
"$charlm" demo --hidden 12 --batch 4 --unroll 8 --seconds 3 --sample-seconds 0.4 --steps 100000 --data text.txt \
    --out d/demo.safetensors >out.txt 2>err.txt && fail "demo without a folder for its model"
mkdir d
"$charlm" demo --hidden 12 --batch 4 --unroll 8 --seconds 3 --sample-seconds 0.4 --steps 100000 --data text.txt \
    --out d/demo.safetensors >out.txt 2>err.txt || fail "demo: $(tail -1 err.txt)"
grep -q "^A character LSTM (long short-term memory) learns to write" out.txt || fail "the demo does not say what it does"
[ "$(grep -c '^step [0-9]*: validation loss' out.txt)" -ge 3 ] || fail "the demo shows no samples"
grep -q "^final: training loss" out.txt || fail "no result of the demo"
[ "$(sed -n '/^What to try next:/,$p' out.txt | wc -l)" = 4 ] || fail "the end of the demo: $(tail -4 out.txt)"
grep -q "charlm sample --model d/demo.safetensors$" out.txt && [ -s d/demo.safetensors ] || fail "the demo's model"
LC_ALL=C grep -q "$(printf '[\033\r]')" out.txt err.txt && fail "the demo's output is not plain"

# A full disk: no file may grow past a few blocks.
(
    trap '' XFSZ
    ulimit -f 4
    "$charlm" train $tiny --hidden 40 --steps 1 --save-every 0 --out learned.safetensors >out.txt 2>err.txt
    [ $? = 1 ] || echo "exit code" >full.txt
    tail -1 err.txt | grep -q "cannot write" || cat err.txt >full.txt
)
[ -e full.txt ] && fail "full disk: $(cat full.txt)"
same learned.safetensors keep.safetensors "the model after a full disk"
ls | grep -q tmp- && fail "a temporary file is left"
"$charlm" sample --model keep.safetensors --length 5 >/dev/full 2>err.txt && fail "a full stdout"
grep -q "cannot write the results" err.txt || fail "no word about a full stdout"

# Ctrl-C: saves, exits 130, and resumes to the same bits. (Background jobs of a shell ignore SIGINT: hence env.)
"$charlm" train $tiny --steps 4000 --eval-every 0 --save-every 0 --out long.safetensors >/dev/null 2>&1
for signal in INT TERM; do
    rm -f stopped.safetensors err.txt
    env --default-signal=INT "$charlm" train $tiny --steps 4000 --eval-every 0 --save-every 0 --out stopped.safetensors >out.txt 2>err.txt &
    pid=$!
    wait_for err.txt # the first line of progress: after a twentieth of the steps
    kill -$signal $pid
    wait $pid
    got=$?
    if [ $got = 0 ]; then
        echo "too fast to be stopped: skipped"
        continue
    fi
    [ $signal = INT ] && want=130 || want=143
    [ $got = $want ] || fail "exit $got after $signal"
    grep -q "is saved, --resume goes on" err.txt || fail "no word after $signal: $(cat err.txt)"
    "$charlm" train --data text.txt --resume --steps 4000 --out stopped.safetensors >/dev/null 2>err.txt || fail "resume after $signal: $(tail -1 err.txt)"
    same long.safetensors stopped.safetensors "resumed after $signal"
done

[ $failures = 0 ] && echo "charlm: all good"
[ $failures = 0 ]
