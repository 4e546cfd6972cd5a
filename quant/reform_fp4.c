/* reform_fp4.c -- ways from MXFP4, row by row.
 *
 * SPDX-License-Identifier: MIT */
#include "quant/reform.h"

#include "core/mem.h"
#include "quant/num.h"
#include "quant/uncast_row.h"

#include <math.h>

enum {
	GROUP = 32, /* columns of an MXFP4 or MXFP8 scale */
	HALF = 16,  /* of an NVFP4 scale; formats/codec.c has both, and a test holds these to it */
	E2M1 = 16,  /* codes */
	P_MAX = 8, /* exponents of the E4M3 scales that are powers of two and that NVFP4 is given */
	P_MIN = -9,
	BIAS = 127 /* of E8M0 */
};

/* --- MXFP4 to NVFP4 --- */

/* shift[d - 1][byte]: two codes divided by 2^d, and whether they stay what they are; from d = 6 on nothing but zeros
 * does, and nothing but zeros comes out. */
enum { SHIFTS = 6 };
struct nvfp4 {
	uint8_t shift[SHIFTS][256];
	bool exact[SHIFTS][256];
};

static size_t nvfp4_room(size_t cols)
{
	(void)cols;
	return sizeof(struct nvfp4);
}

static uint8_t divided(const struct reformer *r, unsigned code, unsigned d)
{
	if ((code & 7) == 0)
		return (uint8_t)(r->signs ? code : 0);
	return num_e2m1_from(ldexp((double)num_e2m1(code), -(int)d));
}

static void nvfp4_begin(struct reformer *r)
{
	struct nvfp4 *t = r->tables;
	unsigned d, b;
	uint8_t lo, hi;

	for (d = 1; d <= SHIFTS; d++)
		for (b = 0; b < 256; b++) {
			lo = divided(r, b & 15, d);
			hi = divided(r, b >> 4, d);
			t->shift[d - 1][b] = (uint8_t)(lo | hi << 4);
			t->exact[d - 1][b] = ldexpf(num_e2m1(lo), (int)d) == num_e2m1(b & 15) &&
				ldexpf(num_e2m1(hi), (int)d) == num_e2m1(b >> 4);
		}
}

/* How far a group's scale lies below the smallest that its new scale can be; not above 0: it can be had. */
static int below(const struct reformer *r, uint8_t s)
{
	return r->second + P_MIN - ((int)s - BIAS);
}

/* Sixteen codes; minus zeros become zeros. */
static uint64_t without_signs(uint64_t w)
{
	uint64_t large = (w & NIBBLES(7)) + NIBBLES(7); /* bit 3: it is not zero */

	return w & ~(~large & NIBBLES(8));
}

static void copy_half(const struct reformer *r, const uint8_t *src, uint8_t *dst)
{
	uint64_t w;

	memcpy(&w, src, sizeof w);
	w = r->signs ? w : without_signs(w);
	memcpy(dst, &w, sizeof w);
}

static uint8_t shift_half(const struct reformer *r, int d, const uint8_t *src, uint8_t *dst)
{
	const struct nvfp4 *t = r->tables;
	bool exact = true;
	uint64_t w;
	unsigned i;

	memcpy(&w, src, sizeof w);
	if (!(w & NIBBLES(7))) {
		copy_half(r, src, dst);
		return REFORM_EXACT;
	}
	d = d > SHIFTS ? SHIFTS : d;
	for (i = 0; i < sizeof w; i++) {
		dst[i] = t->shift[d - 1][src[i]];
		exact = exact && t->exact[d - 1][src[i]];
	}
	return exact ? REFORM_RESCUED : REFORM_LOSSY;
}

static size_t nvfp4_codes(struct reformer *r, const uint8_t *src, const uint8_t *s, uint8_t *dst)
{
	size_t h, n = r->cols / HALF;
	int d;

	for (h = 0; h < n; h++, src += HALF / 2, dst += HALF / 2) {
		d = below(r, s[h / 2]);
		r->verdict[h] = REFORM_EXACT;
		if (d <= 0)
			copy_half(r, src, dst);
		else
			r->verdict[h] = shift_half(r, d, src, dst);
	}
	return r->cols;
}

/* The E4M3 that is 2^p. */
static uint8_t e4m3_power(int p)
{
	return (uint8_t)(p < -6 ? 1 << (p + 9) : (p + 7) << 3);
}

static void nvfp4_scales(const struct reformer *r, const uint8_t *s, uint8_t *dst)
{
	size_t g;
	int p;

	for (g = 0; g < r->cols / GROUP; g++) {
		p = (int)s[g] - BIAS - r->second;
		p = p < P_MIN ? P_MIN : p > P_MAX ? P_MAX : p;
		dst[2 * g] = dst[2 * g + 1] = e4m3_power(p);
	}
}

/* A byte for each group. */
static uint64_t groups(uint64_t rows, uint64_t cols)
{
	return rows * (cols / GROUP);
}

/* The old scale, from the one that the new scale says. */
static uint8_t nvfp4_residue(const struct reformer *r, uint8_t s)
{
	int d = below(r, s);

	return (uint8_t)(d > 0 ? -d : 0);
}

