# Compares dsv4-convert with the Python twins in this folder: B=build/gcc-opt sh tests/oracle/run.sh
#
# What it is: the runner. It makes a virtualenv with pinned packages under build/ (the only thing fetched), runs the
# tool and the twin on the same checkpoints and compares every weight file byte for byte. The twins are derived from
# a description of the official checkpoint and converter alone (layouts.py: of the engines' layouts), which lies outside
# this project, and not from our code, so an agreement is one of two readers.
# What it is not: part of `make test`, which needs neither Python nor a network; nor a test of the command line, of
# manifests or of a forward pass.
#
# KEEP=1 leaves the outputs of both under build/.
set -u
cd "$(dirname "$0")/../.." || exit 1

B=${B:-build/gcc-opt}
tool=$B/dsv4-convert
mkmodel=$B/mkmodel
here=tests/oracle
venv=build/oracle-venv
python=$venv/bin/python
export PYTHONDONTWRITEBYTECODE=1

passed=0
failed=0
skipped=0

# ---------------------------------------------------------------- setting up

if ! cmp -s $here/requirements.txt $venv/requirements.txt; then
    echo "making $venv"
    rm -rf $venv
    if ! python3 -m venv $venv || ! $python -m pip install -q --disable-pip-version-check -r $here/requirements.txt; then
        echo "oracle: no virtualenv; this needs python3 (3.11 or later) with venv, and PyPI" >&2
        exit 1
    fi
    cp $here/requirements.txt $venv/requirements.txt
fi
if ! [ -x "$tool" ]; then
    echo "oracle: $tool is missing; run make" >&2
    exit 1
fi
mkdir -p build
work=$(mktemp -d build/oracle-work.XXXXXX) || exit 1
[ -n "${KEEP:-}" ] || trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# ---------------------------------------------------------------- reporting

ok() {
    passed=$((passed + 1))
    echo "ok  $1"
}

# fail NAME FILE: the file's lines say why
fail() {
    failed=$((failed + 1))
    echo "FAIL $1"
    sed 's/^/     /' "$2"
}

skip() {
    skipped=$((skipped + 1))
    echo "SKIP $1"
}

# check NAME COMMAND...: ok if the command succeeds
check() {
    name=$1
    shift
    if "$@" >"$work/log" 2>&1; then ok "$name"; else fail "$name" "$work/log"; fi
}

# ---------------------------------------------------------------- comparisons

# Options that the tool has and the twins, which never refuse to round, have not.
tool_only=

# same_output NAME TWIN CHECKPOINT TARGET [OPTIONS]: TWIN and the tool write the same files
same_output() {
    name=$1 twin=$2 checkpoint=$3 target=$4
    shift 4
    rm -rf "$work/expected" "$work/actual"
    if ! $python $here/"$twin" "$checkpoint" "$work/expected" "$@" >"$work/log" 2>&1; then
        echo "($twin failed)" >>"$work/log"
        fail "$name" "$work/log"
    elif ! "$tool" run "$checkpoint" -o "$work/actual" --target "$target" "$@" $tool_only -q >"$work/log" 2>&1; then
        echo "(the tool failed)" >>"$work/log"
        fail "$name" "$work/log"
    else
        check "$name" $python $here/compare.py "$work/expected" "$work/actual"
    fi
    if [ -n "${KEEP:-}" ]; then
        kept=$work/$(echo "$name" | tr ' ' '_')
        mkdir "$kept"
        mv "$work/expected" "$work/actual" "$kept"
    fi
}

official() {
    checkpoint=$1
    shift
    same_output "$(label "$checkpoint") official${*:+ $*}" official.py "$checkpoint" official "$@"
}

hf() {
    checkpoint=$1
    shift
    same_output "$(label "$checkpoint") hf${*:+ $*}" hf.py "$checkpoint" hf "$@"
}

# both_refuse CHECKPOINT MP: neither can split into so many ranks, and the tool leaves no weights
both_refuse() {
    name="$(label "$1") official --mp $2 is refused"
    rm -rf "$work/expected" "$work/actual"
    $python $here/official.py "$1" "$work/expected" --mp "$2" >"$work/log" 2>&1
    twin_status=$?
    "$tool" run "$1" -o "$work/actual" --target official --mp "$2" -q >>"$work/log" 2>&1
    tool_status=$?
    echo "(exit status of the twin: $twin_status, must be 2; of the tool: $tool_status, must not be 0 or a signal's)" >>"$work/log"
    if [ $twin_status -eq 2 ] && [ $tool_status -ne 0 ] && [ $tool_status -lt 128 ] \
        && ! ls "$work"/actual/*.safetensors >/dev/null 2>&1; then
        ok "$name"
    else
        fail "$name" "$work/log"
    fi
}

# refuses_to_round CHECKPOINT [OPTIONS]: the tool does not write what is not exact
refuses_to_round() {
    checkpoint=$1
    shift
    name="$(label "$checkpoint") official --mp 1 $* is refused without --lossy"
    rm -rf "$work/actual"
    "$tool" run "$checkpoint" -o "$work/actual" --target official --mp 1 "$@" -q >"$work/log" 2>&1
    status=$?
    echo "(exit status $status, must be 1)" >>"$work/log"
    if [ $status -eq 1 ] && ! ls "$work"/actual/*.safetensors >/dev/null 2>&1; then
        ok "$name"
    else
        fail "$name" "$work/log"
    fi
}

# label CHECKPOINT: a short name
label() {
    case $1 in
    */checkpoint) basename "$(dirname "$1")" ;;
    *) basename "$1" ;;
    esac
}

