/* SPDX-License-Identifier: MIT */
#include "quant/row.h"

#include "quant/num.h"

#include <math.h>

/* --- tables --- */

static uint8_t divided(unsigned code, unsigned d, bool signs)
{
	if ((code & 7) == 0)
		return (uint8_t)(signs ? code : 0);
	return num_e2m1_from(ldexp((double)num_e2m1(code), -(int)d));
}

void row_shift_make(struct row_shift *t, bool signs)
{
	unsigned d, c;
	uint8_t code;

	for (d = 1; d <= ROW_SHIFTS; d++)
		for (c = 0; c < 16; c++) {
			code = divided(c, d, signs);
			t->code[d - 1][c] = code;
			t->lossy[d - 1][c] = ldexpf(num_e2m1(code), (int)d) != num_e2m1(c);
		}
}

void row_bf16_make(struct row_bf16 *t)
{
	unsigned e, c;
	uint16_t h;

	memset(t, 0, sizeof *t);
	for (e = 0; e < NUM_E8M0_NAN; e++)
		for (c = 0; c < 16; c++) {
			h = num_bf16_from(num_e2m1(c) * num_e8m0(e));
			t->of[e][c] = h;
			t->half[e][0][c] = (uint8_t)h;
			t->half[e][1][c] = (uint8_t)(h >> 8);
		}
}

void row_fp8_make(struct row_fp8 *t, int k)
{
	unsigned i;
	uint16_t h;

	memset(t, 0, sizeof *t);
	for (i = 0; i < 16; i++) {
		/* Exponents of BF16 are 120 more than those of E4M3. */
		t->upper[i] = (uint8_t)(((int)i + 120 + k) >> 1);
		t->lower[i] = (uint8_t)((((i >> 3) + (unsigned)(120 + k)) & 1) << 7 | (i & 7) << 4);
		h = num_bf16_from(ldexpf((float)(i & 7), k - 9));
		t->small_upper[i] = (uint8_t)(h >> 8);
		t->small_lower[i] = (uint8_t)h;
	}
}

/* --- the meaning --- */

static void unsign(uint8_t *dst, const uint8_t *src, size_t n)
{
	size_t i;
	uint8_t lo, hi;

	for (i = 0; i < n; i++) {
		lo = src[i] & 15;
		hi = src[i] >> 4;
		lo = lo == 8 ? 0 : lo;
		hi = hi == 8 ? 0 : hi;
		dst[i] = (uint8_t)(lo | hi << 4);
	}
}

/* num_e4m3_from(num_e2m1(code)); a test holds it to that. */
static const uint8_t e4m3_of[16] = { 0x00, 0x30, 0x38, 0x3c, 0x40, 0x44, 0x48, 0x4c, 0x80, 0xb0,
	0xb8, 0xbc, 0xc0, 0xc4, 0xc8, 0xcc };

static void widen(uint8_t *dst, const uint8_t *src, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		dst[2 * i] = e4m3_of[src[i] & 15];
		dst[2 * i + 1] = e4m3_of[src[i] >> 4];
	}
}

static struct row_halves shift(uint8_t *dst, const uint8_t *src, const struct row_shift *t,
	unsigned d)
{
	const uint8_t *code = t->code[d - 1], *lossy = t->lossy[d - 1];
	struct row_halves h = { 0, 0 };
	unsigned i, half, lo, hi;

	for (i = 0; i < ROW_GROUP_BYTES; i++) {
		half = i / (ROW_GROUP_BYTES / 2);
		lo = src[i] & 15;
		hi = src[i] >> 4;
		dst[i] = (uint8_t)(code[lo] | code[hi] << 4);
		h.any |= (uint8_t)(((lo | hi) & 7 ? 1u : 0u) << half);
		h.lossy |= (uint8_t)((unsigned)(lossy[lo] | lossy[hi]) << half);
	}
	return h;
}

static void put_u16(uint8_t *p, uint16_t h)
{
	p[0] = (uint8_t)h;
	p[1] = (uint8_t)(h >> 8);
}

