/* fuzz_st.c -- libFuzzer target: any bytes as a safetensors file, or as its header. What must hold
 * is in st_check.h; README.md has the commands.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/fuzz/st_check.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const char *bad = st_check_input(p, n);

	if (bad) {
		fprintf(stderr, "fuzz_st: %s\n", bad);
		abort();
	}
	return 0;
}
