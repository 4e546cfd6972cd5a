/* bench_linear.c -- linears of real shapes with weights beyond every cache: for many tokens beside the most
 * fmaf that a core does in registers, for one token beside the rate at which it reads memory.
 *
 * Each way is compared with the plain one before it is timed. The weights are several matrices in turn.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "kernels/linear/linear.h"
#include "quant/num.h"
#include "tests/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __x86_64__
#include <immintrin.h>
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f")))
#endif

enum { PEAK_STEPS = 1 << 16, MATRICES = 24 };

/* 10^9 units a second: the shortest of many calls, n units each, so that on a machine that does other
 * things too one falls where it did not. */
static double best(void (*fn)(void *), void *ctx, double n)
{
	struct timespec from, to;
	double t, least = 1e9, all = 0;
	int calls;

	for (calls = 0; calls < 10 || (all < 0.3 && calls < 200); calls++) {
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
		fn(ctx);
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
		t = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9;
		least = t < least ? t : least;
		all += t;
	}
	return n / least / 1e9;
}

/* --- what a core can do: enough chains of fmaf in registers to hide how long one takes --- */

static void peak_plain(void *p)
{
	float *a = p, b = 0.999f, c = 1e-3f;
	int i, k;

	for (i = 0; i < PEAK_STEPS; i++)
		for (k = 0; k < 16; k++)
			a[k] = fmaf(a[k], b, c);
}

#ifdef __x86_64__
AVX2 static void peak_avx2(void *p)
{
	__m256 a[12], b = _mm256_set1_ps(0.999f), c = _mm256_set1_ps(1e-3f);
	int i, k;

#pragma GCC unroll 12
	for (k = 0; k < 12; k++)
		a[k] = _mm256_loadu_ps((float *)p + 16 * k);
	for (i = 0; i < PEAK_STEPS; i++) {
#pragma GCC unroll 12
		for (k = 0; k < 12; k++)
			a[k] = _mm256_fmadd_ps(a[k], b, c);
		__asm__ volatile("" ::: "memory");
	}
#pragma GCC unroll 12
	for (k = 0; k < 12; k++)
		_mm256_storeu_ps((float *)p + 8 * k, a[k]);
}

AVX512 static void peak_avx512(void *p)
{
	__m512 a[12], b = _mm512_set1_ps(0.999f), c = _mm512_set1_ps(1e-3f);
	int i, k;

#pragma GCC unroll 12
	for (k = 0; k < 12; k++)
		a[k] = _mm512_loadu_ps((float *)p + 16 * k);
	for (i = 0; i < PEAK_STEPS; i++) {
#pragma GCC unroll 12
		for (k = 0; k < 12; k++)
			a[k] = _mm512_fmadd_ps(a[k], b, c);
		__asm__ volatile("" ::: "memory");
	}
#pragma GCC unroll 12
	for (k = 0; k < 12; k++)
		_mm512_storeu_ps((float *)p + 16 * k, a[k]);
}
#else
#define peak_avx2 peak_plain
#define peak_avx512 peak_plain
#endif

/* 10^9 fmaf a second. */
static double peak(unsigned features)
{
	float *room = take(4096);
	double most = best(peak_plain, room, PEAK_STEPS * 16), r;

	if ((features & (CPU_AVX2 | CPU_FMA)) == (CPU_AVX2 | CPU_FMA)) {
		r = best(peak_avx2, room, PEAK_STEPS * 12 * 8);
		most = r > most ? r : most;
	}
	if (features & CPU_AVX512) {
		r = best(peak_avx512, room, PEAK_STEPS * 12 * 16);
		most = r > most ? r : most;
	}
	free(room);
	return most;
}

/* --- reading --- */

struct memory {
	const uint64_t *p;
	size_t words;
};

/* Four streams: one alone does not reach what memory gives. */
static void do_read(void *p)
{
	const struct memory *m = p;
	size_t i, quarter = m->words / 4;
	uint64_t s[8] = { 0 };
	int k, q;

	for (i = 0; i < quarter; i += 8)
		for (q = 0; q < 4; q++)
			for (k = 0; k < 8; k++)
				s[k] += m->p[(size_t)q * quarter + i + (size_t)k];
	for (k = 1; k < 8; k++)
		s[0] += s[k];
	__asm__ volatile("" ::"r"(s[0]) : "memory");
}

/* --- linears --- */

struct set {
	struct weight w[MATRICES];
	struct linear_job j;
	const struct linear_way *way;
	unsigned features, at;
	void *scratch;
};

static void do_linear(void *p)
{
	struct set *s = p;

	s->j.w = &s->w[s->at++ % MATRICES];
	linear_run(s->way, &s->j, 0, s->j.w->rows, s->features, s->scratch);
}

static const uint8_t bits[] = {
	[WEIGHT_FP4] = 4, [WEIGHT_FP8] = 8, [WEIGHT_BF16] = 16, [WEIGHT_F32] = 32
};

