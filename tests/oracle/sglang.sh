# Loads what the tools write with SGLang's own reader, without a GPU: make oracle-sglang
#
# What it is: PreshardedModelLoader of SGLang, with verify_on_load, loads folders of `--target sglang-presharded` into a
# model of the launch's parameters; each is held to what SGLang's functions make of the official folder; damaged folders
# must be refused, by it and by dsv4-verify. tests/oracle/sglang/judge.py says which of its functions run, launch.py which
# launch is assumed: nobody has asked a GPU.
# What it is not: part of make test or make oracle; proof that a launch has these parameters, or that a kernel computes with
# them. loaders/sglang_probe.py and make test-engine-gpu are for that.
#
# It makes a virtualenv under build/ with the packages of tests/oracle/sglang/packages.txt (2.7 GB, fetched once). Where
# they cannot be had, all of it is skipped by name. KEEP=1 leaves models and outputs. Prints a line "ok", "FAIL" or "SKIP"
# for each comparison, at last "N passed, M failed, K skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1

B=${B:-build/gcc-opt}
here=tests/oracle/sglang
venv=$PWD/build/sglang-venv
python=$venv/bin/python
began=$(date +%s)
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$here PYTHONWARNINGS=ignore

for tool in dsv4-convert dsv4-verify mkmodel; do
    [ -x "$B/$tool" ] && continue
    echo "oracle-sglang: $B/$tool is missing; run make all helpers" >&2
    exit 1
done
mkdir -p build
work=$(mktemp -d "$PWD/build/sglang-work.XXXXXX") || exit 1
[ -n "${KEEP:-}" ] || trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
verdicts=$work/verdicts
: >"$verdicts"
export WORK=$work
say() { echo "$*" | tee -a "$verdicts"; }
finish() {
    echo "oracle-sglang took $(($(date +%s) - began)) s; $venv holds $(du -sm "$venv" 2>/dev/null | cut -f1) MB"
    awk '/^ok/ { p++ } /^FAIL/ { f++ } /^SKIP/ { s++ } END {
        print p + 0 " passed, " f + 0 " failed, " s + 0 " skipped"; exit f > 0 }' "$verdicts"
    exit
}

if ! cmp -s $here/packages.txt "$venv/packages.txt"; then
    echo "making $venv"
    rm -rf "$venv"
    # word splitting is wanted
    if ! python3 -m venv "$venv" >"$work/log" 2>&1 ||
        ! $python -m pip install -q --disable-pip-version-check --no-deps $(grep -v '^#' $here/packages.txt) >"$work/log" 2>&1 ||
        ! $python tests/oracle/runtime/stubs.py "$(echo "$venv"/lib/python3*/site-packages/torch/lib)" >"$work/log" 2>&1; then
        say "SKIP sglang-presharded: SGLang is not to be had ($(grep -m 1 -i error "$work/log" || tail -n 1 "$work/log"))"
        finish
    fi
    cp $here/packages.txt "$venv/packages.txt"
fi
if ! $python -c 'import sglang.srt.models.deepseek_v4' >"$work/log" 2>&1; then
    say "SKIP sglang-presharded: SGLang does not import here ($(tail -n 1 "$work/log"))"
    finish
fi

# must COMMAND...: a step that cannot fail
must() {
    "$@" >"$work/log" 2>&1 && return
    say "FAIL $*"
    sed 's/^/     /' "$work/log"
    finish
}

# judge NAME RANKS ep|tp SEED [damages]
judge() {
    name=$1 ranks=$2 by=$3 seed=$4 more=${5:-}
    [ -d "$work/$name" ] || must "$B/mkmodel" "$work/$name" --config tests/configs/"$name".json --seed "$seed"
    file=tests/vectors/sglang_$name-$ranks-$by.json
    $python $here/launch.py "$work/$name" "$ranks" "$by" | cmp -s - "$file" ||
        say "FAIL $file is not what launch.py derives"
    rm -rf "$work/out"
    must "$B/dsv4-convert" run "$work/$name" -o "$work/out" --target sglang-presharded --shard-config "$file" -q
    $python $here/judge.py "$work/$name" "$work/out" "$file" $more >"$work/said" 2>"$work/err"
    status=$?
    grep -E '^(ok|FAIL)' "$work/said" | tee -a "$verdicts"
    [ $status -eq 0 ] || { say "FAIL SGLang's reader, $name, $ranks ranks by $by"; tail -n 5 "$work/err"; }
}

judge small4 1 ep 3
judge small4 2 tp 3
judge small-base 2 tp 4
judge small4 1 ep 3 probe
judge small4 2 ep 3
judge small4 2 ep 3 damages
# The same bit that SGLang's reader refuses.
printf '\377' | dd of="$work/out/model-rank-0-part-0.safetensors" bs=1 seek=1000003 conv=notrunc 2>"$work/log"
if "$B/dsv4-verify" check "$work/out" >"$work/log" 2>&1 || ! grep -q check.chunk "$work/log"; then
    say "FAIL a damaged file: dsv4-verify check"
else
    say "ok  a damaged file: dsv4-verify check says which chunk"
fi
finish