# model NAME [OPTIONS]: makes the model of tests/configs/NAME.json at $work/NAME
model() {
    config=$1
    shift
    if ! "$mkmodel" "$work/$config" --config "tests/configs/$config.json" "$@" >"$work/log" 2>&1; then
        fail "mkmodel $config" "$work/log"
        return 1
    fi
}

# headers NAME: what mkmodel made has the names, dtypes and shapes that inventory.py derives from its config
headers() {
    check "$1 headers" $python $here/inventory.py --headers "tests/configs/$1.json" "$work/$1"
}

# inventory NAME: the tool's inspect and inventory.py count the same tensors and bytes
inventory() {
    $python $here/inventory.py "tests/configs/$1.json" >"$work/expected.txt" 2>&1
    "$tool" inspect --json "$work/$1" >"$work/inspect.json" 2>"$work/inspect.err"
    $python -c '
import json, sys
found = json.load(open(sys.argv[1]))
print(found["tensors"], "tensors,", found["bytes"], "bytes")' "$work/inspect.json" >"$work/actual.txt" 2>&1
    check "$1 inventory" diff "$work/expected.txt" "$work/actual.txt"
}

# ---------------------------------------------------------------- the list

check "test vectors of the specification" $python $here/tensors.py
check "layouts and orders of rows" $python $here/layouts.py --check tests/vectors/layouts.txt
check "records of tables, and who has which rows" $python $here/records.py --check tests/vectors/records.txt
check "tables with levels of their own lose less than MXFP4" $python $here/cb4.py drawn
if [ -x "$B/arith" ]; then
    for seed in 1 2 3; do
        "$B/arith" $seed >"$work/arith"
        check "functions and linears of docs/numbers.md, seed $seed" sh -c "$python $here/arith.py <$work/arith"
    done
else
    skip "functions and linears of docs/numbers.md (no $B/arith)"
fi
check "inventory against the totals of the specification" $python $here/inventory.py --self-check tests/configs

for name in tiny-flash tiny-pro; do
    checkpoint=tests/golden/$name
    check "$name headers" $python $here/inventory.py --headers "$checkpoint/config.json" "$checkpoint"
    for mp in 1 2; do
        official "$checkpoint" --mp $mp
        official "$checkpoint" --mp $mp --experts fp8
    done
    official "$checkpoint" --mp 2 --experts fp4
    both_refuse "$checkpoint" 4
    hf "$checkpoint"
    hf "$checkpoint" --experts fp8
    hf "$checkpoint" --experts fp8 --scale-dtype e8m0
done

# Where a cast must round: the tool refuses, and with --lossy rounds as the specification says.
for name in tiny-flash tiny-pro; do
    checkpoint=$work/$name-spread
    if ! $python $here/spread.py tests/golden/$name "$checkpoint" >"$work/log" 2>&1; then
        fail "spread.py $name" "$work/log"
        continue
    fi
    refuses_to_round "$checkpoint" --experts fp4
    refuses_to_round "$checkpoint" --experts fp8
    tool_only=--lossy
    official "$checkpoint" --mp 2
    official "$checkpoint" --mp 2 --experts fp8
    hf "$checkpoint" --experts fp8
    tool_only=
    hf "$checkpoint"
done

if [ -x "$mkmodel" ]; then
    if model small4 --seed 7; then
        headers small4
        inventory small4
        for mp in 1 2 4; do
            official "$work/small4" --mp $mp
            official "$work/small4" --mp $mp --experts fp8
        done
        both_refuse "$work/small4" 3
        hf "$work/small4"
        hf "$work/small4" --experts fp8
    fi
    if model small-base; then
        headers small-base
        inventory small-base
        for mp in 1 2 4; do
            official "$work/small-base" --mp $mp
        done
        hf "$work/small-base"
    fi
    if model small-spark; then
        headers small-spark
        inventory small-spark
        for mp in 1 2 4; do
            official "$work/small-spark" --mp $mp
            official "$work/small-spark" --mp $mp --experts fp8
        done
        hf "$work/small-spark"
        hf "$work/small-spark" --experts fp8
    fi
    if model small-v41 --seed 9; then
        for form in fp8 bf16 mxfp8 mlx-packed; do
            rm -rf "$work/actual"
            if "${tool%convert}quant" run "$work/small-v41" -o "$work/actual" --to $form -q >"$work/log" 2>&1; then
                check "small-v41 $form" $python $here/forms41.py "$work/small-v41" "$work/actual" $form
            else
                fail "small-v41 $form" "$work/log"
            fi
        done
        rm -rf "$work/actual"
        if "${tool%convert}quant" run "$work/small-v41" -o "$work/actual" --to engram-cb4 -q >"$work/log" 2>&1; then
            check "small-v41 engram-cb4" $python $here/cb4.py "$work/small-v41" "$work/actual"
        else
            fail "small-v41 engram-cb4" "$work/log"
        fi
    fi
    for name in flash pro flash-0731 flash-base pro-base pro-dspark; do
        if model $name --sparse; then
            headers $name
            inventory $name
        fi
        rm -rf "${work:?}/$name"
    done