/* Matrices in one piece of memory of at most so many bytes. */
static size_t set_make(struct set *s, uint8_t type, uint32_t rows, uint32_t cols, uint8_t *memory,
	size_t room)
{
	size_t bytes = (size_t)rows * cols * bits[type] / 8, sf = 0, i;
	uint8_t *scales;

	sf = type == WEIGHT_FP4 ? (size_t)rows * (cols / 32) : (size_t)(rows / 128) * (cols / 128);
	scales = take(sf);
	for (i = 0; i < sf; i++)
		scales[i] = (uint8_t)(110 + scales[i] % 16);
	for (i = 0; i < MATRICES; i++)
		s->w[i] = (struct weight){ .type = type,
			.rows = rows,
			.cols = cols,
			.codes = memory + i * bytes % (room - bytes) / 64 * 64,
			.scales = scales };
	return bytes + (type == WEIGHT_FP4 ? sf : 0);
}

static void set_acts(struct set *s, uint32_t tokens, bool quant)
{
	uint32_t cols = s->w[0].cols, rows = s->w[0].rows;
	size_t n = (size_t)tokens * cols, i;
	uint8_t *q = take(n);
	float *f = take(n * sizeof(float));

	for (i = 0; i < n; i++) {
		q[i] = (q[i] & 0x7f) == 0x7f ? 0 : q[i];
		f[i] = (float)q[i] - 127.5f;
	}
	s->j = (struct linear_job){ .tokens = tokens, .x = f, .ldx = cols, .ldy = rows };
	if (quant) {
		for (i = 0; i < n / 128; i++)
			f[i] = num_e8m0(120);
		s->j.q = q;
		s->j.s = f;
	}
	s->j.y = take((size_t)tokens * rows * sizeof(float));
	s->scratch = take(linear_scratch(&s->w[0], tokens));
}

static void set_free(struct set *s)
{
	free((void *)(uintptr_t)s->j.q);
	free((void *)(uintptr_t)(s->j.q ? s->j.s : s->j.x));
	free(s->j.y);
	free(s->scratch);
}

/* Exits unless the way gives the plain bits for some rows. */
static void check(const struct set *s)
{
	struct linear_job j = s->j;
	size_t n = (size_t)j.tokens * j.ldy;
	float *want = take(n * sizeof(float)), *got = take(n * sizeof(float));
	const struct linear_way *plain = linear_best(0);

	j.w = &s->w[0];
	memcpy(want, got, n * sizeof(float));
	j.y = want;
	linear_run(plain, &j, 3, 14, s->features, s->scratch);
	j.y = got;
	linear_run(s->way, &j, 3, 14, s->features, s->scratch);
	if (memcmp(want, got, n * sizeof(float))) {
		fprintf(stderr, "bench: linear, %s: ways differ\n", s->way->name);
		exit(2);
	}
	free(want);
	free(got);
}

void bench_linears(void)
{
	static const struct {
		const char *name;
		uint8_t type;
		bool quant;
		uint32_t rows, cols;
	} shapes[] = { { "FP4 w1", WEIGHT_FP4, true, 2048, 4096 },
		{ "FP4 w2", WEIGHT_FP4, true, 4096, 2048 },
		{ "FP8 wq_b", WEIGHT_FP8, true, 8192, 1024 },
		{ "FP8 wo_b", WEIGHT_FP8, true, 2048, 8192 },
		{ "BF16 wo_a", WEIGHT_BF16, false, 2048, 4096 },
		{ "F32 wkv", WEIGHT_F32, false, 1024, 4096 } };
	static const uint32_t tokens[] = { 1, 2, 4, 8, 16 };
	const struct linear_way *way;
	unsigned features = cpu_features(), i, k;
	size_t room = (size_t)160 << 20, n, c;
	uint8_t *memory = take(room);
	struct memory m = { (const uint64_t *)(const void *)memory, room / 8 };
	double most, read, r;
	struct set s;

	/* As bytes at random are, no FP8 NaN and no wild floats. */
	for (c = 0; c < room; c++)
		memory[c] &= c % 2 ? 0xbe : 0x7e;
	most = peak(features);
	read = best(do_read, &m, (double)room);
	printf("linears, one core, weights in RAM: at most %.1f Gfmaf/s, reading %.2f GB/s\n", most,
		read);
	for (i = 0; i < sizeof shapes / sizeof *shapes; i++)
		for (way = linear_ways; way->needs; way++) {
			if ((way->needs & features) != way->needs)
				continue;
			for (k = 0; k < sizeof tokens / sizeof *tokens; k++) {
				s = (struct set){ .way = way, .features = features };
				n = set_make(&s, shapes[i].type, shapes[i].rows, shapes[i].cols,
					memory, room);
				set_acts(&s, tokens[k], shapes[i].quant);
				check(&s);
				r = best(do_linear, &s, (double)n);
				printf("  %-9s %5u x %4u %-7s %2u token%c %6.2f Gfmaf/s, %.2f of peak; "
				       "%6.2f GB/s of weights, %.2f of reading\n",
					shapes[i].name, shapes[i].rows, shapes[i].cols, way->name,
					tokens[k], tokens[k] == 1 ? ' ' : 's',
					r / (double)n * shapes[i].rows * shapes[i].cols * tokens[k],
					r / (double)n * shapes[i].rows * shapes[i].cols *
						tokens[k] / most,
					r, r / read);
				set_free(&s);
				free((void *)(uintptr_t)s.w[0].scales);
			}
		}
	free(memory);
}
