# What a job costs over one process, and what finalize takes where there are as many tensors as in V4-Pro. The last part of
# `make bench`, or by itself: B= tests/cluster/speed.sh. Nothing here passes or fails; docs/speed.md has what it printed. RUNS is
# how often each is timed; QUICK=1: once. It needs about 2.5 GB in TMPDIR or /dev/shm.
set -eu
B=${B:-build/gcc-opt}
d=$(mktemp -d "${TMPDIR:-/dev/shm}/dsv4-batch.XXXXXX")
trap 'rm -rf "$d"' EXIT
tool=$B/dsv4-convert
timed() { # timed NAME COMMAND
	/usr/bin/time -f "$1: %e s wall, %U s user, %S s system, %M KiB" sh -c "$2" 2>"$d/time" >/dev/null
	tail -n 1 "$d/time"
}
# A layer of V4-Flash with 32 experts, to FP8: 0.6 GB in, 0.9 GB out.
"$B/mkmodel" "$d/flash" --config tests/configs/flash.json --set num_hidden_layers=1 --set "compress_ratios=[0]" \
	--set num_nextn_predict_layers=0 --set num_hash_layers=0 --set vocab_size=1024 --set n_routed_experts=32
options="-t hf --experts fp8 --shard-size 40M"
runs=${RUNS:-5}
[ "${QUICK:-0}" = 0 ] || runs=1
for i in $(seq "$runs"); do
	rm -rf "$d/one" "$d/out" "$d/job"
	timed "one process, 2 threads" "$tool run $d/flash -o $d/one $options -j 2 -q"
	# shellcheck disable=SC2086 # words
	$tool plan "$d/flash" -o "$d/out" $options --job "$d/job" --tasks 8 -q >/dev/null
	timed "8 tasks at once, 1 thread each, and finalize" \
		"for i in 0 1 2 3 4 5 6 7; do $tool run $d/job --task \$i/8 -j 1 -q 2>/dev/null & done; wait; $tool finalize $d/job -q"
done
rm -rf "$d/flash" "$d/one" "$d/out" "$d/job"
# The tensors of V4-Pro by number and name, with small shapes.
"$B/mkmodel" "$d/pro" --config tests/configs/pro.json --sparse --set hidden_size=128 --set moe_intermediate_size=128 \
	--set vocab_size=1024 --set q_lora_rank=128 --set o_lora_rank=32 --set num_attention_heads=16 --set head_dim=64 \
	--set qk_rope_head_dim=32 --set index_n_heads=8
$tool plan "$d/pro" -o "$d/out" -t hf --job "$d/job" --tasks 8 -q >/dev/null
timed "V4-Pro's tensors: one task that makes all" "$tool run $d/job --task 0/8 --steal -q"
for i in 1 2 3; do timed "V4-Pro's tensors: finalize" "$tool finalize $d/job -q"; done
