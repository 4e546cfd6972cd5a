/* reform_fp4.c -- ways from MXFP4, row by row.
 *
 * SPDX-License-Identifier: MIT */
#include "quant/reform.h"

#include "core/mem.h"
#include "quant/num.h"
#include "quant/uncast.h"
#include "quant/unscale.h"

#include <math.h>

enum {
	GROUP = 32, /* columns of an MXFP4 or MXFP8 scale */
	HALF = 16,  /* of an NVFP4 scale; formats/codec.c has both, and a test holds these to it */
	E2M1_MOST = 7, /* the code of 6 */
	P_MAX = 8, /* exponents of the E4M3 scales that are powers of two and that NVFP4 is given */
	P_MIN = -9,
	BIAS = 127 /* of E8M0 */
};

/* --- MXFP4 to NVFP4 --- */

static size_t nvfp4_room(size_t cols)
{
	(void)cols;
	return sizeof(struct row_shift);
}

static void nvfp4_begin(struct reformer *r)
{
	row_shift_make(r->tables, r->signs);
}

/* The old scale byte of the smallest scale that NVFP4 can be given. */
static int least(const struct reformer *r)
{
	return r->second + P_MIN + BIAS;
}

/* n bytes of codes whose scales can be had. */
static void copy_codes(const struct reformer *r, const uint8_t *src, uint8_t *dst, size_t n)
{
	if (r->signs)
		memcpy(dst, src, n);
	else
		r->way->unsign(dst, src, n);
}

/* A group whose scale lies 2^d below the smallest that its new scale can be. */
static void shift_group(const struct reformer *r, unsigned d, const uint8_t *src, uint8_t *dst,
	uint8_t verdict[2])
{
	struct row_halves h = r->way->shift(dst, src, r->tables, d > ROW_SHIFTS ? ROW_SHIFTS : d);
	unsigned k;

	for (k = 0; k < 2; k++)
		verdict[k] = (uint8_t)(!(h.any >> k & 1) ? REFORM_EXACT
				: h.lossy >> k & 1       ? REFORM_LOSSY
							 : REFORM_RESCUED);
}

static size_t nvfp4_codes(struct reformer *r, const uint8_t *src, const uint8_t *s, uint8_t *dst)
{
	size_t g, n = r->cols / GROUP;

	memset(r->verdict, REFORM_EXACT, 2 * n);
	if (!r->way->nvfp4_below(NULL, s, n, least(r))) {
		copy_codes(r, src, dst, n * ROW_GROUP_BYTES);
		return r->cols;
	}
	for (g = 0; g < n; g++, src += ROW_GROUP_BYTES, dst += ROW_GROUP_BYTES) {
		if ((int)s[g] >= least(r))
			copy_codes(r, src, dst, ROW_GROUP_BYTES);
		else
			shift_group(r, (unsigned)(least(r) - (int)s[g]), src, dst,
				r->verdict + 2 * g);
	}
	return r->cols;
}

static void nvfp4_scales(const struct reformer *r, const uint8_t *s, uint8_t *dst)
{
	r->way->nvfp4_scales(dst, s, r->cols / GROUP, least(r));
}

/* A byte for each group. */
static uint64_t groups(uint64_t rows, uint64_t cols)
{
	return rows * (cols / GROUP);
}

/* The old scale, from the one that the new scale says. */
static bool nvfp4_keep(const struct reformer *r, uint64_t i, const uint8_t *src, const uint8_t *s,
	uint8_t *kept)
{
	size_t n = r->cols / GROUP;

	(void)src;
	return r->way->nvfp4_below(kept + i * n, s, n, least(r));
}

/* The exponent of an E4M3 that is a power of two; false for others. */
static bool power_of(uint8_t e4m3, int *p)
{
	int e;

	if (e4m3 & 0x80 || frexpf(num_e4m3(e4m3), &e) != 0.5f)
		return false;
	*p = e - 1;
	return *p <= P_MAX;
}

/* A code times 2^d; false where there is none. */
static bool multiplied(unsigned code, int d, unsigned *to)
{
	*to = code;
	if (!d || !(code & 7))
		return true;
	if (d > ROW_SHIFTS)
		return false;
	*to = num_e2m1_from(ldexp((double)num_e2m1(code), d));
	return num_e2m1(*to) == ldexpf(num_e2m1(code), d);
}

