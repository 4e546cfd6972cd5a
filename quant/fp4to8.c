/* SPDX-License-Identifier: MIT */
#include "quant/fp4to8.h"

#include "core/cpu.h"
#include "quant/num.h"

#include <math.h>

/* The meaning: arithmetic, value by value. */
static void row_plain(const struct fp4to8_table *table, uint8_t *dst, const uint8_t *src,
	const uint8_t *s, const uint8_t *t, size_t k)
{
	unsigned code;
	size_t i;
	float y;

	(void)table;
	for (i = 0; i < k; i++) {
		code = src[i / 2] >> (i % 2 * 4) & 15;
		y = ldexpf(num_e2m1(code), (int)s[i / FP4TO8_GROUP] - (int)t[i / FP4TO8_BLOCK]);
		dst[i] = code == 8 ? 0 : num_e4m3_from(y);
	}
}

static void row_table(const struct fp4to8_table *table, uint8_t *dst, const uint8_t *src,
	const uint8_t *s, const uint8_t *t, size_t k)
{
	const uint8_t *row;
	size_t g, j;

	for (g = 0; g < k / FP4TO8_GROUP; g++) {
		row = table->row[FP4TO8_SHIFT + t[g / 4] - s[g]];
		for (j = 0; j < FP4TO8_GROUP / 2; j++) {
			*dst++ = row[*src & 15];
			*dst++ = row[*src++ >> 4];
		}
	}
}

const struct fp4to8_impl fp4to8_impls[] = {
	{ "avx-512", CPU_AVX512, fp4to8_row_avx512 },
	{ "avx2", CPU_AVX2, fp4to8_row_avx2 },
	{ "table", 0, row_table },
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

/* The largest and the smallest of each of MANY scales that lie side by side in 128 rows, `next` bytes apart. Their number
 * is a constant, for which compilers have instructions. */
enum { MANY = 16 };
static void bounds(const uint8_t *s, size_t next, uint8_t top[MANY], uint8_t low[MANY])
{
	uint8_t t[MANY], l[MANY], x;
	unsigned r, g;

	memset(t, 0, MANY);
	memset(l, 255, MANY);
	for (r = 0; r < FP4TO8_BLOCK; r++, s += next)
		for (g = 0; g < MANY; g++) {
			x = s[g];
			t[g] = x > t[g] ? x : t[g];
			l[g] = x < l[g] ? x : l[g];
		}
	memcpy(top, t, MANY);
	memcpy(low, l, MANY);
}

/* The same of the n < MANY that are left. */
static void bounds_left(const uint8_t *s, size_t next, size_t n, uint8_t top[MANY],
	uint8_t low[MANY])
{
	uint8_t some[FP4TO8_BLOCK * MANY] = { 0 };
	unsigned r;

	for (r = 0; r < FP4TO8_BLOCK; r++)
		memcpy(some + (size_t)r * MANY, s + r * next, n);
	bounds(some, MANY, top, low);
}

long fp4to8_band(const uint8_t *s, size_t k, uint8_t *t, uint8_t *v)
{
	size_t groups = k / FP4TO8_GROUP, g, i;
	uint8_t tops[MANY], lows[MANY];
	unsigned top, low;

	for (g = 0; g < groups; g += 4) {
		if (g % MANY == 0 && groups - g >= MANY)
			bounds(s + g, groups, tops, lows);
		else if (g % MANY == 0)
			bounds_left(s + g, groups, groups - g, tops, lows);
		for (top = 0, low = 255, i = g % MANY; i < g % MANY + 4; i++) {
			top = tops[i] > top ? tops[i] : top;
			low = lows[i] < low ? lows[i] : low;
		}
		t[g / 4] = (uint8_t)(top < FP4TO8_SHIFT ? 0 : top - FP4TO8_SHIFT);
		v[g / 4] = top < FP4TO8_SHIFT     ? FP4TO8_LOW
			: top - low > FP4TO8_SAFE ? FP4TO8_DEPENDS
						  : FP4TO8_EXACT;
		if (top == NUM_E8M0_NAN) {
			const uint8_t *nan = memchr(s, NUM_E8M0_NAN, groups * FP4TO8_BLOCK);

			return (long)(nan - s);
		}
	}
	return -1;
}

bool fp4to8_row_loses(const struct fp4to8_table *table, const uint8_t *src, const uint8_t *s,
	const uint8_t *t, size_t b)
{
	size_t i;
	unsigned d;

	for (i = 64 * b; i < 64 * b + 64; i++) {
		d = FP4TO8_SHIFT + (unsigned)t[b] - s[i / 16];
		if (table->lossy[d] >> (src[i] & 15) & 1 || table->lossy[d] >> (src[i] >> 4) & 1)
			return true;
	}
	return false;
}
