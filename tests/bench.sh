# make bench: speed and memory of dsv4-convert beside what people use, on this machine, now.
#
# Input, outputs and the rivals' copies lie in memory (tmpfs), where fsync costs nothing and no disk is
# measured: BENCH_DIR= names another place. Outputs stay below 1 GiB and are deleted before each run,
# on both sides of a pair. cp copies the bytes that the tool writes (its outputs of an earlier run), so
# that both sides write the same amount; "bound" is a loop that does the least a conversion must:
# pread, XXH3-128, SHA-256 (the same code), pwrite, of as many bytes in as many files.
# RUNS=5 pairs after one that warms up; a line shows medians, the wall ratio A/B and its range, and the
# peak memory of A. Needs about 3 GiB there. QUICK=1 goes through all of it once with a small model, to see that
# nothing is broken: its figures mean nothing.
set -eu
quick=${QUICK:-0}
runs=${RUNS:-5}
[ "$quick" = 0 ] || runs=1
if [ -n "${BENCH_DIR:-}" ]; then
	top=$BENCH_DIR
elif [ -d /dev/shm ] && [ "$(df -Pk /dev/shm | awk 'NR == 2 { print $4 }')" -gt 4000000 ]; then
	top=/dev/shm
else
	top=${TMPDIR:-/tmp}
fi
d=$(mktemp -d "$top/dsv4-bench.XXXXXX")
trap 'rm -rf "$d"' EXIT
trap 'exit 1' INT TERM
tool=$B/dsv4-convert
cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1)
echo "machine: ${cpu:-unknown}, $(getconf _NPROCESSORS_ONLN) processors; outputs in $(df -PT "$d" | awk 'NR == 2 { print $2 }')"
$tool version | sed -n '4,6p'

echo
echo "== kernels, one core"
if [ "$quick" = 0 ]; then
	"$B/bench" kernels | tee "$d/kernels"
	"$B/bench" linears
	# The library that make oracle-runtime installs, where it is there.
	ggml=$(find build/runtime-venv -name libggml-base.so 2>/dev/null | head -n 1)
	"$B/bench" lowbits $ggml
	"$B/bench" rounds | tee "$d/rounds"
	if build/runtime-venv/bin/python -c 'import compressed_tensors' 2>/dev/null; then
		build/runtime-venv/bin/python tests/oracle/bench_round.py "$d/rounds"
	else
		echo "  compressed-tensors: not run (make oracle-runtime installs it)"
	fi
fi
twin() { # twin NAME FILE: what numpy does
	if [ -x build/oracle-venv/bin/python ]; then
		echo "  $1: $(build/oracle-venv/bin/python "tests/oracle/$2") GB/s in"
	else
		echo "  $1: not run (make oracle makes its virtualenv)"
	fi
}
twin "FP4 to FP8, numpy float twin" bench_cast.py
twin "marlin4-a16, numpy" bench_marlin.py
# The best way of each number format over what numpy takes for the same, both of one core.
if [ "$quick" != 0 ]; then
	:
elif [ -x build/oracle-venv/bin/python ]; then
	build/oracle-venv/bin/python tests/oracle/bench_formats.py >"$d/twins"
	awk -F'\t' 'NR == FNR { twin[$1] = $2; next }
		{
			name = substr($0, 3, 17)
			sub(/ +$/, "", name)
			if (!(name in twin) || seen[name]++)
				next
			split(substr($0, 21), way, " ")
			printf("  %-17s numpy %8.4f GB/s out, %s %.0f times as much\n", name, twin[name], way[1], way[2] / twin[name])
		}' "$d/twins" "$d/kernels"
else
	echo "  number formats, numpy: not run (make oracle makes its virtualenv)"
fi

