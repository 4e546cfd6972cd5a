/* fuzz_seek.c -- libFuzzer target: any bytes as a file of an archive, or as one frame of one whose table is right. What must
 * hold is in seek_check.h; README.md has the commands.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/fuzz/seek_check.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const char *bad = seek_check_input(p, n);

	if (bad) {
		fprintf(stderr, "fuzz_seek: %s\n", bad);
		abort();
	}
	return 0;
}
