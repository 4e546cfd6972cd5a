# Loads what the tools write with SGLang's own reader, without a GPU: make oracle-sglang
#
# What it is: PreshardedModelLoader of SGLang, with verify_on_load, loads folders of `--target sglang-presharded` into a
# model of the launch's parameters; each is held to what SGLang's functions make of the official folder; damaged folders
# must be refused, by it and by dsv4-verify. tests/oracle/sglang/judge.py says which of its functions run, launch.py which
# launch is assumed: nobody has asked a GPU.
# What it is not: part of make test or make oracle; proof that a launch has these parameters, or that a kernel computes with
# them. loaders/sglang_probe.py and make test-engine-gpu are for that.
#
# It makes a virtualenv under build/ with the packages of tests/oracle/sglang/packages.txt (2.9 GB, fetched once). Where
# they cannot be had, all of it is skipped by name. KEEP=1 leaves models and outputs. Prints a line "ok", "FAIL" or "SKIP"
# for each comparison, at last "N passed, M failed, K skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1

NAME=sglang covers=sglang-presharded
tools="dsv4-convert dsv4-verify mkmodel"
import=sglang.srt.models.deepseek_v4
. tests/oracle/engine_venv.sh
export WORK=$work

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
# What its reader has put into a model, written down by loaders/probe.py, is what the conversion has.
for launch in small4-2-tp small-base-2-tp; do
    rm -rf "$work/out" "$work/states"
    must "$B/dsv4-convert" run "$work/${launch%-2-tp}" -o "$work/out" --target sglang-presharded --shard-config "tests/vectors/sglang_$launch.json" -q
    must $python $here/judge.py "$work/${launch%-2-tp}" "$work/out" "tests/vectors/sglang_$launch.json" state
    for rank in 0 1; do
        if "$B/dsv4-verify" parity "$work/out" "$work/states/state-0-$rank.json" >"$work/log" 2>&1 && grep -q ' 102 .*equal\|equal.* 102' "$work/log"; then
            say "ok  parity of $launch, rank $rank"
        else
            say "FAIL parity of $launch, rank $rank"
            head -n 10 "$work/log"
        fi
    done
done
# The same bit that SGLang's reader refuses.
printf '\377' | dd of="$work/out/model-rank-0-part-0.safetensors" bs=1 seek=1000003 conv=notrunc 2>"$work/log"
if "$B/dsv4-verify" check "$work/out" >"$work/log" 2>&1 || ! grep -q check.chunk "$work/log"; then
    say "FAIL a damaged file: dsv4-verify check"
else
    say "ok  a damaged file: dsv4-verify check says which chunk"
fi
finish
