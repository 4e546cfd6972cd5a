/* bench_lowbit.c -- the encoders of quant/lowbit.h, beside ggml_quantize_chunk of a library of ggml where one is named: the same
 * values, one core, in turns; the median of the ratios of processor time.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "formats/gguf/ggml_type.h"
#include "quant/lowbit.h"
#include "tests/bench.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { COLS = 4096, ROWS = 32, TURNS = 7 };

typedef size_t chunk_fn(int type, const float *x, void *dst, int64_t start, int64_t rows,
	int64_t cols, const float *weights);

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Seconds of a call each, the median of both and of the ratio. */
static void pairs(const struct lowbit *t, chunk_fn *chunk, const float *x, const float *w,
	uint8_t *dst)
{
	const struct ggml_type_row *r = ggml_type_find(t->type);
	const struct lowbit_way *way = lowbit_best(cpu_features());
	size_t bytes = (size_t)COLS / t->items * r->bytes, i;
	double ours[TURNS], ratio[TURNS] = { 0 }, at;
	bool beside = chunk && (w || (t->type != GGML_IQ2_XXS && t->type != GGML_IQ3_XXS));
	unsigned k;

	if (beside) /* tables are made at the first call */
		(void)chunk((int)t->type, x, dst, 0, 1, COLS, w);
	for (k = 0; k < TURNS; k++) {
		at = now();
		for (i = 0; i < ROWS; i++)
			(void)lowbit_row(t, way, LOWBIT_PLAIN, x + i * COLS, COLS, w,
				dst + i * bytes, NULL);
		ours[k] = now() - at;
		at = now();
		if (beside)
			(void)chunk((int)t->type, x, dst, 0, ROWS, COLS, w);
		ratio[k] = (now() - at) / ours[k];
	}
	qsort(ours, TURNS, sizeof *ours, by_value);
	qsort(ratio, TURNS, sizeof *ratio, by_value);
	printf("  %-8s %-10s %s %8.1f MB/s", r->name, w ? "weights" : "no weights",
		lowbit_way_name(way), ROWS * COLS * 4 / ours[TURNS / 2] * 1e-6);
	if (beside)
		printf(", %.1f times ggml (%.1f to %.1f)", ratio[TURNS / 2], ratio[0],
			ratio[TURNS - 1]);
	printf("\n");
}

/* path: that library, NULL: none. */
int bench_lowbits(const char *path)
{
	void *lib = path ? dlopen(path, RTLD_NOW | RTLD_GLOBAL) : NULL;
	const uint8_t *random = take(ROWS * COLS * 4);
	float *x = malloc(ROWS * COLS * sizeof *x), w[COLS];
	uint8_t *dst = malloc(ROWS * COLS * 4);
	chunk_fn *chunk = NULL;
	const struct lowbit *t;
	size_t i;

	if (path && !lib)
		fprintf(stderr, "bench: %s\n", dlerror());
	if (lib)
		*(void **)&chunk = dlsym(lib, "ggml_quantize_chunk");
	if (!x || !dst || (path && !chunk))
		return 2;
	for (i = 0; i < ROWS * COLS; i++) /* about normal: a sum of four */
		x[i] = (float)(random[4 * i] + random[4 * i + 1] + random[4 * i + 2] +
			       random[4 * i + 3] - 510) *
			1e-4f;
	for (i = 0; i < COLS; i++)
		w[i] = x[i] * x[i] * 1e4f + 0.01f;
	printf("encoders of ggml's types, MB/s of FP32, one core%s\n",
		chunk ? ", in turns with ggml_quantize_chunk" : "");
	for (t = lowbits; t->items; t++) {
		pairs(t, chunk, x, NULL, dst);
		if (t->step)
			pairs(t, chunk, x, w, dst);
	}
	free(x);
	free(dst);
	return 0;
}
