/* bench_lowbit.c -- the encoders of quant/lowbit.h, beside ggml_quantize_chunk of a library of ggml where one is named, and the
 * decoders of quant/ggml_floats.h, beside dequantize_row_* of that library: the same values, one core, in turns; the median of
 * the ratios of processor time.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "core/par.h"
#include "formats/gguf/ggml_type.h"
#include "quant/ggml_floats.h"
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

typedef void floats_fn(const void *src, float *v, int64_t n);

/* Returns the function of ggml that decodes the type, NULL where the library has none or there is no library. */
static floats_fn *floats_of(void *lib, const struct ggml_type_row *r)
{
	floats_fn *f = NULL;
	char name[64];
	size_t i;

	snprintf(name, sizeof name, "dequantize_row_%s", r->name);
	for (i = 15; name[i]; i++)
		if (name[i + 1] || name[i] != 'K') /* q2_K, but q8_0 and iq4_nl */
			name[i] = (char)(name[i] | (name[i] >= 'A' && name[i] <= 'Z' ? 32 : 0));
	if (lib)
		*(void **)&f = dlsym(lib, r->type == GGML_F16 ? "ggml_fp16_to_fp32_row" : name);
	return f;
}

/* Rows of src as numbers, DECODED times each. */
static void decoded(const struct ggml_type_row *r, floats_fn *ggml, const uint8_t *src, float *v)
{
	enum { DECODED = 8 };
	size_t bytes = (size_t)COLS / r->items * r->bytes, i;
	double ours[TURNS], ratio[TURNS] = { 0 }, at;
	unsigned k, features = cpu_features();

	for (k = 0; k < TURNS; k++) {
		at = now();
		for (i = 0; i < DECODED * ROWS; i++)
			(void)ggml_floats(r->type, src + i % ROWS * bytes, COLS, features, v);
		ours[k] = now() - at;
		at = now();
		for (i = 0; ggml && i < DECODED * ROWS; i++)
			ggml(src + i % ROWS * bytes, v, COLS);
		ratio[k] = (now() - at) / ours[k];
	}
	qsort(ours, TURNS, sizeof *ours, by_value);
	qsort(ratio, TURNS, sizeof *ratio, by_value);
	printf("  %-8s %8.1f MB/s", r->name,
		(double)DECODED * ROWS * COLS * 4 / ours[TURNS / 2] * 1e-6);
	if (ggml)
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
	const struct ggml_floats *f;
	const struct ggml_type_row *r;
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
	printf("decoders of ggml's types, MB/s of FP32, one core%s\n",
		lib ? ", in turns with dequantize_row_*" : "");
	for (f = ggml_floats_avx2; f->blocks; f++) {
		r = ggml_type_find(f->type);
		for (i = 0; i < (size_t)ROWS * COLS / r->items * r->bytes; i++)
			dst[i] = random[i] & 0x3f; /* no scale is NaN */
		decoded(r, floats_of(lib, r), dst, x);
	}
	free(x);
	free(dst);
	return 0;
}

/* --- the experts of one layer of V4-Flash by ggml, in a loop over all cores --- */

struct chunks {
	chunk_fn *chunk;
	unsigned threads, experts;
};

/* Every threads-th expert: gate and up of 2048 rows of 4096 in IQ2_XXS, down of 4096 rows of 2048 in Q2_K. The values of a row
 * are random and the same for all; what an encoder takes does not depend on it. */
static int chunks_work(struct par *par, unsigned me, struct err *e)
{
	enum { HIDDEN = 4096, INNER = 2048, SOME = 64 };
	const struct chunks *c = par_ctx(par);
	const uint8_t *random = take(SOME * HIDDEN);
	float *x = malloc(SOME * HIDDEN * sizeof *x), w[HIDDEN];
	uint8_t *dst = malloc(SOME * HIDDEN);
	size_t i, row;

	if (!x || !dst)
		return err_nomem(e);
	for (i = 0; i < SOME * HIDDEN; i++)
		x[i] = (float)((int)(random[i] & 15) - 7) * 0.01f;
	for (i = 0; i < HIDDEN; i++)
		w[i] = 0.01f + (float)random[i];
	for (i = me; i < c->experts; i += c->threads)
		for (row = 0; row < 2 * INNER; row += SOME) {
			(void)c->chunk(GGML_IQ2_XXS, x, dst, 0, SOME, HIDDEN, w);
			(void)c->chunk(GGML_Q2_K, x, dst, 0, SOME, INNER, w);
		}
	free(x);
	free(dst);
	return 0;
}

int bench_chunks(const char *path, const char *threads, const char *experts)
{
	struct chunks c = { .threads = (unsigned)atoi(threads),
		.experts = (unsigned)atoi(experts) };
	void *lib = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
	float x[256] = { 0 }, w[256] = { 0 };
	struct err e = { 0 };
	uint8_t dst[256];

	if (lib)
		*(void **)&c.chunk = dlsym(lib, "ggml_quantize_chunk");
	if (!c.chunk || !c.threads) {
		fprintf(stderr, "bench: %s\n", lib ? "no ggml_quantize_chunk" : dlerror());
		return 2;
	}
	(void)c.chunk(GGML_IQ2_XXS, x, dst, 0, 1, 256, w); /* makes its tables, by one thread */
	if (!par_run(c.threads, chunks_work, &c, &e))
		return 0;
	fprintf(stderr, "bench: %s\n", e.text);
	return 2;
}
