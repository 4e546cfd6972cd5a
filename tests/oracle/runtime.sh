# Runs what the tools write in engines that others wrote, and holds its bytes to their packages: make oracle-runtime
#
# What it is: transformers, llama.cpp and MLX load small models that dsv4-convert has converted and compute logits, on
# a CPU; they must be those of `dsv4-verify record --arithmetic fp32` of the source (tests/oracle/runtime/judge.py says
# how near). Then the same engines are given the same folders with small damages, each of which must show. docs/engines.md
# says what was seen.
# What it is not: part of make test or make oracle; proof of speed, or of what these engines do on a GPU.
#
# It makes a virtualenv under build/ with the packages of tests/oracle/runtime/packages.txt (about 2 GB, fetched once).
# An engine that cannot be installed is skipped by its name. ONLY=llama.cpp leaves the others out. KEEP=1 leaves models
# and outputs. Prints a line "ok", "FAIL" or "SKIP" for each comparison, at last "N passed, M failed, K skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1

B=${B:-build/gcc-opt}
here=tests/oracle/runtime
venv=build/runtime-venv
python=$venv/bin/python
began=$(date +%s)
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/oracle:$here
# What packages print of their own, and what they would fetch.
export TOKENIZERS_PARALLELISM=false TRANSFORMERS_VERBOSITY=error HF_HUB_OFFLINE=1 PYTHONWARNINGS=ignore

for tool in dsv4-convert dsv4-quant dsv4-verify mkmodel; do
    [ -x "$B/$tool" ] && continue
    echo "oracle-runtime: $B/$tool is missing; run make all helpers" >&2
    exit 1
done
mkdir -p build
work=$(mktemp -d build/runtime-work.XXXXXX) || exit 1
[ -n "${KEEP:-}" ] || trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
verdicts=$work/verdicts
: >"$verdicts"

# ---------------------------------------------------------------- engines

say() { echo "$*" | tee -a "$verdicts"; }

# have GROUP: whether its packages are installed; installs them, or says SKIP once
have() {
    case " ${ONLY:-$1} base " in *" $1 "*) ;; *) return 1 ;; esac
    [ -f "$venv/no-$1" ] && return 1
    sed -n "s/^$1 //p" $here/packages.txt >"$work/wanted"
    cmp -s "$work/wanted" "$venv/has-$1" && return 0
    # word splitting is wanted
    if $python -m pip install -q --disable-pip-version-check --no-deps $(cat "$work/wanted") >"$work/log" 2>&1 &&
        { [ "$1" != transformers ] || $python $here/stubs.py "$(echo $venv/lib/python3*/site-packages/torch/lib)" >"$work/log" 2>&1; }; then
        mv "$work/wanted" "$venv/has-$1"
        return 0
    fi
    say "SKIP $1: not installed ($(grep -m 1 -i error "$work/log" || tail -n 1 "$work/log"))"
    touch "$venv/no-$1"
    return 1
}

finish() {
    echo "oracle-runtime took $(($(date +%s) - began)) s; $venv holds $(du -sm $venv 2>/dev/null | cut -f1) MB"
    awk '/^ok/ { p++ } /^FAIL/ { f++ } /^SKIP/ { s++ } END {
        print p + 0 " passed, " f + 0 " failed, " s + 0 " skipped"; exit f > 0 }' "$verdicts"
    exit
}

if ! [ -x $python ] && ! python3 -m venv $venv 2>/dev/null; then
    say "SKIP all engines: python3 has no venv here"
    finish
fi
rm -f $venv/no-*
have base || finish

# ---------------------------------------------------------------- models and jobs

# must COMMAND...: a step that cannot fail
must() {
    "$@" >"$work/log" 2>&1 && return
    say "FAIL $*"
    sed 's/^/     /' "$work/log"
    [ -n "${aside:-}" ] && exit 1
    finish
}

# run SCRIPT JOBS...: its lines are verdicts; what else it says is shown where it fails
run() {
    judge=$1
    shift
    $python $here/"$judge" "$@" >"$work/out" 2>"$work/err"
    status=$?
    grep -E '^(ok|FAIL|SKIP) ' "$work/out" | tee -a "$verdicts"
    [ $status -eq 0 ] && return
    grep -q '^FAIL' "$work/out" || say "FAIL $judge: exit status $status"
    tail -n 20 "$work/err" | sed 's/^/     /'
}