static bool nvfp4_back(const struct reformer *r, uint64_t i, const uint8_t *codes,
	const uint8_t *scales, const uint8_t *kept, uint8_t *to, uint8_t *s)
{
	size_t n = r->cols / GROUP, g, k;
	unsigned lo, hi;
	int p, e, d;

	for (g = 0; g < n; g++) {
		if (scales[2 * g] != scales[2 * g + 1] || !power_of(scales[2 * g], &p))
			return false;
		e = p + r->second + BIAS;
		s[g] = (uint8_t)(e + (kept ? kept[i * n + g] : 0));
		d = e - s[g];
		if (s[g] == NUM_E8M0_NAN || d < 0 || (d && p != P_MIN))
			return false;
		for (k = g * GROUP / 2; k < (g + 1) * GROUP / 2; k++) {
			if (!multiplied(codes[k] & 15, d, &lo) ||
				!multiplied(codes[k] >> 4, d, &hi))
				return false;
			to[k] = (uint8_t)(lo | hi << 4);
		}
	}
	return true;
}

/* --- MXFP4 to MXFP8: the same scale --- */

static size_t wide_codes(struct reformer *r, const uint8_t *src, const uint8_t *s, uint8_t *dst)
{
	(void)s;
	r->way->widen(dst, src, r->cols / 2);
	memset(r->verdict, REFORM_EXACT, r->cols / r->how->block);
	return r->cols;
}

/* Scales of groups stay what they are. */
static void same_scales(const struct reformer *r, const uint8_t *s, uint8_t *dst)
{
	memcpy(dst, s, r->cols / GROUP);
}

static bool wide_back(const struct reformer *r, uint64_t i, const uint8_t *codes,
	const uint8_t *scales, const uint8_t *kept, uint8_t *to, uint8_t *s)
{
	(void)i, (void)kept;
	memcpy(s, scales, r->cols / GROUP);
	if (!unscale_narrow(to, codes, r->cols))
		return false;
	return !memchr(s, NUM_E8M0_NAN, r->cols / GROUP);
}

/* --- MXFP4 by other names --- */

static size_t same_fp4(struct reformer *r, const uint8_t *src, const uint8_t *s, uint8_t *dst)
{
	(void)s;
	memcpy(dst, src, r->cols / 2);
	memset(r->verdict, REFORM_EXACT, r->cols / r->how->block);
	return r->cols;
}

static bool same_back(const struct reformer *r, uint64_t i, const uint8_t *codes,
	const uint8_t *scales, const uint8_t *kept, uint8_t *to, uint8_t *s)
{
	(void)i, (void)kept;
	memcpy(to, codes, r->cols / 2);
	memcpy(s, scales, r->cols / GROUP);
	return !memchr(s, NUM_E8M0_NAN, r->cols / GROUP);
}

/* --- MXFP4 to BF16 --- */

static size_t fp4_bf16_room(size_t cols)
{
	(void)cols;
	return sizeof(struct row_bf16);
}

static void fp4_bf16_begin(struct reformer *r)
{
	row_bf16_make(r->tables);
}

static uint16_t get_bf16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static bool is_infinite(uint16_t h)
{
	return isinf(num_bf16(h));
}

static size_t fp4_bf16_codes(struct reformer *r, const uint8_t *src, const uint8_t *s, uint8_t *dst)
{
	const struct row_bf16 *t = r->tables;
	size_t n = r->cols / GROUP, g, i;

	r->way->fp4_bf16(dst, src, s, n, t);
	memset(r->verdict, REFORM_EXACT, n);
	for (g = 0; g < n; g++)
		for (i = 0; is_infinite(t->of[s[g]][E2M1_MOST]) && i < GROUP; i++)
			if (is_infinite(get_bf16(dst + 2 * (g * GROUP + i))))
				r->verdict[g] = REFORM_OVERFLOW;
	return r->cols;
}