static void fp4_bf16(uint8_t *dst, const uint8_t *src, const uint8_t *scales, size_t groups,
	const struct row_bf16 *t)
{
	const uint16_t *of;
	size_t g, i;

	for (g = 0; g < groups; g++) {
		of = t->of[scales[g]];
		for (i = 0; i < ROW_GROUP_BYTES; i++, src++, dst += 4) {
			put_u16(dst, of[*src & 15]);
			put_u16(dst + 2, of[*src >> 4]);
		}
	}
}

static void ggml_mxfp4(uint8_t *dst, const uint8_t *src, const uint8_t *scales, size_t groups)
{
	const uint8_t *next;
	size_t g;
	unsigned j;

	for (g = 0; g < groups; g++, src += ROW_GROUP_BYTES) {
		next = src + ROW_GROUP_BYTES / 2; /* codes 16 to 31 */
		*dst++ = scales[g];
		for (j = 0; j < ROW_GROUP_BYTES / 2; j++) {
			*dst++ = (uint8_t)((src[j] & 15) | (next[j] & 15) << 4);
			*dst++ = (uint8_t)(src[j] >> 4 | (next[j] & 0xf0));
		}
	}
}

/* The E4M3 that is 2^p, p from -9 to 8. */
static uint8_t e4m3_power(int p)
{
	return (uint8_t)(p < -6 ? 1 << (p + 9) : (p + 7) << 3);
}

static void nvfp4_scales(uint8_t *dst, const uint8_t *scales, size_t groups, int least)
{
	size_t g;
	int p;

	for (g = 0; g < groups; g++) {
		p = (int)scales[g] - least - 9;
		p = p < -9 ? -9 : p > 8 ? 8 : p;
		dst[2 * g] = dst[2 * g + 1] = e4m3_power(p);
	}
}

static bool nvfp4_below(uint8_t *dst, const uint8_t *scales, size_t groups, int least)
{
	uint8_t any = 0, d;
	size_t g;

	for (g = 0; g < groups; g++) {
		d = (uint8_t)((int)scales[g] < least ? (int)scales[g] - least : 0);
		any |= d;
		if (dst)
			dst[g] = d;
	}
	return any;
}

static size_t nan_at(const uint8_t *src, size_t n)
{
	size_t i;

	for (i = 0; i < n && !num_e4m3_is_nan(src[i]); i++)
		;
	return i;
}

static bool fp8_bf16(uint8_t *dst, const uint8_t *src, size_t n, const struct row_fp8 *t)
{
	bool nan = false;
	size_t i;

	for (i = 0; i < n; i++) {
		nan = nan || num_e4m3_is_nan(src[i]);
		if (src[i] & 0x78) {
			dst[2 * i] = t->lower[src[i] & 15];
			dst[2 * i + 1] = t->upper[src[i] >> 3 & 15];
		} else {
			dst[2 * i] = t->small_lower[src[i] & 7];
			dst[2 * i + 1] = t->small_upper[src[i] & 7];
		}
		dst[2 * i + 1] |= src[i] & 0x80;
	}
	return nan;
}

const struct row_way row_plain = { "plain", 0, unsign, widen, shift, fp4_bf16, ggml_mxfp4,
	nvfp4_scales, nvfp4_below, nan_at, fp8_bf16 };

/* --- the largest --- */

/* Many at a time side by side, for which compilers have instructions on all processors. */
uint8_t row_largest(const uint8_t *p, size_t n, uint8_t mask)
{
	uint8_t side[16] = { 0 }, most = 0, x;
	size_t i, k;

	for (i = 0; i + sizeof side <= n; i += sizeof side)
		for (k = 0; k < sizeof side; k++) {
			x = p[i + k] & mask;
			side[k] = x > side[k] ? x : side[k];
		}
	for (; i < n; i++)
		most = (p[i] & mask) > most ? p[i] & mask : most;
	for (k = 0; k < sizeof side; k++)
		most = side[k] > most ? side[k] : most;
	return most;
}

/* --- the ways --- */

const struct row_way *row_way(unsigned i)
{
	static const struct row_way *const ways[] = { &row_avx512, &row_avx2, &row_plain };

	return i < sizeof ways / sizeof *ways ? ways[i] : NULL;
}

const struct row_way *row_best(unsigned features)
{
	unsigned i = 0;

	while (row_way(i)->need & ~features)
		i++;
	return row_way(i);
}
