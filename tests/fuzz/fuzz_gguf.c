/* fuzz_gguf.c -- libFuzzer target: any bytes as a GGUF file, or as its header without magic and version. What must
 * hold is in gguf_check.h; README.md has the commands.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/fuzz/gguf_check.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const char *bad = gguf_check_input(p, n);

	if (bad) {
		fprintf(stderr, "fuzz_gguf: %s\n", bad);
		abort();
	}
	return 0;
}