/* Of a group that is not zero: how far its scale lies above the smallest that can write it. Of one that is: its byte. */
static bool fp4_bf16_keep(const struct reformer *r, uint64_t i, const uint8_t *src,
	const uint8_t *s, uint8_t *kept)
{
	const uint8_t t = (uint8_t)-FP4TO8_SHIFT; /* what uncast_residue takes such a byte from */
	size_t n = r->cols / GROUP, g;
	uint64_t w[2];
	uint8_t any = 0;

	kept += i * n;
	for (g = 0; g < n; g++) {
		memcpy(w, src + g * sizeof w, sizeof w);
		any |= kept[g] = uncast_residue(w[0], w[1], s[g], t);
	}
	return any;
}

/* The way back of a group with such a scale, whose half is no normal BF16. */
static bool small_back(const uint8_t *bf16, unsigned scale, uint8_t *to)
{
	float v, by = num_e8m0(scale);
	uint8_t c[2];
	size_t k;

	for (k = 0; k < GROUP; k++) {
		v = num_bf16(get_bf16(bf16 + 2 * k));
		c[k % 2] = num_e2m1_from((double)v / (double)by);
		if (num_bits(num_e2m1(c[k % 2]) * by) != num_bits(v))
			return false;
		to[k / 2] = (uint8_t)(c[0] | c[1] << 4);
	}
	return true;
}

static bool fp4_bf16_back(const struct reformer *r, uint64_t i, const uint8_t *codes,
	const uint8_t *scales, const uint8_t *kept, uint8_t *to, uint8_t *s)
{
	size_t n = r->cols / GROUP, g;
	uint8_t residue;
	float top;
	int e;

	(void)scales;
	for (g = 0; g < n; g++, codes += 2 * GROUP, to += ROW_GROUP_BYTES) {
		top = num_bf16(unscale_top(codes, GROUP));
		if (!isfinite(top))
			return false;
		residue = kept ? kept[i * n + g] : 0;
		(void)frexpf(top, &e);
		e = top > 0 ? e - 1 - 2 + residue + BIAS : residue;
		if (e < 0 || e >= NUM_E8M0_NAN)
			return false;
		s[g] = (uint8_t)e;
		if (e < UNSCALE_E8M0_MIN ? !small_back(codes, (unsigned)e, to)
					 : !unscale_fp4(to, codes, (unsigned)e))
			return false;
	}
	return true;
}

#define LOST_GROUPS "the scale of each 32 columns, where the values do not tell it"
/* clang-format off */
const struct reform reforms_fp4[] = {
	{ CODEC_MXFP4, CODEC_NVFP4, HALF, true, nvfp4_room, nvfp4_begin, nvfp4_codes, nvfp4_scales, reform_sound_e8m0, groups, nvfp4_keep, nvfp4_back,
		"a block's scale lies at most 2^17 below the largest, or its codes stay on the grid when they are divided by what is missing", LOST_GROUPS },
	{ CODEC_MXFP4, CODEC_NVFP4_CT, HALF, true, nvfp4_room, nvfp4_begin, nvfp4_codes, nvfp4_scales, reform_sound_e8m0, groups, nvfp4_keep, nvfp4_back,
		"a block's scale lies at most 2^17 below the largest, or its codes stay on the grid when they are divided by what is missing", LOST_GROUPS },
	{ CODEC_MXFP4, CODEC_MXFP8, GROUP, false, reform_no_room, NULL, wide_codes, same_scales, reform_sound_e8m0, NULL, NULL, wide_back,
		"always", NULL },
	{ CODEC_MXFP4, CODEC_MXFP4_CT, GROUP, false, reform_no_room, NULL, same_fp4, same_scales, reform_sound_e8m0, NULL, NULL, same_back,
		"always", NULL },
	{ CODEC_MXFP4, CODEC_MXFP4_MLX, GROUP, false, reform_no_room, NULL, same_fp4, same_scales, reform_sound_e8m0, NULL, NULL, same_back,
		"always", NULL },
	{ CODEC_MXFP4, CODEC_BF16, GROUP, false, fp4_bf16_room, fp4_bf16_begin, fp4_bf16_codes, NULL, reform_sound_e8m0, groups, fp4_bf16_keep, fp4_bf16_back,
		"always; a product above 2^128 is an error", LOST_GROUPS },
	{ .from = CODEC_NONE },
};
/* clang-format on */
