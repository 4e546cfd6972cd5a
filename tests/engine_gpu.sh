# Loads what the tools write with engines on a GPU, and says what it saw: make test-engine-gpu MODEL=DOWNLOAD
#
#	MODEL       a checkpoint that the engines can load on the GPUs of this machine; its tools are built (make)
#	RANKS       tensor-parallel ranks (all GPUs)
#	WORK        folder for conversions, as large as the model (build/engine-gpu)
#	DRY=1       says what would be run, and runs nothing of it
#
# For each engine that Python finds: convert, compare, load, ask for 8 tokens, probe, dsv4-verify parity. Where somebody has
# run it, docs/engines.md and the column "parity seen on" of docs/layouts.md get what it printed. Exit status: 0 all that
# was tried is true; 1 something is false; 2 a wrong call; 3 no GPU; 4 a GPU and no engine.
set -u
cd "$(dirname "$0")/.." || exit 2

B=${B:-build/gcc-opt}
work=${WORK:-build/engine-gpu}
dry=${DRY:-}

gpus=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null)
if [ -z "$gpus" ] && [ -z "$dry" ]; then
    echo "engine-gpu: no GPU (nvidia-smi names none): nothing was run"
    exit 3
fi
if [ -z "${MODEL:-}" ]; then
    echo "engine-gpu: say MODEL=DOWNLOAD, a checkpoint that the engines can load here" >&2
    exit 2
fi
count=$(printf '%s\n' "$gpus" | grep -c .)
ranks=${RANKS:-$count}
[ "$ranks" -gt 0 ] || ranks=1
echo "saw: $count GPUs: $(printf '%s' "$gpus" | sort | uniq -c | tr '\n' ';')"

# Of an SM10x the targets whose kernels it has; else Marlin's, which vLLM has for all.
targets="marlin-mxfp4:marlin"
case $(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1) in
10.*) targets="$targets trtllm-mxfp4:flashinfer_trtllm_afp8 deepgemm-sm100:deep_gemm" ;;
esac

failed=0 tried=0
# run WORD COMMAND...
run() {
    word=$1
    shift
    if [ -n "$dry" ]; then
        echo "would run: $*"
        return 0
    fi
    if "$@" >"$work/log" 2>&1; then
        echo "ok  $word"
        return 0
    fi
    echo "FAIL $word"
    tail -n 15 "$work/log" | sed 's/^/     /'
    failed=1
    return 1
}
version() { python3 -c "import $1; print($1.__version__)" 2>/dev/null; }
[ -n "$dry" ] || mkdir -p "$work" || exit 2

vllm=$(version vllm)
if [ -n "$vllm$dry" ]; then
    tried=1
    echo "saw: vLLM ${vllm:-(dry)}"
    run "vllm-sharded: convert" "$B/dsv4-convert" run "$MODEL" -o "$work/vllm" --target vllm-sharded --ranks "$ranks" --experts-by tp -q &&
        run "vllm-sharded: compare" "$B/dsv4-verify" compare -q "$MODEL" "$work/vllm" &&
        run "vllm-sharded: vLLM loads it and writes 8 tokens" python3 tests/engine_gpu.py vllm "$work/vllm" "$ranks" sharded_state "$MODEL"
    for row in $targets; do
        target=${row%:*} backend=${row#*:}
        [ -n "$dry" ] || rm -rf "$work/states"
        run "$target: convert" "$B/dsv4-convert" run "$MODEL" -o "$work/$target" --target "$target" --ranks "$ranks" --experts-by tp -q || continue
        run "$target: vLLM loads it by the plug-in and writes 8 tokens" python3 tests/engine_gpu.py vllm "$work/$target/rank-0-of-$ranks" "$ranks" dsv4 "$MODEL" "$backend"
        run "$target: the states of what vLLM makes of the download" python3 loaders/probe.py vllm "$MODEL" -o "$work/states" --target "$target" \
            --engine-args "{\"tensor_parallel_size\": $ranks, \"moe_backend\": \"$backend\", \"enforce_eager\": true, \"max_model_len\": 256}" || continue
        for rank in $(seq 0 $((ranks - 1))); do
            run "$target: parity, rank $rank" "$B/dsv4-verify" parity "$work/$target" "$work/states/state-0-$rank.json"
        done
    done
fi
sglang=$(version sglang)
if [ -n "$sglang$dry" ]; then
    tried=1
    export SGLANG_OPT_FP8_WO_A_GEMM=0
    echo "saw: SGLang ${sglang:-(dry)}"
    [ -n "$dry" ] || rm -f "$work/launch.json"
    if run "sglang-presharded: the probe" python3 loaders/sglang_probe.py -o "$work/launch.json" --model-path "$MODEL" --tp "$ranks" --moe-runner-backend marlin; then
        name=$(sed -n 's/.*"subfolder": "\([^"]*\)".*/\1/p' "$work/launch.json" 2>/dev/null)
        run "sglang-presharded: convert" "$B/dsv4-convert" run "$MODEL" -o "$work/sglang/${name:-NAME}" --target sglang-presharded --shard-config "$work/launch.json" -q &&
            run "sglang-presharded: compare" "$B/dsv4-verify" compare -q "$MODEL" "$work/sglang/${name:-NAME}" &&
            run "sglang-presharded: SGLang loads it and writes 8 tokens" python3 tests/engine_gpu.py sglang "$work/sglang" "$ranks" presharded "$MODEL" marlin
        [ -n "$dry" ] || rm -rf "$work/states"
        run "sglang-presharded: the states of what SGLang makes of the download" python3 loaders/probe.py sglang "$MODEL" -o "$work/states" --target sglang-presharded --tp "$ranks" --moe-runner-backend marlin &&
            for rank in $(seq 0 $((ranks - 1))); do
                run "sglang-presharded: parity, rank $rank" "$B/dsv4-verify" parity "$work/sglang/${name:-NAME}" "$work/states/state-0-$rank.json"
            done
    fi
fi
if [ $tried = 0 ]; then
    echo "engine-gpu: neither vllm nor sglang is in this Python: nothing was run"
    exit 4
fi
[ -n "$dry" ] && echo "engine-gpu: dry, nothing was run"
exit $failed
