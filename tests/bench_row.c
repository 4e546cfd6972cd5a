/* bench_row.c -- the steps of quant/row.h beside memcpy of as many bytes as they write, all in L2: each way, compared
 * with the plain one before it is timed. Rows have 4096 columns, as matrices of V4-Flash.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "quant/row.h"
#include "tests/bench.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLS = 4096, GROUPS = COLS / ROW_GROUP, OUT = 256 << 10, LEAST = 100 };

/* A matrix of so many rows that what is made of it has about OUT bytes. */
struct job {
	const struct step *step;
	const struct row_way *way;
	size_t rows;
	uint8_t *src, *scales, *dst, *beside;
	struct row_bf16 products;
	struct row_fp8 tile[COLS / 128];
};

struct step {
	const char *name;
	size_t in, out; /* bytes of a row */
	void (*row)(struct job *j, const uint8_t *src, const uint8_t *scales, uint8_t *dst);
};

static void nvfp4(struct job *j, const uint8_t *src, const uint8_t *scales, uint8_t *dst)
{
	if (j->way->nvfp4_below(j->beside, scales, GROUPS, LEAST))
		exit(2);
	memcpy(dst, src, COLS / 2);
	j->way->nvfp4_scales(dst + COLS / 2, scales, GROUPS, LEAST);
}

static void nvfp4_drop(struct job *j, const uint8_t *src, const uint8_t *scales, uint8_t *dst)
{
	if (j->way->nvfp4_below(j->beside, scales, GROUPS, LEAST))
		exit(2);
	j->way->unsign(dst, src, COLS / 2);
	j->way->nvfp4_scales(dst + COLS / 2, scales, GROUPS, LEAST);
}

static void mxfp8(struct job *j, const uint8_t *src, const uint8_t *scales, uint8_t *dst)
{
	j->way->widen(dst, src, COLS / 2);
	memcpy(dst + COLS, scales, GROUPS);
}

static void fp8(struct job *j, const uint8_t *src, const uint8_t *scales, uint8_t *dst)
{
	(void)scales;
	if (j->way->nan(src, COLS) < COLS)
		exit(2);
	memcpy(dst, src, COLS);
}

static void fp4_bf16(struct job *j, const uint8_t *src, const uint8_t *scales, uint8_t *dst)
{
	j->way->fp4_bf16(dst, src, scales, GROUPS, &j->products);
}

/* Tiles of 128 columns have a scale each. */
static void fp8_bf16(struct job *j, const uint8_t *src, const uint8_t *scales, uint8_t *dst)
{
	size_t c;

	(void)scales;
	for (c = 0; c < COLS; c += 128)
		if (j->way->fp8_bf16(dst + 2 * c, src + c, 128, &j->tile[c / 128]))
			exit(2);
}

static void ggml(struct job *j, const uint8_t *src, const uint8_t *scales, uint8_t *dst)
{
	j->way->ggml_mxfp4(dst, src, scales, GROUPS);
}

static const struct step steps[] = {
	{ "MXFP4 to NVFP4", COLS / 2, COLS / 2 + 2 * GROUPS, nvfp4 },
	{ "same, no -0", COLS / 2, COLS / 2 + 2 * GROUPS, nvfp4_drop },
	{ "MXFP4 to MXFP8", COLS / 2, COLS + GROUPS, mxfp8 },
	{ "FP8 to FP8, MXFP8", COLS, COLS, fp8 },
	{ "MXFP4 to BF16", COLS / 2, 2 * COLS, fp4_bf16 },
	{ "FP8 to BF16", COLS, 2 * COLS, fp8_bf16 },
	{ "MXFP4 to GGUF", COLS / 2, GROUPS *ROW_GGML_BYTES, ggml },
};

static void do_step(void *p)
{
	struct job *j = p;
	size_t r;

	for (r = 0; r < j->rows; r++)
		j->step->row(j, j->src + r * j->step->in, j->scales + r * GROUPS,
			j->dst + r * j->step->out);
	__asm__ volatile("" ::"r"(j->dst) : "memory");
}

static void do_copy(void *p)
{
	struct job *j = p;

	memcpy(j->dst, j->src, OUT);
	__asm__ volatile("" ::"r"(j->dst) : "memory");
}

/* Exits unless this way writes what the plain one does. */
static void check(struct job *j)
{
	const struct row_way *way = j->way;
	size_t n = j->rows * j->step->out;
	uint8_t *want = take(n);

	j->way = &row_plain;
	do_step(j);
	memcpy(want, j->dst, n);
	j->way = way;
	do_step(j);
	if (memcmp(want, j->dst, n)) {
		fprintf(stderr, "bench: %s: ways differ\n", j->step->name);
		exit(2);
	}
	free(want);
}

void bench_rows(void)
{
	static struct job j;
	double copy, r;
	size_t i, n;
	unsigned k, features = cpu_features();

	row_bf16_make(&j.products);
	j.src = take(OUT);
	j.dst = take(OUT + 2 * COLS);
	j.scales = take(OUT);
	j.beside = take(GROUPS);
	for (i = 0; i < OUT; i++) {
		j.scales[i] = (uint8_t)(LEAST + j.scales[i] % 18);
		j.src[i] = (uint8_t)((j.src[i] & 0x7f) == 0x7f ? 0 : j.src[i]);
	}
	for (i = 0; i < COLS / 128; i++)
		row_fp8_make(&j.tile[i], (int)i - 10);
	printf("number formats in L2 (%d KiB of output), rows of %d columns\n", OUT >> 10, COLS);
	copy = rate(do_copy, &j, OUT);
	for (i = 0; i < sizeof steps / sizeof *steps; i++)
		for (k = 0; (j.way = row_way(k)); k++) {
			j.step = &steps[i];
			if (j.way->need & ~features ||
				(j.step->row == fp8_bf16 && !j.way->fp8_bf16))
				continue;
			j.rows = OUT / j.step->out;
			n = j.rows * j.step->out;
			check(&j);
			r = rate(do_step, &j, n);
			printf("  %-17s %-8s %7.2f GB/s out, %.2f of memcpy\n", j.step->name,
				j.way->name, r, r / copy);
		}
	free(j.src);
	free(j.dst);
	free(j.scales);
	free(j.beside);
}