# model NAME CONFIG [OPTIONS]: a small model, its tokens, and what the tool computes of it in FP32
model() {
    name=$1 config=$2
    shift 2
    must "$B/mkmodel" "$work/$name" --config "tests/configs/$config.json" "$@"
    must "$B/dsv4-verify" record "$work/$name" --tokens "$work/tokens" -o "$work/$name.rec" --what logits \
        --arithmetic fp32 -q
}

# convert NAME OUT OPTIONS...
convert() {
    name=$1 out=$2
    shift 2
    must "$B/dsv4-convert" run "$work/$name" -o "$work/$out" "$@" -q
}

# quant NAME MODEL OUT [OPTIONS]: whether dsv4-quant makes that form; makes it, or says SKIP
quant() {
    to=$1 name=$2 out=$3
    shift 3
    if ! "$B/dsv4-quant" formats | grep -q "^$to "; then
        say "SKIP $to: dsv4-quant does not make it"
        return 1
    fi
    must "$B/dsv4-quant" run "$work/$name" -o "$work/$out" --to "$to" "$@" -q
}

# 160 tokens: more than the window of 128, and one entry of the layers that compress 128 tokens to one.
seq 160 | awk '{ printf "%s%d", (NR > 1 ? "," : ""), ($1 * $1 * 31 + $1 * 7) % 512 }' >"$work/tokens"
# llama.cpp wants a head_dim of 512, other than index_head_dim. The indexer picks 8 of 40 entries; 32 heads, so that no
# two entries score exactly 0: which of equal entries is taken is each engine's own.
shape="--set head_dim=512 --set index_topk=8 --set index_n_heads=32 --set num_hidden_layers=4"
model fp4 small4 $shape --set compress_ratios='[0,4,128,4,0]' --seed 11
model base small-base $shape --set compress_ratios='[0,4,128,4,0]' --seed 12
model base8 small-base $shape --set compress_ratios='[0,4,128,4,0]' --seed 15 --e8m0-scales
convert fp4 hf --target hf
convert fp4 hf8 --target hf --experts fp8
convert base basehf --target hf
# A smaller one for damages, which are many.
model sound small4 --set head_dim=512 --set index_topk=64 --seed 13
convert sound soundhf --target hf

n=0
$python $here/damage.py >"$work/damages"
while read -r what; do
    n=$((n + 1))
    must $python $here/damage.py "$work/soundhf" "$work/damaged$n" "$what"
done <"$work/damages"

# beyond: $script judges all damages, which lie in $work/$form and their number
beyond() {
    set --
    n=0
    while read -r what; do
        n=$((n + 1))
        set -- "$@" --beyond "$engine shows $what" "$work/$form$n" "$work/sound.rec"
    done <"$work/damages"
    run "$script" "$@"
}

# ---------------------------------------------------------------- bytes

# Bytes are looked at beside the engines: each keeps one processor busy. What is installed is installed before.
for group in llama.cpp ggml transformers mlx compressed-tensors torchao modelopt; do
    have $group
done
bytes_of_forms() {
    work=$work/bytes
    mkdir "$work"
    # A matrix of random codes, with scales far apart: what forms.py says of blocks that do not fit.
    must $python tests/oracle/spread.py tests/golden/tiny-flash "$work/spread"
    golden=tests/golden/tiny-flash
    ln -s "$PWD/$golden" "$work/golden"
    if have transformers && have modelopt; then
        run bytes_nvfp4.py $golden
        run bytes_nvfp4.py "$work/spread"
        if quant nvfp4 golden nvfp4 --signed-zero drop --input-scale 0.01; then
            run bytes_nvfp4.py $golden "$work/nvfp4"
            quant nvfp4 golden nvfp4-keep --input-scale 0.01
            run bytes_nvfp4.py $golden "$work/nvfp4-keep" --signed-zero keep
        fi
    fi
    if have transformers && { have torchao; have modelopt; }; then
        run bytes_mxfp8.py $golden
        quant mxfp8 golden mxfp8 && run bytes_mxfp8.py $golden "$work/mxfp8"
    fi
    if have transformers && have compressed-tensors; then
        for of in mxfp4 mxfp8 nvfp4a16; do
            run bytes_ct.py $golden $of
            quant ct-$of golden ct-$of && run bytes_ct.py $golden $of "$work/ct-$of"
        done
        for of in w4a16 w4a16-g32 w4a16-asym w4a16-g32-asym w8a8 w8a8-fp8; do
            quant $of golden $of && run round_ct.py $golden "$work/$of"
        done
    fi
    if have llama.cpp && have ggml; then
        run bytes_ggml.py $golden
        run ../ggml_types.py --check tests/vectors/ggml_types.txt
        run ../lowbit.py "$B/encode"
        must "$B/mkmodel" "$work/rows256" --config tests/configs/small4.json --set head_dim=256
        for to in gguf-q2 gguf-q3 gguf-q4 ds4-q2; do
            quant $to rows256 "atlas-$to"
            must "$B/dsv4-verify" atlas "$work/rows256" "$work/atlas-$to" -o "$work/$to.jsonl" -q
            run ../atlas.py "$work/rows256" "$work/atlas-$to" "$work/$to.jsonl"
        done
    fi
}
(
    aside=yes
    bytes_of_forms
) &
bytes=$!