# Shapes of V4-Flash; one layer and part of its experts, so that outputs stay small.
model() { # model NAME EXPERTS
	"$B/mkmodel" "$d/$1" --config tests/configs/flash.json --set num_hidden_layers=1 \
		--set "compress_ratios=[0]" --set num_nextn_predict_layers=0 --set num_hash_layers=0 \
		--set vocab_size=1024 --set n_routed_experts=$2
}
model fp4 $([ "$quick" = 0 ] && echo 40 || echo 8)
cat "$d"/fp4/*.safetensors >/dev/null

table() { # table TITLE OPTIONS: ratios for 1 and 2 threads
	title=$1 options=$2
	run="$tool run $d/fp4 -o $d/out $options -q >/dev/null"
	rm -rf "$d/out" "$d/keep"
	sh -c "$run"
	mkdir "$d/keep"
	find "$d/out" -name '*.safetensors' | sort | while read -r f; do
		mv "$f" "$d/keep/$(echo "${f#"$d/out/"}" | tr / -)"
	done
	rm -rf "$d/out"
	bytes=$(cat "$d"/keep/* | wc -c)
	files=$(ls "$d/keep" | wc -l)
	sizes=$(wc -c "$d"/keep/* | awk '$2 != "total" { printf("%s ", $1) }')
	clean="rm -rf $d/out $d/copy $d/bound.*"
	sha=1
	case $options in *--no-sha256*) sha=0 ;; esac
	copy="mkdir $d/copy && cp $d/keep/* $d/copy/"
	echo
	echo "== $title: $((bytes / 1000000)) MB out in $files files"
	echo "                                A: dsv4-convert          |  B                       | A/B wall            | peak of A"
	for j in 1 2; do
		line() { # line NAME COMMAND
			printf '%s thread%s / %-22s' $j "$([ $j = 1 ] && echo ' ' || echo s)" "$1"
			"$B/bench" pair "$runs" "$clean" "$run" "$2" "$bytes"
		}
		run="$tool run $d/fp4 -o $d/out $options -q -j $j >/dev/null"
		line cp "$copy"
		if [ $sha = 1 ]; then
			line "cp; openssl dgst" "$copy && openssl dgst -sha256 $d/copy/* >/dev/null"
			line "cp; sha256sum" "$copy && sha256sum $d/copy/* >/dev/null"
		fi
		line bound "$B/bench bound $(ls "$d"/fp4/model-00002*.safetensors) $d/bound $j $sha $sizes"
	done
}
table "official, experts fp4, 8 ranks, XXH3 and SHA-256" "--target official --mp 8"
if [ "$quick" = 0 ]; then
	table "official, experts fp4, 8 ranks, --no-sha256" "--target official --mp 8 --no-sha256"
	table "official, experts fp8, 4 ranks, XXH3 and SHA-256" "--target official --mp 4 --experts fp8"
	table "official, experts fp4, 1 rank, XXH3 and SHA-256" "--target official --mp 1"
	table "hf, experts fp8, what restore needs kept" "--target hf --experts fp8 --shard-size 256M"
fi
table "marlin-mxfp4, 4 ranks" "--target marlin-mxfp4 --ranks 4"
if [ "$quick" = 0 ]; then
	table "trtllm-mxfp4, 4 ranks" "--target trtllm-mxfp4 --ranks 4"
	table "frag-k32, 4 ranks" "--target frag-k32 --ranks 4"
fi

# The number formats of dsv4-quant: the bound writes as many bytes into files of the same sizes.
quant=$B/dsv4-quant
formats=$([ "$quick" = 0 ] && echo fp8 nvfp4 mxfp8 ct-mxfp4 ct-mxfp8 ct-nvfp4a16 bf16 mlx gguf || echo nvfp4 gguf)
option_of() { # option_of NAME: with what it cannot be without
	[ "$1" = nvfp4 ] && echo "nvfp4 --input-scale 1" || echo "$1"
}
echo
echo "== number formats, two threads, XXH3 and SHA-256; A: dsv4-quant, B: the bound"
for to in $formats; do
	run="$quant run $d/fp4 -o $d/out --to $(option_of "$to") -q -j 2 >/dev/null"
	rm -rf "$d/out" "$d/keep" "$d"/bound.*
	sh -c "$run"
	sizes=$(find "$d/out" -name '*.safetensors' -o -name '*.gguf' | xargs wc -c | awk '$2 != "total" { printf("%s ", $1) }')
	bytes=$(echo $sizes | tr ' ' '\n' | awk '{ s += $1 } END { print s }')
	printf '%-33s' "$to, $((bytes / 1000000)) MB"
	"$B/bench" pair "$runs" "rm -rf $d/out $d/bound.*" "$run" \
		"$B/bench bound $(ls "$d"/fp4/model-00002*.safetensors) $d/bound 2 1 $sizes" "$bytes"
done
rm -rf "$d"/bound.*

# Archives, two threads; zstd as people call it, a file after the other; sha256sum of what unpack restores.
echo
bytes=$(cat "$d"/fp4/* | wc -c)
echo "== archives of $((bytes / 1000000)) MB, two threads; A: dsv4-convert, B: what is named"
if command -v zstd >/dev/null; then
	printf '%-33s' "pack / zstd -1 -T2"
	"$B/bench" pair "$runs" "rm -rf $d/packed $d/zst" "$tool pack $d/fp4 -o $d/packed -q -j 2" \
		"mkdir $d/zst && for f in $d/fp4/*; do zstd -q -1 -T2 \$f -o $d/zst/\${f##*/}.zst; done" "$bytes"
	printf '%-33s' "pack --filter e8m0 / zstd -1 -T2"
	"$B/bench" pair "$runs" "rm -rf $d/packed $d/zst" "$tool pack $d/fp4 -o $d/packed -q -j 2 --filter e8m0" \
		"mkdir $d/zst && for f in $d/fp4/*; do zstd -q -1 -T2 \$f -o $d/zst/\${f##*/}.zst; done" "$bytes"
