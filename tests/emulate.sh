# Linears, rows, encoders and decoders with AVX-512 on a processor that has none: kernels/linear/linear_avx512.c,
# quant/row_avx512.c, quant/lowbit_avx512.c and quant/ggml_floats_avx512.c, unchanged, built over SIMDe, in the tests that compare all ways, and in the pass over a golden model. Called by .ci/run; needs AVX2, SIMDe's headers.
# B= names the build folder. Prints "ok   name" or "SKIP name: reason".
set -eu
B=${B:-build/gcc-opt}
CC=${CC:-gcc}
name=avx-512_emulated
if "$B/dsv4-convert" version | grep -q '^processor:.*AVX-512'; then
	echo "SKIP $name: this processor has AVX-512, make test ran it"
	exit 0
fi
if ! "$B/dsv4-convert" version | grep -q '^processor:.*AVX2'; then
	echo "SKIP $name: no AVX2 here either"
	exit 0
fi
if ! echo '#include <simde/x86/avx512.h>' | $CC -E -x c - >/dev/null 2>&1; then
	echo "SKIP $name: no headers of SIMDe (libsimde-dev)"
	exit 0
fi
make -s CC="$CC" emulated
EMULATED=avx-512 "$B/emulated/test_linear"
EMULATED=avx-512 "$B/emulated/test_row"
EMULATED=avx-512 "$B/emulated/test_reform"
EMULATED=avx-512 "$B/emulated/test_ggml"
EMULATED=avx-512 "$B/emulated/test_ggml_types"
EMULATED=avx-512 "$B/emulated/test_lowbit" ways_equal
EMULATED=avx-512 "$B/emulated/test_round" ways_equal
EMULATED=avx-512 "$B/emulated/test_forward" same_bits_everywhere
