/* verdict.c -- what st_read says of files that come on standard input, each with its length (u32,
 * little endian) in front: a line for each,
 *
 *	accept NAME:TYPE:DIM,DIM:BEGIN:END ...     names in hex, header order
 *	refuse RULE BYTE
 *
 * For tests/oracle/st_headers.py.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/st/safetensors.h"
#include "tests/fuzz/mem_io.h"

#include <stdio.h>
#include <stdlib.h>

static void tell(const struct tensor *t)
{
	const char *c;
	unsigned d;

	putchar(' ');
	for (c = t->name; *c; c++)
		printf("%02x", (unsigned char)*c);
	printf(":%s:", dtypes[t->dtype].name);
	for (d = 0; d < t->rank; d++)
		printf(d ? ",%llu" : "%llu", (unsigned long long)t->dim[d]);
	printf(":%llu:%llu", (unsigned long long)t->begin, (unsigned long long)t->end);
}

static void judge(const unsigned char *p, size_t n)
{
	struct mem_io m = mem_io_of(p, n, 0, 0);
	struct arena arena = { 0 };
	struct st_header h;
	struct err e = { 0 };
	size_t i;

	if (st_read(&h, &m.io, 3, n, ST_HEADER_CAP, &arena, &e)) {
		printf("refuse %s %lld\n", e.rule ? e.rule : "-", (long long)e.pos);
	} else {
		printf("accept");
		for (i = 0; i < h.n; i++)
			tell(&h.tensors[i]);
		putchar('\n');
	}
	st_free(&h);
	arena_free(&arena);
}

int main(void)
{
	unsigned char len[4], *p;
	size_t n;

	while (fread(len, 1, 4, stdin) == 4) {
		n = len[0] | (size_t)len[1] << 8 | (size_t)len[2] << 16 | (size_t)len[3] << 24;
		p = malloc(n + 1);
		if (!p || fread(p, 1, n, stdin) != n) {
			fprintf(stderr, "verdict: input cut\n");
			return 2;
		}
		judge(p, n);
		free(p);
	}
	return fflush(stdout) ? 2 : 0;
}