# ---------------------------------------------------------------- the list

engine=transformers script=in_transformers.py form=damaged
if have transformers; then
    run $script \
        --within "transformers, source" "$work/fp4" "$work/fp4.rec" \
        --within "transformers, hf" "$work/hf" "$work/fp4.rec" \
        --within "transformers, hf --experts fp8" "$work/hf8" "$work/fp4.rec" \
        --within "transformers, hf of -Base" "$work/basehf" "$work/base.rec" \
        --parameters "transformers holds hf as the source" "$work/hf" "$work/fp4" \
        --parameters "transformers holds hf --experts fp8 as the source" "$work/hf8" "$work/fp4" \
        --parameters "transformers holds hf of -Base as the source" "$work/basehf" "$work/base"
    set --
    for of in fp8 bf16; do
        quant $of fp4 q-$of && set -- "$@" --within "transformers, dsv4-quant $of" "$work/q-$of" "$work/fp4.rec"
    done
    if have compressed-tensors; then # without the package it says no more than that
        for of in ct-mxfp4 ct-mxfp8 ct-nvfp4a16; do
            quant $of fp4 q-$of && set -- "$@" --refused "transformers does not load $of" "$work/q-$of" "$work/fp4.rec"
        done
    fi
    [ $# -gt 0 ] && run $script "$@"
    if have llama.cpp; then # whose package reads the file
        must "$B/dsv4-quant" imatrix "$work/fp4" --tokens "$work/tokens" --arithmetic fp32 -o "$work/fp4.imatrix" -q
        run importance.py --importance "transformers, importance of dsv4-quant imatrix" "$work/fp4" "$work/fp4.rec" "$work/fp4.imatrix"
    fi
    rm -rf "$work"/q-*
    beyond
fi

engine=llama.cpp script=in_llamacpp.py form=twin
if have llama.cpp; then
    all="--experts f32 --dense f32"
    for of in hf hf8 basehf; do
        must $python $here/gguf_twin.py "$work/$of" "$work/$of.gguf" $all
        # what another program wrote is computed here as its source is, bit for bit
        must "$B/dsv4-verify" logits "$work/$of" "$work/$of.gguf" --tokens 3,1,4,1,5,9 -q
    done
    run $script \
        --within "llama.cpp, F32 GGUF of hf" "$work/hf.gguf" "$work/fp4.rec" \
        --within "llama.cpp, F32 GGUF of hf --experts fp8" "$work/hf8.gguf" "$work/fp4.rec" \
        --within "llama.cpp, F32 GGUF of hf of -Base" "$work/basehf.gguf" "$work/base.rec"
    for n in $(seq "$(wc -l <"$work/damages")"); do
        must $python $here/gguf_twin.py "$work/damaged$n" "$work/twin$n" $all
    done
    beyond
    rm -f "$work"/twin* "$work"/*.gguf
fi

# Our own GGUF: in llama.cpp, and beside the one that its converter makes.
if have llama.cpp; then
    for dense in bf16 q8_0 f32; do
        must "$B/dsv4-quant" run "$work/fp4" -o "$work/gguf-$dense" --to gguf --dense $dense -q
    done
    must "$B/dsv4-quant" run "$work/base" -o "$work/gguf-base" --to gguf --dense f32 -q
    must "$B/dsv4-quant" run "$work/fp4" -o "$work/gguf-parts" --to gguf --dense f32 --shard-size 5000000 -q
    must "$B/mkmodel" "$work/spark" --config tests/configs/small-spark.json --seed 15
    must "$B/dsv4-quant" run "$work/spark" -o "$work/gguf-spark" --to gguf --dense q8_0 -q
    part=$(ls "$work"/gguf-parts/model-00001-of-*.gguf)
    run in_llamacpp.py \
        --within "llama.cpp, gguf --dense f32" "$work/gguf-f32/model.gguf" "$work/fp4.rec" \
        --within "llama.cpp, gguf --dense f32 of -Base" "$work/gguf-base/model.gguf" "$work/base.rec" \
        --within "llama.cpp, gguf --dense f32 in parts" "$part" "$work/fp4.rec" \
        --near "llama.cpp, gguf" "$work/gguf-bf16/model.gguf" "$work/fp4.rec" 1e-2 \
        --near "llama.cpp, gguf --dense q8_0" "$work/gguf-q8_0/model.gguf" "$work/fp4.rec" 6e-2 \
        --loads "llama.cpp, MTP of gguf" "$work/gguf-bf16/mtp-model.gguf" \
        --loads "llama.cpp, DSpark of gguf" "$work/gguf-spark/dspark-model.gguf"
    # Mixes: llama.cpp rounds what it multiplies them with, so that it is near to what we compute of the same file.
    set --
    for mix in gguf-q2 gguf-q3 gguf-q4 ds4-q2 ds4-q4; do
        must "$B/dsv4-quant" run "$work/fp4" -o "$work/gguf-$mix" --to $mix -q
        must "$B/dsv4-verify" record "$work/gguf-$mix/model.gguf" --tokens "$work/tokens" -o "$work/gguf-$mix.rec" \
            --what logits --arithmetic fp32 -q
        set -- "$@" --near "llama.cpp, $mix" "$work/gguf-$mix/model.gguf" "$work/gguf-$mix.rec" 5e-2
    done
    # The same of what --budget chose by the model's own activations, and of a recipe with a type of each kind.
    must "$B/dsv4-quant" imatrix "$work/fp4" --tokens "$work/tokens" -o "$work/gguf-importance" -q
    must "$B/dsv4-quant" score "$work/fp4" --imatrix "$work/gguf-importance" -o "$work/gguf-score" -q \
        --types q8_0,q6_k,q4_k,q2_k,iq3_xxs,iq2_xxs
    must "$B/dsv4-quant" run "$work/fp4" -o "$work/gguf-chosen" --to gguf --budget 14500000 --score "$work/gguf-score" \
        --imatrix "$work/gguf-importance" --recipe-out "$work/gguf-chosen.recipe" -q
    cat >"$work/gguf-own.recipe" <<-'END'
		dsv4-recipe-1 gguf
		ffn.experts.#.w1   0-1       *  iq4_nl
		ffn.experts.#.w1   2-3,mtp   *  q5_k
		ffn.experts.#.w2   *         *  q6_k
		ffn.experts.#.w3   0         *  iq2_xxs
		ffn.experts.#.w3   1-3,mtp   *  iq3_xxs
		ffn.shared*        *         *  q3_k
		attn.wo_b          *         *  q8_0
		attn.wkv           0-2       *  q4_k
		attn.wkv           3         *  q2_k
		embed              embed     *  f16
		head               head      *  q6_k
	END
    must "$B/dsv4-quant" run "$work/fp4" -o "$work/gguf-own" --to gguf --recipe "$work/gguf-own.recipe" \
        --imatrix "$work/gguf-importance" -q
    for made in chosen own; do
        must "$B/dsv4-verify" record "$work/gguf-$made/model.gguf" --tokens "$work/tokens" -o "$work/gguf-$made.rec" \
            --what logits --arithmetic fp32 -q
        set -- "$@" --near "llama.cpp, $made types" "$work/gguf-$made/model.gguf" "$work/gguf-$made.rec" 5e-2 \
            --loads "llama.cpp, MTP of $made types" "$work/gguf-$made/mtp-model.gguf"
    done
    run in_llamacpp.py "$@"
    # Figures of quality: of a model with one matrix damaged, in F32 as llama.cpp computes it; of a mix, as near as it rounds.
    must $python $here/damage.py "$work/hf" "$work/gguf-damaged" "nibbles exchanged in one matrix"
    rm -f "$work"/gguf-damaged/*manifest.json
    must "$B/dsv4-quant" run "$work/gguf-damaged" -o "$work/gguf-other" --to gguf --dense f32 -q
    for made in other gguf-q2 chosen own; do # they differ, which is exit status 1
        "$B/dsv4-verify" logits "$work/fp4" "$work/gguf-$made/model.gguf" --tokens "$work/tokens" --arithmetic fp32 \
            --json -q >"$work/gguf-$made.json" 2>"$work/log"
    done
    run quality.py \
        --kl "llama.cpp, quality of a damaged model" "$work/gguf-f32/model.gguf" "$work/gguf-other/model.gguf" \
        "$work/gguf-other.json" "$work/fp4.rec" 1e-4 \
        --kl "llama.cpp, quality of gguf-q2" "$work/gguf-f32/model.gguf" "$work/gguf-gguf-q2/model.gguf" \
        "$work/gguf-gguf-q2.json" "$work/fp4.rec" 0.25 \
        --kl "llama.cpp, quality of what --budget chose" "$work/gguf-f32/model.gguf" "$work/gguf-chosen/model.gguf" \
        "$work/gguf-chosen.json" "$work/fp4.rec" 0.1 \
        --kl "llama.cpp, quality of a recipe" "$work/gguf-f32/model.gguf" "$work/gguf-own/model.gguf" \
        "$work/gguf-own.json" "$work/fp4.rec" 0.1
fi
if have llama.cpp && have transformers; then
    if $python tests/oracle/runtime_gguf.py fetch build/runtime-llama >"$work/log" 2>&1; then
        small="--set vocab_size=129280 --set num_hidden_layers=1 --set num_hash_layers=1 --set compress_ratios=[0,0]"
        must "$B/mkmodel" "$work/words" --config tests/configs/small4.json $small --seed 14
        must cp build/runtime-llama/tokenizer.json build/runtime-llama/tokenizer_config.json "$work/words"
        must "$B/dsv4-quant" run "$work/words" -o "$work/gguf-words" --to gguf -q
        run ../runtime_gguf.py build/runtime-llama --type-table \
            --equal "llama.cpp's converter, gguf" "$work/fp4" "$work/gguf-bf16/model.gguf" \
            --equal "llama.cpp's converter, gguf --dense q8_0" "$work/fp4" "$work/gguf-q8_0/model.gguf" \
            --mtp "llama.cpp's converter, MTP" "$work/fp4" "$work/gguf-q8_0/mtp-model.gguf" \
            --dspark "llama.cpp's converter, DSpark" "$work/spark" "$work/gguf-spark/dspark-model.gguf" \
            --tokenizer "llama.cpp's converter, the tokenizer of V4" "$work/words" "$work/gguf-words/model.gguf"
    else
        say "SKIP llama.cpp's converter: its source package was not had ($(tail -n 1 "$work/log"))"
    fi
fi
rm -rf "$work"/words "$work"/spark "$work"/gguf-*

engine=MLX script=in_mlx.py form=mlx
if have transformers && have mlx; then
    convert fp4 hf8e --target hf --experts fp8 --scale-dtype e8m0 # it takes no F32 scales
    for of in fp4 hf hf8e base8; do
        must $python $here/mlx_twin.py "$work/$of" "$work/$of.mlx"
    done
    run $script \
        --within "MLX, source" "$work/fp4.mlx" "$work/fp4.rec" \
        --within "MLX, hf" "$work/hf.mlx" "$work/fp4.rec" \
        --within "MLX, hf --experts fp8 --scale-dtype e8m0" "$work/hf8e.mlx" "$work/fp4.rec"
    if quant mlx fp4 q-mlx && quant mlx base8 q-mlx8; then
        run $script \
            --within "MLX, dsv4-quant mlx" "$work/q-mlx" "$work/fp4.rec" \
            --within "MLX, dsv4-quant mlx of FP8 experts" "$work/q-mlx8" "$work/base8.rec"
        run same_member.py quantization "$work/q-mlx/config.json" "$work/fp4.mlx/config.json"
        run same_member.py quantization "$work/q-mlx8/config.json" "$work/base8.mlx/config.json"
    fi
    must "$B/mkmodel" "$work/v41" --config tests/configs/small-v41.json --seed 16
    if quant fp8 v41 v41-fp8 && quant bf16 v41 v41-bf16 && quant mlx-packed v41 v41-packed; then
        run in_mlx41.py "$work/v41" "fp8" "$work/v41-fp8" 0 0 "bf16" "$work/v41-bf16" 0 0 \
            "mlx-packed" "$work/v41-packed" 1e-5 70
    fi
    rm -rf "$work"/v41*
    if quant mlx-stack fp4 q-mlxs; then
        run $script --within "MLX, dsv4-quant mlx --stack" "$work/q-mlxs" "$work/fp4.rec"
    fi
    for n in $(seq "$(wc -l <"$work/damages")"); do
        must $python $here/mlx_twin.py "$work/damaged$n" "$work/mlx$n"
    done
    beyond
fi

wait "$bytes"
finish
