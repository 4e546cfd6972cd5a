/* SPDX-License-Identifier: MIT */
#include "quant/cb4.h"

#include "core/cpu.h"
#include "quant/num.h"

#include "quant/cb4_way.inc"

/* Errors: so many units are 1, and no value counts for more than so many of them, so that 32 of them fit
 * in 30 bits. */
static const double unit = 0x1p24;
static const uint32_t most = (1u << 25) - 1;

/* 2^n, n from -1022 to 1023. */
static double power(int n)
{
	uint64_t bits = (uint64_t)(n + 1023) << 52;
	double v;

	memcpy(&v, &bits, sizeof v);
	return v;
}

unsigned cb4_scale_of(double v)
{
	unsigned lo = 0, hi = 256, mid;

	while (hi - lo > 1) {
		mid = (lo + hi) / 2;
		if ((double)num_e5m3(mid) <= v)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* How many borders x is above. */
static unsigned code_of(const double *level, double scale, double x)
{
	unsigned i, n = 0;

	for (i = 1; i < CB4_LEVELS; i++)
		n += 2 * x > (level[i - 1] + level[i]) * scale;
	return n;
}

static uint32_t error_of(double x, double y, double amax)
{
	double d = (x - y) / amax, e = d * d * unit + 0.5;
	uint32_t n = e < (double)most ? (uint32_t)e : most;

	return x != y && !n ? 1 : n;
}

/* Levels times 2^by. */
static void levels_of(const struct cb4_book *b, int by, double *level)
{
	unsigned i;

	for (i = 0; i < CB4_LEVELS; i++)
		level[i] = (double)b->level[i] * power(by);
}

/* The code whose level is nearest to zero; of two the first. */
static uint8_t zero_of(const float *level)
{
	unsigned i, best = 0;
	float d, least = 0;

	for (i = 0; i < CB4_LEVELS; i++) {
		d = level[i] < 0 ? -level[i] : level[i];
		if (!i || d < least) {
			best = i;
			least = d;
		}
	}
	return (uint8_t)best;
}

/* --- the meaning --- */

/* Codes of a block at one scale; returns the error. */
static uint32_t at_scale(const double *level, double scale, const double *x, double amax,
	uint8_t *code)
{
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i < CB4_BLOCK; i++) {
		code[i] = (uint8_t)code_of(level, scale, x[i]);
		sum += error_of(x[i], level[code[i]] * scale, amax);
	}
	return sum;
}

void cb4_plain_block(const struct cb4_book *b, const uint8_t *codes, unsigned old, uint8_t *to,
	uint8_t *scale, bool *changed)
{
	double level[CB4_LEVELS], x[CB4_BLOCK], amax = 0, by = power((int)old - 127);
	uint8_t code[CB4_TRIES][CB4_BLOCK];
	uint32_t error[CB4_TRIES];
	unsigned q, k, best;
	size_t i;

	levels_of(b, 0, level);
	for (i = 0; i < CB4_BLOCK; i++) {
		x[i] = (double)num_e4m3(codes[i]) * by;
		amax = x[i] > amax ? x[i] : -x[i] > amax ? -x[i] : amax;
	}
	if (amax == 0) {
		memset(to, zero_of(b->level) * 17, CB4_BLOCK / 2);
		*scale = 0;
		*changed = false;
		return;
	}
	q = cb4_scale_of(amax * power(-b->power));
	for (k = 0; k < CB4_TRIES; k++)
		error[k] = at_scale(level, (double)num_e5m3(cb4_try(q, k)), x, amax, code[k]);
	for (best = 0, k = 1; k < CB4_TRIES; k++)
		best = error[k] < error[best] ? k : best;
	k = best;
	for (i = 0; i < CB4_BLOCK; i += 2)
		to[i / 2] = (uint8_t)(code[k][i] | code[k][i + 1] << 4);
	*scale = (uint8_t)cb4_try(q, k);
	*changed = error[k] > 0;
}

size_t cb4_plain(const struct cb4_book *b, const uint8_t *codes, const uint8_t *scales, size_t cols,
	uint8_t *to, uint8_t *to_scales, bool *changed)
{
	size_t i, k;

	for (i = 0; i < cols; i += CB4_BLOCK) {
		for (k = i; k < i + CB4_BLOCK; k++)
			if (num_e4m3_is_nan(codes[k]))
				return k;
		cb4_plain_block(b, codes + i, scales[i / CB4_BLOCK], to + i / 2,
			&to_scales[i / CB4_BLOCK], &changed[i / CB4_BLOCK]);
	}
	return cols;
}

void cb4_decode(const float *level, const uint8_t *codes, const uint8_t *scales, size_t cols,
	double *v)
{
	size_t i;

	for (i = 0; i < cols; i++)
		v[i] = (double)level[codes[i / 2] >> (i % 2 ? 4 : 0) & 15] *
			(double)num_e5m3(scales[i / CB4_BLOCK]);
}

void cb4_put_levels(const struct cb4_book *b, uint8_t bytes[4 * CB4_LEVELS])
{
	uint32_t bits;
	unsigned i;

	for (i = 0; i < 4 * CB4_LEVELS; i++) {
		bits = num_bits(b->level[i / 4]);
		bytes[i] = (uint8_t)(bits >> 8 * (i % 4));
	}
}

void cb4_get_levels(float level[CB4_LEVELS], const uint8_t bytes[4 * CB4_LEVELS])
{
	const uint8_t *p;
	unsigned i;

	for (i = 0, p = bytes; i < CB4_LEVELS; i++, p += 4)
		level[i] = num_f32((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
			(uint32_t)p[3] << 24);
}

/* --- looked up --- */

/* Scales of a block whose old scale is 1 are codes of numbers without an end: 8 e + m is (1 + m/8) * 2^e. */
static double number(int w)
{
	int e = w >= 0 ? w / 8 : -((7 - w) / 8);

	return (double)(8 + w - 8 * e) / 8 * power(e);
}

static int number_of(double v)
{
	int w = 0;

	while (number(w) > v)
		w--;
	while (number(w + 1) <= v)
		w++;
	return w;
}

double cb4_scale_at(unsigned a, unsigned k)
{
	enum { MIDDLE = 8 }; /* any code with room below */

	return number(number_of((double)num_e4m3(a)) + (int)cb4_try(MIDDLE, k) - MIDDLE);
}

/* Scale number k of blocks whose largest magnitude is a. level: of a table whose power is 0. */
static void make_try(struct cb4 *t, const double *level, unsigned a, unsigned k)
{
	double amax = (double)num_e4m3(a), scale = cb4_scale_at(a, k), x;
	unsigned c, i;
	uint8_t code;
	int is;

	memset(t->edge[a][k], -127, sizeof t->edge[a][k]);
	for (c = 0; c < 256; c++) {
		if ((c & E4M3_MAGNITUDE) > a)
			continue;
		x = (double)num_e4m3(c);
		code = (uint8_t)code_of(level, scale, x);
		t->code[a][k][c] = code;
		t->error[a][c][k] = error_of(x, level[code] * scale, amax) * CB4_TRIES;
		is = c & 128 ? -(int)(c & E4M3_MAGNITUDE) : (int)c;
		for (i = code + 1u; i < CB4_LEVELS; i++)
			if (is > t->edge[a][k][i])
				t->edge[a][k][i] = (int8_t)is;
	}
}

void cb4_make(struct cb4 *t, const struct cb4_book *b, unsigned features)
{
	double level[CB4_LEVELS];
	unsigned a, k;

	memset(t, 0, sizeof *t);
	t->row = features & CPU_AVX2 ? cb4_avx2 : cb4_look;
	t->book = *b;
	t->zero = zero_of(b->level);
	levels_of(b, -b->power, level);
	for (a = 1; a < CB4_MAGNITUDES; a++) {
		t->first[a] = number_of((double)num_e4m3(a)) + 8 * (15 - 127 - b->power);
		for (k = 0; k < CB4_TRIES; k++)
			make_try(t, level, a, k);
	}
}

/* The least of sums whose low bits are the numbers of their scales. */
static uint32_t least(const uint32_t *sum)
{
	uint32_t a = sum[0] < sum[1] ? sum[0] : sum[1], b = sum[2] < sum[3] ? sum[2] : sum[3];

	return a < b ? a : b;
}

static unsigned block(const struct cb4 *t, unsigned a, const uint8_t *codes, uint8_t *to,
	uint32_t *error)
{
	uint32_t sum[CB4_TRIES] = { 0, 1, 2, 3 }, best;
	uint64_t two[CB4_TRIES / 2], more[CB4_TRIES / 2]; /* sums side by side, which have room */
	const uint8_t *look;
	size_t i;

	memcpy(two, sum, sizeof two);
	for (i = 0; i < CB4_BLOCK; i++) {
		memcpy(more, t->error[a][codes[i]], sizeof more);
		two[0] += more[0];
		two[1] += more[1];
	}
	memcpy(sum, two, sizeof sum);
	best = least(sum);
	*error = best / CB4_TRIES;
	look = t->code[a][best % CB4_TRIES];
	for (i = 0; i < CB4_BLOCK; i += 2)
		to[i / 2] = (uint8_t)(look[codes[i]] | look[codes[i + 1]] << 4);
	return best % CB4_TRIES;
}

size_t cb4_look(const struct cb4 *t, const uint8_t *codes, const uint8_t *scales, size_t cols,
	uint8_t *to, uint8_t *to_scales, bool *changed)
{
	return cb4_by(t, codes, scales, cols, to, to_scales, changed, e4m3_largest, block);
}
