# Builds the fuzz targets with clang's libFuzzer and runs each for a while: sh tests/fuzz/run.sh SECONDS
# A finding ends it with 1 and leaves its input in build/fuzz/. See README.md beside this.
set -eu
seconds=${1:-60}
mkdir -p build/fuzz
common="formats/json/jread.c formats/json/jwrite.c formats/st/safetensors.c formats/dtype.c core/rule.c
	core/err.c core/file.c core/io.c core/mem.c core/text.c core/hash/xxh.c"
signing="verify/sign/base64.c verify/sign/bundle.c verify/sign/eckey.c verify/sign/keyfile.c verify/sign/members.c verify/sign/minisign.c
	verify/report/report.c verify/sign/statement.c verify/sign/tree.c core/par.c core/hash/sha256.c core/hash/sha256_x86.c
	core/hash/sha256_avx512.c core/cpu_x86.c formats/finding.c formats/conversion/manifest.c -lcrypto"
for t in st json sig; do
	more=
	[ $t = sig ] && more=$signing
	# word splitting is wanted
	clang -std=c11 -D_GNU_SOURCE -I. -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all -o build/fuzz/$t tests/fuzz/fuzz_$t.c \
		$common $more -ljansson -lxxhash
done
pids=
for t in st json sig; do
	mkdir -p build/fuzz/new-$t
	build/fuzz/$t -max_total_time="$seconds" -max_len=4096 -dict=tests/fuzz/$t.dict -rss_limit_mb=512 \
		-artifact_prefix=build/fuzz/ -print_final_stats=1 build/fuzz/new-$t tests/fuzz/corpus-$t \
		>build/fuzz/$t.log 2>&1 &
	pids="$pids $!"
done
rc=0
for p in $pids; do
	wait "$p" || rc=1
done
for t in st json sig; do
	echo "fuzz_$t: $(grep -E 'number_of_executed_units|average_exec_per_sec' build/fuzz/$t.log | sed 's/stat:://' | tr -s ' \n' ' ')"
	grep -hE 'ERROR|SUMMARY|Test unit written' build/fuzz/$t.log || true
done
exit $rc