static bool nvfp4_keep(const struct reformer *r, uint64_t i, const uint8_t *src, const uint8_t *s,
	uint8_t *kept)
{
	size_t n = r->cols / GROUP, g;
	uint8_t any = 0;

	(void)src;
	kept += i * n;
	for (g = 0; g < n; g++)
		any |= kept[g] = nvfp4_residue(r, s[g]);
	return any;
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
	if (d > SHIFTS)
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

struct wide {
	uint16_t pair[256]; /* two E2M1 codes, as two E4M3 */
};

static size_t wide_room(size_t cols)
{
	(void)cols;
	return sizeof(struct wide);
}

static void wide_begin(struct reformer *r)
{
	struct wide *t = r->tables;
	unsigned b;

	for (b = 0; b < 256; b++)
		t->pair[b] = (uint16_t)(num_e4m3_from(num_e2m1(b & 15)) |
			num_e4m3_from(num_e2m1(b >> 4)) << 8);
}

static size_t wide_codes(struct reformer *r, const uint8_t *src, const uint8_t *s, uint8_t *dst)
{
	const struct wide *t = r->tables;
	size_t i;

	(void)s;
	for (i = 0; i < r->cols / 2; i++)
		memcpy(dst + 2 * i, &t->pair[src[i]], 2);
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
	uint8_t c[2];
	size_t k;

	(void)i, (void)kept;
	memcpy(s, scales, r->cols / GROUP);
	for (k = 0; k < r->cols; k++) {
		if (num_e4m3_is_nan(codes[k]))
			return false;
		c[k % 2] = num_e2m1_from((double)num_e4m3(codes[k]));
		if (num_e4m3_from(num_e2m1(c[k % 2])) != codes[k])
			return false;
		to[k / 2] = (uint8_t)(c[0] | c[1] << 4);
	}
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

struct fp4_bf16 {
	uint16_t of[256][E2M1]; /* [scale byte][code] */
	bool over[256];         /* of that scale some code becomes infinite */
};

static size_t fp4_bf16_room(size_t cols)
{
	(void)cols;
	return sizeof(struct fp4_bf16);
}

static void fp4_bf16_begin(struct reformer *r)
{
	struct fp4_bf16 *t = r->tables;
	unsigned e, c;

	for (e = 0; e < NUM_E8M0_NAN; e++) {
		for (c = 0; c < E2M1; c++)
			t->of[e][c] = num_bf16_from(num_e2m1(c) * num_e8m0(e));
		t->over[e] = isinf(num_bf16(t->of[e][7]));
	}
}

static void put_bf16(uint8_t *p, uint16_t h)
{
	p[0] = (uint8_t)h;
	p[1] = (uint8_t)(h >> 8);
}

static uint16_t get_bf16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static size_t fp4_bf16_codes(struct reformer *r, const uint8_t *src, const uint8_t *s, uint8_t *dst)
{
	const struct fp4_bf16 *t = r->tables;
	const uint16_t *of;
	size_t g, i;

	for (g = 0; g < r->cols / GROUP; g++) {
		of = t->of[s[g]];
		for (i = 0; i < GROUP / 2; i++, src++, dst += 4) {
			put_bf16(dst, of[*src & 15]);
			put_bf16(dst + 2, of[*src >> 4]);
		}
		r->verdict[g] = REFORM_EXACT;
		for (i = 0; t->over[s[g]] && i < GROUP; i++)
			if (isinf(num_bf16(get_bf16(dst - 2 * (i + 1)))))
				r->verdict[g] = REFORM_OVERFLOW;
	}
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

static bool fp4_bf16_back(const struct reformer *r, uint64_t i, const uint8_t *codes,
	const uint8_t *scales, const uint8_t *kept, uint8_t *to, uint8_t *s)
{
	size_t n = r->cols / GROUP, g, k;
	uint8_t residue, c[2];
	float top, v, scale;
	int e;

	(void)scales;
	for (g = 0; g < n; g++) {
		top = 0;
		for (k = g * GROUP; k < (g + 1) * GROUP; k++) {
			v = fabsf(num_bf16(get_bf16(codes + 2 * k)));
			top = v > top ? v : top;
			if (!isfinite(v))
				return false;
		}
		residue = kept ? kept[i * n + g] : 0;
		(void)frexpf(top, &e);
		e = top > 0 ? e - 1 - 2 + residue + BIAS : residue;
		if (e < 0 || e >= NUM_E8M0_NAN)
			return false;
		s[g] = (uint8_t)e;
		scale = num_e8m0((unsigned)e);
		for (k = g * GROUP; k < (g + 1) * GROUP; k++) {
			v = num_bf16(get_bf16(codes + 2 * k));
			c[k % 2] = num_e2m1_from((double)v / (double)scale);
			if (num_bits(num_e2m1(c[k % 2]) * scale) != num_bits(v))
				return false;
			to[k / 2] = (uint8_t)(c[0] | c[1] << 4);
		}
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
	{ CODEC_MXFP4, CODEC_MXFP8, GROUP, false, wide_room, wide_begin, wide_codes, same_scales, reform_sound_e8m0, NULL, NULL, wide_back,
		"always", NULL },
	{ CODEC_MXFP4, CODEC_MXFP4_CT, GROUP, false, reform_no_room, NULL, same_fp4, same_scales, reform_sound_e8m0, NULL, NULL, same_back,
		"always", NULL },
	{ CODEC_MXFP4, CODEC_BF16, GROUP, false, fp4_bf16_room, fp4_bf16_begin, fp4_bf16_codes, NULL, reform_sound_e8m0, groups, fp4_bf16_keep, fp4_bf16_back,
		"always; a product above 2^128 is an error", LOST_GROUPS },
	{ .from = CODEC_NONE },
};
/* clang-format on */
