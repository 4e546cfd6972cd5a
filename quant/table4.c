/* SPDX-License-Identifier: MIT */
#include "quant/table4.h"

#include "core/cpu.h"
#include "quant/codec.h"
#include "quant/num.h"

#include <math.h>
#include <string.h>

#include "quant/table4_way.inc"

enum { E8M0_BIAS = 127 };

/* The exponent of the scale of a block whose largest magnitude, not zero, is amax: see table4.h. */
static int exponent_of(double amax)
{
	int e = ilogb(amax);

	return e - 2 + (amax >= ldexp(1.75, e));
}

/* Row k of what is looked up. */
static void make_row(struct table4 *t, unsigned k)
{
	double unit = ldexp(1, (int)k + TABLE4_LEAST), v;
	unsigned c, i;
	uint8_t q;

	memset(t->over[k], 0, sizeof t->over[k]);
	memset(t->same[k], 255, sizeof t->same[k]);
	for (c = 0; c < 256; c++) {
		if ((c & E4M3_MAGNITUDE) == E4M3_MAGNITUDE) {
			t->code[k][c] = TABLE4_CHANGED;
			continue;
		}
		v = (double)num_e4m3((uint8_t)c);
		q = num_e2m1_from(v / unit);
		t->code[k][c] =
			(uint8_t)(q | ((double)num_e2m1(q) * unit == v ? 0 : TABLE4_CHANGED));
		if (c > E4M3_MAGNITUDE)
			continue;
		for (i = q; i < 7; i++)
			t->over[k][i] = (uint8_t)c;
		if (t->code[k][c] == q)
			t->same[k][q] = (uint8_t)c;
	}
}

void table4_make(struct table4 *t, unsigned features)
{
	unsigned c, k;

	t->row = features & CPU_AVX2 ? table4_avx2 : table4_look;
	memset(t->shift, 0, sizeof t->shift); /* of zero, and of NaN, of which nothing is made */
	for (c = 1; c < E4M3_MAGNITUDE; c++)
		t->shift[c] = (int8_t)exponent_of((double)num_e4m3((uint8_t)c));
	for (k = 0; k < TABLE4_SHIFTS; k++)
		make_row(t, k);
}

static bool block(const struct table4 *t, unsigned k, const uint8_t *codes, uint8_t *to)
{
	const uint8_t *look = t->code[k];
	unsigned low, high, lost = 0;
	size_t j;

	for (j = 0; j < TABLE4_BLOCK; j += 2) {
		low = look[codes[j]];
		high = look[codes[j + 1]];
		lost |= low | high;
		to[j / 2] = (uint8_t)((low & 15) | high << 4);
	}
	return lost & TABLE4_CHANGED;
}

struct table4_row table4_look(const struct table4 *t, const uint8_t *codes, const uint8_t *scales,
	size_t cols, uint8_t *to, uint8_t *to_scales, bool *changed)
{
	return table4_by(t, codes, scales, cols, to, to_scales, changed, e4m3_largest, block);
}

/* The new scale of a block of values, in *scale; false: it would be above 2^127. */
static bool plain_scale(const double *v, uint8_t old, uint8_t *scale)
{
	double amax = 0;
	size_t i;
	int e;

	for (i = 0; i < TABLE4_BLOCK; i++)
		amax = fabs(v[i]) > amax ? fabs(v[i]) : amax;
	if (amax == 0) {
		*scale = old;
		return true;
	}
	e = exponent_of(amax) + E8M0_BIAS;
	*scale = (uint8_t)(e < 0 ? 0 : e);
	return e <= TABLE4_E8M0_MOST;
}

struct table4_row table4_plain(const uint8_t *codes, const uint8_t *scales, size_t cols,
	uint8_t *to, uint8_t *to_scales, bool *changed, double *v)
{
	size_t n = cols / TABLE4_BLOCK, b, i;
	struct table4_row r = { cols, n };
	double *is = v + cols;

	codec_ops[CODEC_FP8_ROW].decode(codes, scales, 1, cols, v);
	for (b = 0; b < n; b++) {
		for (i = b * TABLE4_BLOCK; i < (b + 1) * TABLE4_BLOCK && !isnan(v[i]); i++)
			;
		if (i < (b + 1) * TABLE4_BLOCK) {
			r.nan = i;
			return r;
		}
		if (!plain_scale(v + b * TABLE4_BLOCK, scales[b], &to_scales[b])) {
			r.overflow = b;
			return r;
		}
	}
	codec_ops[CODEC_MXFP4].encode(v, to_scales, 1, cols, to);
	codec_ops[CODEC_MXFP4].decode(to, to_scales, 1, cols, is);
	memset(changed, 0, n * sizeof *changed);
	for (i = 0; i < cols; i++)
		changed[i / TABLE4_BLOCK] = changed[i / TABLE4_BLOCK] || v[i] != is[i];
	return r;
}
