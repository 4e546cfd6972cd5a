#!/bin/sh
# What each name of dsv4-quant that rounds makes of one layer of V4-Flash's real shape, 256 experts, 3.6 GB, as rows of the table in
# docs/quant.md: bytes, processor seconds, GB of the source for a second of one core, the peaks of memory of run and of all that
# looks at its result, the verdicts of check and compare (exit statuses), error of the routed experts, KL divergence and its noise. At last
# ggml_quantize_chunk of two experts in the types of gguf-q2, in a loop, where make oracle-runtime has installed that library. It is
# no test: nothing passes or fails. By itself: TMPDIR=DISK B= tests/measure/layer_names.sh [NAME...]. It needs 12 GB in TMPDIR, since a
# result is removed before the next one. EXPERTS leaves some out. "recipe" and "budget" are names too: of --recipe and --budget.
set -eu
B=${B:-build/gcc-opt}
experts=${EXPERTS:-256}
d=$(mktemp -d "${TMPDIR:-/tmp}/dsv4-layer.XXXXXX")
trap 'rm -rf "$d"' EXIT
[ $# -gt 0 ] || set -- gguf-q2 gguf-q3 gguf-q4 ds4-q2 ds4-q4 recipe budget \
	w4a16 w4a16-g32 w4a16-asym w4a16-g32-asym w8a8 w8a8-fp8
"$B/mkmodel" "$d/m" --config tests/configs/flash.json --set num_hidden_layers=1 --set 'compress_ratios=[0]' \
	--set num_nextn_predict_layers=0 --set num_hash_layers=0 --set vocab_size=1024 --set n_routed_experts="$experts" >/dev/null
bytes=$(cat "$d"/m/*.safetensors | wc -c)
seq 24 | awk '{ printf "%s%d", (NR > 1 ? "," : ""), ($1 * $1 * 31 + $1 * 7) % 1024 }' >"$d/ids"
cat >"$d/recipe" <<'END'
dsv4-recipe-1 gguf
ffn.experts.#.w1   *   *   iq4_nl
ffn.experts.#.w3   *   *   q5_k
ffn.experts.#.w2   *   *   q6_k
END

# timed FILE COMMAND...: processor seconds and peak of memory go into FILE; what it prints into FILE.log. The status is the command's.
timed() {
	times=$1
	shift
	/usr/bin/time -q -f '%U %S %M' -o "$times" "$@" >"$times.log" 2>&1
}
seconds() { awk '{ printf "%.1f", $1 + $2 }' "$1"; }
peak() { cat "$@" | awk '$3 > most { most = $3 } END { printf "%.0f", most / 1024 }'; } # MiB
# rate BYTES: GB of those bytes for a second of the processor time of run
rate() { awk -v bytes="$1" '{ printf "%.3f", bytes / ($1 + $2) / 1e9 }' "$d/run"; }
# figure ROW MEMBER: of dsv4-verify logits
figure() { sed -n "s/.*\"$2\": \([-0-9.e+]*\).*\"name\": \"$1\".*/\1/p" "$d/logits.log"; }
rms() { # relative RMS error of the routed experts by energy, of the atlas
	awk 'function member(name) { return match($0, name " [-0-9.e+]+") ? substr($0, RSTART + length(name) + 1, RLENGTH - length(name) - 1) + 0 : 0 }
		/"tensor": "[a-z0-9.]*\.ffn\.experts\./ { part += member("\"error\":"); whole += member("\"energy\":") }
		END { printf "%.2f %%", 100 * sqrt(whole ? part / whole : 0) }' "$d/out/atlas.jsonl"
}
quality() { # KL mean and max, and of the noise
	if [ -n "$(figure 'KL mean' value)" ]; then
		printf '%.1e, %.1e | %.1e, %.1e' "$(figure 'KL mean' value)" "$(figure 'KL max' value)" \
			"$(figure 'KL mean' noise)" "$(figure 'KL max' noise)" | sed 's/e-0/e-/g'
	else
		printf 'the same bits |'
	fi
}
options() { # options NAME: of run; those of budget measure first what it needs
	case $1 in
	recipe) echo "--to gguf --recipe $d/recipe" ;;
	budget)
		"$B/dsv4-quant" imatrix "$d/m" --tokens "$d/ids" -o "$d/imatrix" -q >/dev/null
		timed "$d/score.time" "$B/dsv4-quant" score "$d/m" --imatrix "$d/imatrix" -o "$d/score" --every 16 -j 1 -q
		echo "--to gguf --imatrix $d/imatrix --score $d/score --budget 60%"
		;;
	*) echo "--to $1" ;;
	esac
}
row() { # row NAME: made, read back, looked at, and printed. The second call of run finds its files made, and measures.
	rm -rf "$d/out" "$d/page.html"
	opts=$(options "$1")
	importance=
	[ "$1" != budget ] || importance="--imatrix $d/imatrix"
	failed=
	timed "$d/run" "$B/dsv4-quant" run "$d/m" -o "$d/out" $opts -j 1 -q || failed="run: $?"
	timed "$d/atlas" "$B/dsv4-quant" run "$d/m" -o "$d/out" $opts -j 1 -q --atlas --report "$d/page.html" || failed="$failed atlas: $?"
	[ -n "$failed" ] || [ -s "$d/page.html" ] || failed="no page"
	if [ -n "$failed" ]; then
		echo "$1: $failed"
		tail -n 3 "$d/run.log" "$d/atlas.log"
		return 0
	fi
	check=0 compare=0
	timed "$d/check" "$B/dsv4-verify" check "$d/out" -q || check=$?
	timed "$d/compare" "$B/dsv4-verify" compare "$d/m" "$d/out" $importance -q || compare=$?
	timed "$d/logits" "$B/dsv4-verify" logits "$d/m" "$d/out" --tokens "$d/ids" --max-kl 1 --json -q || true
	made=$(cat "$d"/out/*.gguf "$d"/out/model*.safetensors 2>/dev/null | wc -c | sed ':a; s/\([0-9]\)\([0-9]\{3\}\)\($\|,\)/\1,\2\3/; ta')
	echo "| \`$1\` | $made | $(seconds "$d/run") | $(rate "$bytes") | $(peak "$d/run"), $(peak "$d/atlas"), $(peak "$d/check" "$d/compare"), $(peak "$d/logits") |" \
		"$check, $compare | $(rms) | $(quality) |"
}

echo "one layer, $experts experts, $bytes bytes"
echo '| name | bytes | s | GB/s of a core | MiB of run, its atlas, check and compare, logits | check, compare | RMS | KL mean, max | of the noise |'
echo '| --- | --- | --- | --- | --- | --- | --- | --- | --- |'
for name; do
	row "$name"
done
[ ! -f "$d/score.time" ] || echo "score, one row in 16: $(seconds "$d/score.time") s, $(peak "$d/score.time") MiB"
ggml=$(find build/runtime-venv -name libggml-base.so 2>/dev/null | head -n 1)
if [ -n "$ggml" ]; then
	few=$((experts < 2 ? experts : 2))
	timed "$d/run" "$B/bench" chunks "$ggml" 1 $few
	echo "ggml_quantize_chunk, $few experts: $(rate $((few * 13369344))) GB/s of a core" # of 3 x 2048 x 4096 values in MXFP4
else
	echo "ggml: not run (make oracle-runtime installs it)"
fi
