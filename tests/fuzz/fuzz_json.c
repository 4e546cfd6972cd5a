/* fuzz_json.c -- libFuzzer target: any bytes as a JSON document, from memory and from a file,
 * beside jansson. What must hold is in json_walk.h; README.md has the commands.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/fuzz/json_walk.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const char *bad = json_check_input(p, n);

	if (bad) {
		fprintf(stderr, "fuzz_json: %s\n", bad);
		abort();
	}
	return 0;
}
