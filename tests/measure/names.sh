#!/bin/sh
# What each name of dsv4-quant that rounds costs of a small model of random weights, as rows of the table in docs/quant.md: bytes,
# error of the routed experts, KL divergence beside its noise, and the processor time that it took. It is no test: nothing passes or
# fails. By itself: B= tests/measure/names.sh [NAME...], which names leave out the others. It needs about 200 MB in TMPDIR.
set -eu
B=${B:-build/gcc-opt}
d=$(mktemp -d "${TMPDIR:-/tmp}/dsv4-names.XXXXXX")
trap 'rm -rf "$d"' EXIT
only=" $* "

# The model, and the same with FP8 experts, of which --lossy makes NVFP4 and MXFP4.
for model in m:small4 base:small-base; do
	"$B/mkmodel" "$d/${model%:*}" --config "tests/configs/${model#*:}.json" --set head_dim=512 --set index_topk=8 \
		--set index_n_heads=32 --set num_hidden_layers=4 --set 'compress_ratios=[0,4,128,4,0]' --set q_lora_rank=256 --seed 11 >/dev/null
done
seq 160 | awk '{ printf "%s%d", (NR > 1 ? "," : ""), ($1 * $1 * 31 + $1 * 7) % 512 }' >"$d/ids"
for model in m base; do
	"$B/dsv4-quant" imatrix "$d/$model" --tokens "$d/ids" -o "$d/$model.imatrix" -q >/dev/null
done

# root PART WHOLE: of the sums of two members over the routed experts, per cent
root() {
	awk -v part="\"$1\":" -v whole="\"$2\":" '
		function member(name) { return match($0, name " [-0-9.e+]+") ? substr($0, RSTART + length(name) + 1, RLENGTH - length(name) - 1) + 0 : 0 }
		/"tensor": "[a-z0-9.]*\.ffn\.experts\./ { p += member(part); w += member(whole) }
		END { printf "%.2f %%", 100 * sqrt(w ? p / w : 0) }' "$d/atlas"
}
# quality ROW MEMBER: a figure of dsv4-verify logits
quality() {
	sed -n "s/.*\"$2\": \([-0-9.e+]*\).*\"name\": \"$1\".*/\1/p" "$d/logits"
}
row() { # row MODEL TITLE OPTIONS...: a name made, measured and printed
	from=$d/$1 title=$2
	shift 2
	case $only in '  ' | *" $title "*) ;; *) return 0 ;; esac
	rm -rf "$d/out"
	/usr/bin/time -f '%U' -o "$d/time" "$B/dsv4-quant" run "$from" -o "$d/out" --to "$@" -j 1 -q >/dev/null
	bytes=$(cat "$d"/out/*.gguf "$d"/out/model*.safetensors 2>/dev/null | wc -c)
	"$B/dsv4-verify" atlas "$from" "$d/out" --imatrix "$from.imatrix" -o "$d/atlas" -q >/dev/null
	"$B/dsv4-verify" logits "$from" "$d/out" --tokens "$d/ids" --max-kl 1 --json -q >"$d/logits"
	if [ -n "$(quality 'KL mean' value)" ]; then
		kl=$(printf '%.1e, %.1e | %.1e, %.1e | %s %%' "$(quality 'KL mean' value)" "$(quality 'KL max' value)" \
			"$(quality 'KL mean' noise)" "$(quality 'KL max' noise)" "$(awk "BEGIN { printf \"%.1f\", 100 * $(quality 'same top-1' value) }")" | sed 's/e-0/e-/g')
	else
		kl='the same bits | | '
	fi
	bytes=$(echo "$bytes" | sed ':a; s/\([0-9]\)\([0-9]\{3\}\)\($\|,\)/\1,\2\3/; ta')
	echo "| \`$title\` | $bytes | $(root error energy) | $(root weighed_error weighed_energy) | $kl | $(cat "$d/time") |"
}

printf '| name | bytes, drafts too | RMS | weighed RMS | KL mean, max | of the noise | first choice equal | s |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n'
for name in gguf-q2 gguf-q3 gguf-q4 ds4-q2 ds4-q4 w4a16 w4a16-g32 w4a16-asym w4a16-g32-asym w8a8 w8a8-fp8; do
	row m $name $name
done
row base nvfp4 nvfp4 --lossy --input-scale 0.01
row base ct-nvfp4a16 ct-nvfp4a16 --lossy
row base ct-mxfp4 ct-mxfp4 --lossy
