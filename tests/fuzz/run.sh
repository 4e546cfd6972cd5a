# Builds the fuzz targets with clang's libFuzzer and runs each for a while: sh tests/fuzz/run.sh SECONDS
# A finding ends it with 1 and leaves its input in build/fuzz/. See README.md beside this.
set -eu
seconds=${1:-60}
mkdir -p build/fuzz
# The libraries as make builds them, with what the fuzzer wants to know of them.
flags="-O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all"
lib=build/fuzz/lib
libs=
for f in verify kernels quant formats core; do
	libs="$libs $lib/lib$f.a"
done
# word splitting is wanted
make -s CC=clang CUDA=0 B=$lib CFLAGS="$flags" $libs
for t in st json sig gguf seek; do
	clang -std=c11 -D_GNU_SOURCE -I. -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all -o build/fuzz/$t tests/fuzz/fuzz_$t.c $libs \
		-ljansson -lxxhash -lzstd -lcrypto -lm -lpthread
done
pids=
for t in st json sig gguf seek; do
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
for t in st json sig gguf seek; do
	echo "fuzz_$t: $(grep -E 'number_of_executed_units|average_exec_per_sec' build/fuzz/$t.log | sed 's/stat:://' | tr -s ' \n' ' ')"
	grep -hE 'ERROR|SUMMARY|Test unit written' build/fuzz/$t.log || true
done
exit $rc
