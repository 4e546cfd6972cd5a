/* encode.c -- rows of FP32 from standard input as blocks of a type of ggml to standard output, for tests/oracle/lowbit.py:
 *
 *	encode TYPE plain|ggml COLS [WEIGHTS]    TYPE: its number; WEIGHTS: a file of COLS numbers in FP32
 *
 * DSV4_CPU=plain takes the plain way. Exit status 2: something is wrong, said on standard error.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "formats/gguf/ggml_type.h"
#include "quant/lowbit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *what)
{
	fprintf(stderr, "encode: %s\n", what);
	return 2;
}

static bool read_weights(const char *path, float *w, size_t cols)
{
	FILE *f = fopen(path, "rb");
	size_t n = f ? fread(w, sizeof *w, cols, f) : 0;

	if (f)
		fclose(f);
	return n == cols && lowbit_bad_weight(w, cols) == cols;
}

int main(int argc, char **argv)
{
	const struct lowbit_way *way = lowbit_best(cpu_features());
	const struct lowbit *t;
	enum lowbit_aim aim;
	size_t cols, bytes, n;
	float *x, *w;
	uint8_t *dst;

	if (argc != 4 && argc != 5)
		return fail("see the head of tests/encode.c");
	t = lowbit_find((uint32_t)strtoul(argv[1], NULL, 10));
	cols = strtoul(argv[3], NULL, 10);
	if (!t || !cols || cols % t->items || cols > 1 << 20)
		return fail("no such type, or no whole number of its blocks");
	aim = strcmp(argv[2], "ggml") == 0 ? LOWBIT_GGML : LOWBIT_PLAIN;
	bytes = cols / t->items * ggml_type_find(t->type)->bytes;
	x = malloc(cols * sizeof *x);
	w = malloc(cols * sizeof *w);
	dst = malloc(bytes);
	if (!x || !w || !dst)
		return fail("no memory");
	if (argc == 5 && !read_weights(argv[4], w, cols))
		return fail("bad weights");
	while ((n = fread(x, sizeof *x, cols, stdin)) == cols) {
		if (lowbit_row(t, way, aim, x, cols, argc == 5 ? w : NULL, dst, NULL) != cols)
			return fail("a value cannot be encoded");
		if (fwrite(dst, 1, bytes, stdout) != bytes)
			return fail("standard output cannot be written");
	}
	free(x);
	free(w);
	free(dst);
	return n || fclose(stdout)
		? fail("the input ends within a row, or the output was not written")
		: 0;
}