else
    skip "small-v41 in other number formats (no $mkmodel)"
    for name in small4 small-base small-spark; do
        skip "$name official and hf (no $mkmodel)"
    done
    for name in flash pro flash-0731 flash-base pro-base pro-dspark; do
        skip "$name inventory (no $mkmodel)"
    done
fi

# ---------------------------------------------------------------- manifests

# manifest NAME CHECKPOINT OPTIONS...: digests, sidecars and coverage, re-derived from docs/format.md
manifest() {
    name=$1
    checkpoint=$2
    shift 2
    rm -rf "$work/manifest"
    if $tool run "$checkpoint" -o "$work/manifest" "$@" -q >/dev/null 2>"$work/log" &&
        $python $here/manifest.py "$work/manifest" "$checkpoint" >"$work/log" 2>&1; then
        ok "manifest $name"
    else
        fail "manifest $name" "$work/log"
    fi
}
for checkpoint in tests/golden/tiny-flash tests/golden/tiny-pro; do
    for options in "--target official --mp 2" "--target official --mp 1 --experts fp8" "--target hf" \
        "--target hf --experts fp8 --shard-size 1000000" "--target hf --experts fp8 --no-restore" \
        "--target hf --layers 1,mtp"; do
        manifest "${checkpoint##*/} $options" $checkpoint $options
    done
    for target in $("$tool" targets --json | sed -n 's/.*"name": "\([^"]*\)", "rows_w13".*/\1/p'); do
        manifest "${checkpoint##*/} --target $target" $checkpoint --target $target --experimental
    done
done
for target in kmajor-sf128 trtllm-mxfp4 megamoe; do
    manifest "$target, two ranks by parts" tests/golden/tiny-pro --target $target --ranks 2 --experts-by tp
    manifest "$target, two ranks, two stages" tests/golden/tiny-flash --target $target --ranks 2 --pp 2
done
manifest "tiny-flash --target vllm-sharded" tests/golden/tiny-flash --target vllm-sharded
if [ -d "$work/small4" ]; then
    for by in tp ep; do
        manifest "small4 --target vllm-sharded, two ranks by $by" "$work/small4" --target vllm-sharded --ranks 2 --experts-by $by
    done
fi
manifest "tiny-flash, to be damaged" tests/golden/tiny-flash --target hf --layers 1,mtp
printf x | dd of="$work/manifest/model-00003-of-00007.safetensors" bs=1 seek=300000 conv=notrunc 2>/dev/null
if $python $here/manifest.py "$work/manifest" tests/golden/tiny-flash >"$work/log" 2>&1; then
    echo "a changed byte was not noticed" >"$work/log"
    fail "manifest notices" "$work/log"
else
    ok "manifest notices"
fi

# ---------------------------------------------------------------- archives

# archive NAME FOLDER OPTIONS...: what pack makes of the folder is restored by docs/archive.md alone
archive() {
    name=$1
    folder=$2
    shift 2
    rm -rf "$work/archive"
    if $tool pack "$folder" -o "$work/archive" -q "$@" >"$work/log" 2>&1 &&
        $python $here/archive.py "$work/archive" "$folder" >"$work/log" 2>&1; then
        ok "$name: $(cat "$work/log")"
    else
        fail "$name" "$work/log"
    fi
}
for checkpoint in tests/golden/tiny-flash tests/golden/tiny-pro; do
    archive "archive of ${checkpoint##*/}" $checkpoint
    archive "archive of ${checkpoint##*/}, filtered" $checkpoint --filter e8m0
done
mkdir "$work/scales"
check "scales by the filter are not larger than by the published coder" $python $here/archive.py measure "$tool" "$work/scales"

# ---------------------------------------------------------------- tokens

if $python $here/tokens.py fetch build/oracle-tokens >"$work/log" 2>&1; then
    $python $here/tokens.py build/oracle-tokens $B/dsv4-verify ${SEED:-1} 100000 >"$work/tokens" 2>&1
    grep -E '^(ok|FAIL) ' "$work/tokens" | sed 's/^ok  */ok  /'
    passed=$((passed + $(grep -c '^ok ' "$work/tokens")))
    [ "$(grep -c '^ok ' "$work/tokens")" = 4 ] || fail "tokens" "$work/tokens"
else
    skip "tokens: no tokenizer of DeepSeek-V4, or no encoder of vLLM, to be had"
fi

# ---------------------------------------------------------------- errors measured, types chosen

. $here/score.sh

# ---------------------------------------------------------------- signatures

. $here/sign.sh

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
