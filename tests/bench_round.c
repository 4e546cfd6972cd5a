/* bench_round.c -- the encoders of quant/round.h: rows of FP32, one core, by each way of this processor; the median of
 * several turns of processor time. tests/oracle/bench_round.py sets compressed-tensors beside them.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "quant/round.h"
#include "tests/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { COLS = 4096, ROWS = 32, TURNS = 7 };

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

/* Bytes of FP32 that are encoded in a second. */
static double speed(const struct round_job *j, const float *x)
{
	static uint8_t codes[2 * COLS], scales[COLS], changed[COLS];
	double took[TURNS], at;
	unsigned k, i;

	for (k = 0; k < TURNS; k++) {
		at = now();
		for (i = 0; i < ROWS; i++)
			(void)round_row(j, x + i * COLS, COLS, codes, scales, changed);
		took[k] = now() - at;
	}
	qsort(took, TURNS, sizeof *took, by_value);
	return (double)ROWS * COLS * sizeof(float) / took[TURNS / 2];
}

int bench_rounds(void)
{
	static const enum codec formats[] = { CODEC_INT4_128, CODEC_INT4_32, CODEC_INT4_128_ASYM,
		CODEC_INT4_32_ASYM, CODEC_INT8_ROW, CODEC_FP8_CHANNEL, CODEC_NVFP4,
		CODEC_MXFP4_CT };
	static float room[4 * COLS];
	const uint8_t *random = take(ROWS * COLS * 4);
	float *x = malloc(ROWS * COLS * sizeof *x);
	const struct lowbit_way *way;
	unsigned i, f;

	if (!x)
		return 2;
	for (i = 0; i < ROWS * COLS; i++) /* about normal: a sum of four */
		x[i] = (float)(random[4 * i] + random[4 * i + 1] + random[4 * i + 2] +
			       random[4 * i + 3] - 510) *
			1e-4f;
	printf("encoders of formats that round, MB/s of FP32, one core\n");
	for (f = 0; f < sizeof formats / sizeof *formats; f++)
		for (i = 0; (way = lowbit_way(i)); i++) {
			const struct round_job j = { rounding_find(formats[f]), way, -13, NULL,
				room };

			if (lowbit_way_need(way) & ~cpu_features())
				continue;
			printf("  %-14s %-8s %8.1f MB/s\n", codecs[formats[f]].name,
				lowbit_way_name(way), speed(&j, x) * 1e-6);
		}
	free(x);
	return 0;
}
