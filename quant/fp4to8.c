/* SPDX-License-Identifier: MIT */
#include "quant/fp4to8.h"

#include "core/cpu.h"
#include "quant/num.h"

#include <math.h>

/* The meaning: arithmetic, value by value. */
static void row_plain(const struct fp4to8_table *table, uint8_t *dst, const uint8_t *src,
	const uint8_t *s, const uint8_t *t, size_t k, enum fp4to8_block b)
{
	unsigned code;
	size_t i;
	float y;

	(void)table;
	for (i = 0; i < k; i++) {
		code = src[i / 2] >> (i % 2 * 4) & 15;
		y = ldexpf(num_e2m1(code), (int)s[i / FP4TO8_GROUP] - (int)t[i / fp4to8_side(b)]);
		dst[i] = code == 8 ? 0 : num_e4m3_from(y);
	}
}

void fp4to8_row_table(const struct fp4to8_table *table, uint8_t *dst, const uint8_t *src,
	const uint8_t *s, const uint8_t *t, size_t k, enum fp4to8_block b)
{
	const uint8_t *row;
	size_t g, j;

	for (g = 0; g < k / FP4TO8_GROUP; g++) {
		row = table->row[FP4TO8_SHIFT + t[g >> b] - s[g]];
		for (j = 0; j < FP4TO8_GROUP / 2; j++) {
			*dst++ = row[*src & 15];
			*dst++ = row[*src++ >> 4];
		}
	}
}

const struct fp4to8_impl fp4to8_impls[] = {
	{ "avx-512", CPU_AVX512, fp4to8_row_avx512 },
	{ "avx2", CPU_AVX2, fp4to8_row_avx2 },
	{ "table", 0, fp4to8_row_table },
	{ "plain", 0, row_plain },
	{ NULL, 0, NULL },
};

const struct fp4to8_impl *fp4to8_best(unsigned features)
{
	const struct fp4to8_impl *i = fp4to8_impls;

	while ((i->need & ~features) != 0)
		i++;
	return i;
}

void fp4to8_table_make(struct fp4to8_table *t)
{
	unsigned d, code;
	float x, y;

	memset(t, 0, sizeof *t);
	for (d = 0; d < 256; d++) {
		for (code = 0; code < 16; code++) {
			x = num_e2m1(code);
			y = ldexpf(x, FP4TO8_SHIFT - (int)d);
			t->row[d][code] = code == 8 ? 0 : num_e4m3_from(y);
			/* Compared at the scale of x: there nothing is subnormal. */
			if ((double)x !=
				ldexp((double)num_e4m3(t->row[d][code]), (int)d - FP4TO8_SHIFT))
				t->lossy[d] |= (uint16_t)(1u << code);
		}
	}
}

/* The largest and the smallest of each of MANY scales that lie side by side in the rows of a block, `next` bytes apart.
 * Their number is a constant, for which compilers have instructions. */
enum { MANY = 16, ROWS_MAX = FP4TO8_GROUP << FP4TO8_128 };
static void bounds(const uint8_t *s, size_t next, size_t rows, uint8_t top[MANY], uint8_t low[MANY])
{
	uint8_t t[MANY], l[MANY], x;
	size_t r, g;

	memset(t, 0, MANY);
	memset(l, 255, MANY);
	for (r = 0; r < rows; r++, s += next)
		for (g = 0; g < MANY; g++) {
			x = s[g];
			t[g] = x > t[g] ? x : t[g];
			l[g] = x < l[g] ? x : l[g];
		}
	memcpy(top, t, MANY);
	memcpy(low, l, MANY);
}

/* The same of the n < MANY that are left. */
static void bounds_left(const uint8_t *s, size_t next, size_t rows, size_t n, uint8_t top[MANY],
	uint8_t low[MANY])
{
	uint8_t some[ROWS_MAX * MANY] = { 0 };
	size_t r;

	for (r = 0; r < rows; r++)
		memcpy(some + r * MANY, s + r * next, n);
	bounds(some, MANY, rows, top, low);
}

long fp4to8_band(const uint8_t *s, size_t k, enum fp4to8_block b, uint8_t *t, uint8_t *v)
{
	size_t groups = k / FP4TO8_GROUP, share = (size_t)1 << b, rows = fp4to8_side(b), g, i;
	uint8_t tops[MANY], lows[MANY];
	unsigned top, low;

	for (g = 0; g < groups; g += share) {
		if (g % MANY == 0 && groups - g >= MANY)
			bounds(s + g, groups, rows, tops, lows);
		else if (g % MANY == 0)
			bounds_left(s + g, groups, rows, groups - g, tops, lows);
		for (top = 0, low = 255, i = g % MANY; i < g % MANY + share; i++) {
			top = tops[i] > top ? tops[i] : top;
			low = lows[i] < low ? lows[i] : low;
		}
		t[g >> b] = (uint8_t)(top < FP4TO8_SHIFT ? 0 : top - FP4TO8_SHIFT);
		v[g >> b] = top < FP4TO8_SHIFT    ? FP4TO8_LOW
			: top - low > FP4TO8_SAFE ? FP4TO8_DEPENDS
						  : FP4TO8_EXACT;
		if (top == NUM_E8M0_NAN) {
			const uint8_t *nan = memchr(s, NUM_E8M0_NAN, groups * rows);

			return (long)(nan - s);
		}
	}
	return -1;
}

bool fp4to8_row_loses(const struct fp4to8_table *table, const uint8_t *src, const uint8_t *s,
	const uint8_t *t, enum fp4to8_block b, size_t n)
{
	size_t bytes = fp4to8_side(b) / 2, i;
	unsigned d;

	for (i = bytes * n; i < bytes * (n + 1); i++) {
		d = FP4TO8_SHIFT + (unsigned)t[n] - s[i / (FP4TO8_GROUP / 2)];
		if (table->lossy[d] >> (src[i] & 15) & 1 || table->lossy[d] >> (src[i] >> 4) & 1)
			return true;
	}
	return false;
}
