/* replay.c -- a main for the fuzz targets where there is no libFuzzer: runs every file named as an
 * argument through the target once.
 *
 * SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

enum { MOST = 64 << 20 };

int main(int argc, char **argv)
{
	uint8_t *p;
	FILE *f;
	size_t n;
	int i;

	for (i = 1; i < argc; i++) {
		f = fopen(argv[i], "rb");
		p = malloc(MOST);
		if (!f || !p) {
			perror(argv[i]);
			return 2;
		}
		n = fread(p, 1, MOST, f);
		fclose(f);
		p = realloc(p, n ? n : 1); /* so that reading too far is seen */
		if (p)
			LLVMFuzzerTestOneInput(p, n);
		free(p);
	}
	printf("%d files\n", argc - 1);
	return 0;
}