else
	echo "  pack: not run (no zstd)"
fi
rm -rf "$d/packed"
"$tool" pack "$d/fp4" -o "$d/packed" -q
printf '%-33s' "unpack / cp; sha256sum"
"$B/bench" pair "$runs" "rm -rf $d/back $d/copy" "$tool unpack $d/packed -o $d/back -q -j 2" \
	"cp -r $d/fp4 $d/copy && sha256sum $d/copy/* >/dev/null" "$bytes"
rm -rf "$d/packed" "$d/zst" "$d/back" "$d/copy"

# A table of V4.1's rows, 256 bytes and 8, and next to nothing beside it. The bound writes as many bytes.
echo
echo "== Engram, a table of 264 MB, one thread, XXH3 and SHA-256; A: dsv4-convert or dsv4-quant, B: the bound; GB/s are of the source"
if [ "$quick" = 0 ]; then vocabulary=1000000 rows=1000003; else vocabulary=1000 rows=1009; fi
sed "s/VOCABULARY/$vocabulary/; s/ROWS/$rows/" tests/configs/bench-v41.json >"$d/v41.json"
"$B/mkmodel" "$d/v41" --config "$d/v41.json"
bytes=$((rows * 264))
shard=$(ls -S "$d"/v41/*.safetensors | head -n 1)
cat "$shard" >/dev/null
for form in record record512 mxfp4 cb4; do
	case $form in
	mxfp4 | cb4) run="$quant run $d/v41 -o $d/out --to engram-$form -q -j 1 >/dev/null" ;;
	*) run="$tool run $d/v41 -o $d/out --target hf --engram separate --engram-layout $form --no-restore -q -j 1 >/dev/null" ;;
	esac
	rm -rf "$d/out" "$d"/bound.*
	sh -c "$run"
	sizes=$(find "$d/out" -name '*.safetensors' | xargs wc -c | awk '$2 != "total" { printf("%s ", $1) }')
	printf '%-33s' "$form"
	"$B/bench" pair "$runs" "rm -rf $d/out $d/bound.*" "$run" "$B/bench bound $shard $d/bound 1 1 $sizes" "$bytes"
done
rm -rf "$d/v41" "$d/out" "$d"/bound.*

# Files of few bits: most of the time is the search for scales and codes of the experts. B does no more than that by ggml.
if [ "$quick" = 0 ]; then
	experts=4
	rm -rf "$d/keep" "$d/out"
	model few $experts
	bytes=$(cat "$d"/few/*.safetensors | wc -c)
	$quant imatrix "$d/few" --tokens "$(seq -s, 1 64)" -o "$d/few.imatrix" -q >/dev/null
	echo
	echo "== mixes of few bits, two threads, GB of the source; A: dsv4-quant, B: ggml_quantize_chunk of the experts as in gguf-q2"
	beside=$([ -n "$ggml" ] && echo "$B/bench chunks $ggml 2 $experts" || echo true)
	for to in gguf-q2 gguf-q4; do
		printf '%-33s' "$to, $((bytes / 1000000)) MB in"
		"$B/bench" pair 3 "rm -rf $d/out" "$quant run $d/few -o $d/out --to $to --imatrix $d/few.imatrix -q -j 2 >/dev/null" \
			"$beside" "$bytes"
	done
	rm -rf "$d/out" "$d/few"
fi

# Headers of a whole Pro, whose payload is holes: what plan takes, what it promises of a run, and what the first
# gigabytes of that run take.
echo
echo "== memory: V4-Pro by its headers; A: dsv4-convert plan, B: nothing; then promises and peaks"
"$B/mkmodel" "$d/pro" --config tests/configs/pro.json --sparse
plans() { # plans TARGET OPTION N EXPERTS [RANKS]
	printf '%-33s' "plan of $1, $2 $3"
	"$B/bench" pair "$runs" true "$tool plan $d/pro -o $d/none --target $1 $2 $3 >/dev/null" true 1000000000
	for j in 1 2; do
		rm -rf "$d/dry"
		"$B/bench" dry "$d/pro" "$d/dry" "$1" "${5:-$3}" "$j" "$4"
	done
}
plans official --mp 8 fp4
if [ "$quick" = 0 ]; then
	plans official --mp 1 fp4
	plans hf --experts fp4 fp4 1
	plans hf --experts fp8 fp8 1
	for t in $("$tool" targets --json | sed -n 's/.*"experimental": false.*"name": "\([^"]*\)".*/\1/p'); do
		plans "$t" --ranks 8 fp4
	done
fi
for to in $formats; do
	printf '%-33s' "plan of $to"
	"$B/bench" pair "$runs" true "$quant plan $d/pro -o $d/none --to $(option_of "$to") >/dev/null" true 1000000000
done
rm -rf "$d/pro" "$d/dry"

# dsv4-verify check beside the least that it must do: reading and SHA-256, the same code.
checks() { # checks TITLE OPTIONS
	rm -rf "$d/out"
	$tool run "$d/fp4" -o "$d/out" $2 -q >/dev/null
	files=$(find "$d/out" -name '*.safetensors' | sort)
	bytes=$(cat $files | wc -c)
	echo
	echo "== check of $1: $((bytes / 1000000)) MB in $(echo "$files" | wc -l) files; A: dsv4-verify check, B: reading and SHA-256"
	for j in 1 2; do
		printf '%s thread%s / %-22s' $j "$([ $j = 1 ] && echo ' ' || echo s)" "read and SHA-256"
		"$B/bench" pair "$runs" true "$B/dsv4-verify check $d/out -q -j $j >/dev/null" \
			"$B/bench sums $j $(echo $files)" "$bytes"
	done
	printf '%-33s' "check --quick / nothing"
	"$B/bench" pair "$runs" true "$B/dsv4-verify check $d/out -q --quick >/dev/null" true "$bytes"
}
checks "official, 8 ranks" "--target official --mp 8"
[ "$quick" != 0 ] || checks "official, 1 rank" "--target official --mp 1"
[ "$quick" != 0 ] || checks "frag-k32, 4 ranks" "--target frag-k32 --ranks 4"

# libdsv4 by examples/read, beside a loop that reads and digests; the goals are 1.11 with digests, 1.05 without. Past the
# page cache where the folder is on a disk that has such reads (BENCH_DISK names another one).
reads() { # reads TITLE FOLDER THREADS FLAGS-OF-READ FLAGS-OF-LOOP TIMES
	printf '%s thread%s / %-22s' "$3" "$([ "$3" = 1 ] && echo ' ' || echo s)" "$1"
	list=$(find "$2" -name '*.safetensors' | sort)
	all=
	for k in $(seq "$6"); do all="$all $list"; done
	"$B/bench" pair "$runs" true "$B/read -r $6 -j $3 $4 $2 >/dev/null" "$B/bench reads $3 $5 $(echo $all)" \
		$(($(cat $list | wc -c) * $6))
}
rm -rf "$d/out"
$tool run "$d/fp4" -o "$d/out" --target marlin-mxfp4 --ranks 1 --file-size 4G -q >/dev/null
echo
echo "== libdsv4, files of marlin-mxfp4 into memory; A: examples/read, B: the loop"
for j in 1 2; do
	reads "digests" "$d/out" $j "" x 4
	reads "no digests" "$d/out" $j -u - 4
done
disk=${BENCH_DISK:-build}
if [ "$(df -PT "$disk" | awk 'NR == 2 { print $2 }')" != tmpfs ]; then
	direct=$(mktemp -d "$disk/bench-read.XXXXXX")
	trap 'rm -rf "$d" "$direct"' EXIT
	cp -r "$d/out/." "$direct"
	sync
	if dd if="$(find "$direct" -name '*.safetensors' | head -n 1)" of=/dev/null bs=1M count=1 iflag=direct 2>/dev/null; then
		for j in 1 2; do
			reads "disk, digests" "$direct" $j -d xd 1
			reads "disk, no digests" "$direct" $j "-d -u" d 1
		done
	else
		echo "  disk: not run: $disk has no direct reads"
	fi
	rm -rf "$direct"
else
	echo "  disk: not run: $disk is in memory"
fi
# What a loader has to place, by the headers of a whole Pro, one rank of 8 beside the download.
"$B/mkmodel" "$d/pro" --config tests/configs/pro.json --sparse
echo
echo "== what a rank of 8 places of V4-Pro; the whole download:"
$tool inspect "$d/pro" --json | sed -n 's/^ "tensors": \([0-9]*\).*/  \1 tensors/p' | head -n 1
for t in marlin-mxfp4 trtllm-mxfp4 frag-k32; do
	printf '%-16s' "$t"
	$tool plan "$d/pro" -o "$d/none" --target $t --ranks 8 --file-size 8G | sed -n 's/^loading: //p'
done
rm -rf "$d/pro"

# dsv4-verify compare: everything made again from the source; the goal is 2.0 seconds of processor time per GB.
compares() { # compares TITLE OPTIONS [TOOL]
	rm -rf "$d/out"
	${3:-$tool} run "$d/fp4" -o "$d/out" $2 -q >/dev/null
	files=$(find "$d/out" -name '*.safetensors' -o -name '*.gguf' | sort)
	bytes=$(cat $files | wc -c)
	printf '%-33s' "compare $1 / cat"
	"$B/bench" pair "$runs" true "$B/dsv4-verify compare $d/fp4 $d/out -q -j 1 >/dev/null" \
		"cat $(echo $files) $d/fp4/*.safetensors >/dev/null" "$bytes"
}
echo
echo "== compare; A: dsv4-verify compare with one thread, B: reading source and output"
compares "marlin-mxfp4" "--target marlin-mxfp4 --ranks 1"
compares "official, fp8" "--target official --mp 1 --experts fp8"
for to in $formats; do
	compares "$to" "--to $(option_of "$to")" "$quant"
done

# The forward pass: two layers of V4-Flash in their real shape (attention of ratio 4 and 128, 256 experts), read from
# memory. 43 layers are such layers but for the first two; the head is not among them.
echo
echo "== the forward pass: V4-Flash, 16 tokens"
room=$(df -Pk "$d" | awk 'NR == 2 { print $4 }')
if [ "$quick" = 0 ] && [ "$room" -gt 9000000 ]; then
	rm -rf "$d/out" "$d/keep" "$d/copy"
	"$B/mkmodel" "$d/two" --config tests/configs/flash.json --set num_hidden_layers=2 --set "compress_ratios=[4,128]" \
		--set num_nextn_predict_layers=0 --set num_hash_layers=1 --set vocab_size=8192
	tokens=1,22,333,4444,5,66,777,7888,9,111,2222,333,44,555,6666,7
elif [ "$quick" != 0 ]; then
	cp -r tests/golden/tiny-flash "$d/two"
	tokens=1,22,33
fi
if [ -d "$d/two" ]; then
	for j in 1 2; do
		began=$(date +%s.%N)
		"$B/dsv4-verify" record "$d/two" -o "$d/rec" --tokens $tokens --what logits -j $j >"$d/log"
		echo "$began $(date +%s.%N)" | awk -v j=$j '{
			s = $2 - $1
			printf("  %d thread%s: %.2f s for 2 layers; all 43: about %.0f s (extrapolated, not run)\n",
				j, (j > 1 ? "s" : ""), s, s * 43 / 2)
		}'
		rm "$d/rec"
	done
	grep 'held at most' "$d/log" || echo "  it does not say what it held"
	rm -rf "$d/two"
else
	echo "  not run: it needs 9 GB in $d"
fi
