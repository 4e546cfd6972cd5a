/* reform_fp8.c -- ways from FP8 with a scale for 128 x 128, or for 32 x 32, row by row.
 *
 * SPDX-License-Identifier: MIT */
#include "quant/reform.h"

#include "core/mem.h"
#include "quant/fp8to16.h"
#include "quant/num.h"
#include "quant/unscale.h"

#include <math.h>

enum {
	GROUP = 32, /* columns of an MXFP8 scale */
	TILE = 128, /* of an FP8 scale; formats/codec.c has all, and a test holds these to it */
	SMALL = 32, /* the same of V4.1 */
	BIAS = 127  /* of E8M0 */
};

/* Columns, and rows, of a tile of the old format. */
static size_t side(const struct reformer *r)
{
	return codecs[r->how->from].cols;
}

static float f32_at(const uint8_t *s, size_t i)
{
	float f;

	memcpy(&f, s + i * sizeof f, sizeof f);
	return f;
}

static enum reform_scale is_finite(float f)
{
	return isfinite(f) ? REFORM_SCALE_SOUND : REFORM_SCALE_NAN;
}

/* Those that E8M0 has: 2^-127 to 2^127. */
static enum reform_scale is_power(float f)
{
	int e;

	if (!isfinite(f))
		return REFORM_SCALE_NAN;
	return frexpf(f, &e) == 0.5f && e - 1 >= -BIAS ? REFORM_SCALE_SOUND : REFORM_SCALE_POWER;
}

static size_t all_are(enum reform_scale (*is)(float f), const uint8_t *s, size_t n,
	enum reform_scale *what)
{
	size_t i;

	*what = REFORM_SCALE_SOUND;
	for (i = 0; i < n; i++) {
		*what = is(f32_at(s, i));
		if (*what != REFORM_SCALE_SOUND)
			return i;
	}
	return n;
}

size_t reform_sound_f32(const uint8_t *s, size_t n, enum reform_scale *what)
{
	return all_are(is_finite, s, n, what);
}

static size_t sound_power(const uint8_t *s, size_t n, enum reform_scale *what)
{
	return all_are(is_power, s, n, what);
}

static uint16_t get_bf16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

/* --- FP8 in tiles: codes that stay --- */

static size_t same_fp8(struct reformer *r, const uint8_t *src, const uint8_t *s, uint8_t *dst)
{
	(void)s;
	memcpy(dst, src, r->cols);
	memset(r->verdict, REFORM_EXACT, r->cols / r->how->block);
	return r->way->nan(src, r->cols);
}

static uint8_t byte_of_power(float f)
{
	uint32_t bits = num_bits(f);

	return (uint8_t)(bits >> 23); /* 2^-127 has no exponent, and is byte 0 */
}

/* A scale for each group instead of one for each tile. */
static void spread_e8m0(const struct reformer *r, const uint8_t *s, uint8_t *dst)
{
	size_t per = side(r) / GROUP, b;

	for (b = 0; b < r->cols / side(r); b++)
		memset(dst + b * per, s[b], per);
}

static void spread_f32(const struct reformer *r, const uint8_t *s, uint8_t *dst)
{
	size_t per = side(r) / GROUP, b;

	for (b = 0; b < r->cols / side(r); b++)
		memset(dst + b * per, byte_of_power(f32_at(s, b)), per);
}

static void put_f32(uint8_t *p, size_t i, float f)
{
	memcpy(p + i * sizeof f, &f, sizeof f);
}

static void widen_e8m0(const struct reformer *r, const uint8_t *s, uint8_t *dst)
{
	size_t b;

	for (b = 0; b < mem_ceil_div(r->cols, side(r)); b++)
		put_f32(dst, b, num_e8m0(s[b]));
}

static void keep_f32(const struct reformer *r, const uint8_t *s, uint8_t *dst)
{
	memcpy(dst, s, mem_ceil_div(r->cols, side(r)) * sizeof(float));
}

/* All groups of a tile, and all its rows, have one scale. */
static bool gather(const struct reformer *r, uint64_t i, const uint8_t *scales, uint8_t *s,
	bool f32)
{
	size_t per = side(r) / GROUP, b, g;
	uint8_t byte;

	for (b = 0; b < r->cols / side(r); b++, scales += per) {
		byte = scales[0];
		if (byte == NUM_E8M0_NAN)
			return false;
		if (i % side(r) == 0 && f32)
			put_f32(s, b, num_e8m0(byte));
		else if (i % side(r) == 0)
			s[b] = byte;
		if (byte != (f32 ? byte_of_power(f32_at(s, b)) : s[b]))
			return false;
		for (g = 1; g < per; g++)
			if (scales[g] != byte)
				return false;
	}
	return true;
}

static bool copy_fp8(const struct reformer *r, const uint8_t *codes, uint8_t *to)
{
	memcpy(to, codes, r->cols);
	return true;
}

static bool gather_e8m0(const struct reformer *r, uint64_t i, const uint8_t *codes,
	const uint8_t *scales, const uint8_t *kept, uint8_t *to, uint8_t *s)
{
	(void)kept;
	return gather(r, i, scales, s, false) && copy_fp8(r, codes, to);
}

static bool gather_f32(const struct reformer *r, uint64_t i, const uint8_t *codes,
	const uint8_t *scales, const uint8_t *kept, uint8_t *to, uint8_t *s)
{
	(void)kept;
	return gather(r, i, scales, s, true) && copy_fp8(r, codes, to);
}

static bool narrow_e8m0(const struct reformer *r, uint64_t i, const uint8_t *codes,
	const uint8_t *scales, const uint8_t *kept, uint8_t *to, uint8_t *s)
{
	size_t b;

	(void)i, (void)kept;
	for (b = 0; b < mem_ceil_div(r->cols, side(r)); b++) {
		if (is_power(f32_at(scales, b)) != REFORM_SCALE_SOUND)
			return false;
		s[b] = byte_of_power(f32_at(scales, b));
	}
	return copy_fp8(r, codes, to);
}

static bool same_f32(const struct reformer *r, uint64_t i, const uint8_t *codes,
	const uint8_t *scales, const uint8_t *kept, uint8_t *to, uint8_t *s)
{
	(void)i, (void)kept;
	keep_f32(r, scales, s);
	return copy_fp8(r, codes, to);
}

/* --- FP8 to BF16: a table for each tile of the row, made anew where its scale is another --- */

static size_t fp8_bf16_room(size_t cols)
{
	return mem_ceil_div(cols, TILE) * sizeof(struct fp8to16_tile);
}

static size_t small_bf16_room(size_t cols)
{
	return mem_ceil_div(cols, SMALL) * sizeof(struct fp8to16_tile);
}

static void fp8_bf16_begin(struct reformer *r)
{
	memset(r->tables, 0, r->how->room(r->cols));
}

/* Whether a code of a tile with that scale is not zero, and would be no more. */
static bool forgets(float scale, const uint8_t *src, uint32_t n)
{
	uint32_t k;

	for (k = 0; scale == 0 && k < n; k++)
		if (src[k] & 0x7f)
			return true;
	return false;
}

/* The verdict of a tile of a row. */
static uint8_t judge(const struct fp8to16_table *t, float scale, const uint8_t *src,
	const uint8_t *dst, uint32_t n)
{
	uint32_t k;

	if (!t->any_lossy || fp8to16_loses(t, src, n) == n)
		return forgets(scale, src, n) ? REFORM_FORGOT : REFORM_EXACT;
	for (k = 0; k < n; k++)
		if (isinf(num_bf16(get_bf16(dst + 2 * k))))
			return REFORM_OVERFLOW;
	return REFORM_LOSSY;
}

static size_t fp8_bf16_codes(struct reformer *r, const uint8_t *src, const uint8_t *s, uint8_t *dst)
{
	struct fp8to16_tile *tiles = r->tables;
	const struct fp8to16_table *t;
	size_t b, at, nan = r->cols;
	uint32_t bad, n = (uint32_t)side(r);
	float scale;

	for (b = 0; b < r->cols / n; b++) {
		at = b * n;
		scale = (float)codec_scale(r->how->from, s, b);
		t = fp8to16_tile(&tiles[b], scale, r->way);
		bad = fp8to16_run(t, dst + 2 * at, src + at, n);
		nan = bad < n && nan == r->cols ? at + bad : nan;
		r->verdict[b] = judge(t, scale, src + at, dst + 2 * at, n);
	}
	return nan;
}

/* All old scales. */
static uint64_t tiles_e8m0(uint64_t rows, uint64_t cols)
{
	return mem_ceil_div(rows, TILE) * mem_ceil_div(cols, TILE);
}

static uint64_t small_tiles(uint64_t rows, uint64_t cols)
{
	return mem_ceil_div(rows, SMALL) * mem_ceil_div(cols, SMALL);
}

static uint64_t tiles_f32(uint64_t rows, uint64_t cols)
{
	return tiles_e8m0(rows, cols) * sizeof(float);
}

static bool keep_scales(const struct reformer *r, uint64_t i, const uint8_t *src, const uint8_t *s,
	uint8_t *kept)
{
	size_t n = (size_t)r->how->keeps(1, r->cols);

	(void)src;
	if (i % side(r) == 0)
		memcpy(kept + i / side(r) * n, s, n);
	return true;
}

/* The way back of a tile of a row whose scale is zero: of a zero only the sign is left, and nothing else was written so. */
static bool zero_back(const uint8_t *bf16, double scale, uint8_t *to, size_t n)
{
	uint16_t h;
	size_t k;

	for (k = 0; k < n; k++) {
		h = get_bf16(bf16 + 2 * k);
		to[k] = !(h & 0x8000) != !signbit(scale) ? 0x80 : 0;
		if (h & 0x7fff)
			return false;
	}
	return true;
}

/* Of one whose scale is any other finite number. */
static bool tile_back(const uint8_t *bf16, double scale, uint8_t *to, size_t n)
{
	double v;
	size_t k;

	for (k = 0; k < n; k++) {
		v = (double)num_bf16(get_bf16(bf16 + 2 * k));
		if (!isfinite(v))
			return false;
		to[k] = num_e4m3_from((float)(v / scale));
		if ((double)num_e4m3(to[k]) * scale != v)
			return false;
	}
	return true;
}

static bool fp8_bf16_back(const struct reformer *r, uint64_t i, const uint8_t *codes,
	const uint8_t *scales, const uint8_t *kept, uint8_t *to, uint8_t *s)
{
	size_t n = (size_t)r->how->keeps(1, r->cols), tile = side(r), b;
	double scale;
	bool ok = true;
	int k;

	(void)scales;
	if (!kept)
		return false;
	memcpy(s, kept + i / tile * n, n);
	for (b = 0; ok && b < r->cols / tile; b++, codes += 2 * tile, to += tile) {
		scale = codec_scale(r->how->from, s, b);
		ok = isfinite(scale) &&
			(scale == 0 ? zero_back(codes, scale, to, tile)
					: unscale_power((float)scale, &k)
					? unscale_fp8(to, codes, tile, k)
					: tile_back(codes, scale, to, tile));
	}
	return ok;
}

/* clang-format off */
const struct reform reforms_fp8[] = {
	{ CODEC_FP8, CODEC_MXFP8, TILE, false, reform_no_room, NULL, same_fp8, spread_e8m0, reform_sound_e8m0, NULL, NULL, gather_e8m0,
		"always", NULL },
	{ CODEC_FP8_F32, CODEC_MXFP8, TILE, false, reform_no_room, NULL, same_fp8, spread_f32, sound_power, NULL, NULL, gather_f32,
		"always; a scale that is no power of two from 2^-127 to 2^127 is an error", NULL },
	{ CODEC_FP8, CODEC_FP8_CT, TILE, false, reform_no_room, NULL, same_fp8, widen_e8m0, reform_sound_e8m0, NULL, NULL, narrow_e8m0,
		"always", NULL },
	{ CODEC_FP8_F32, CODEC_FP8_CT, TILE, false, reform_no_room, NULL, same_fp8, keep_f32, reform_sound_f32, NULL, NULL, same_f32,
		"always", NULL },
	{ CODEC_FP8, CODEC_BF16, TILE, false, fp8_bf16_room, fp8_bf16_begin, fp8_bf16_codes, NULL, reform_sound_e8m0, tiles_e8m0, keep_scales, fp8_bf16_back,
		"no product with the scale is below 2^-133; one above 2^128 is an error", "the scales" },
	{ CODEC_FP8_F32, CODEC_BF16, TILE, false, fp8_bf16_room, fp8_bf16_begin, fp8_bf16_codes, NULL, reform_sound_f32, tiles_f32, keep_scales, fp8_bf16_back,
		"the scale is a power of two and no product with it is below 2^-133; one above 2^128 is an error; codes other than zero under a scale of zero cannot be told any more", "the scales" },
	{ CODEC_FP8_32, CODEC_MXFP8, SMALL, false, reform_no_room, NULL, same_fp8, spread_e8m0, reform_sound_e8m0, NULL, NULL, gather_e8m0,
		"always", NULL },
	{ CODEC_FP8_32, CODEC_MXFP8_MLX, SMALL, false, reform_no_room, NULL, same_fp8, spread_e8m0, reform_sound_e8m0, NULL, NULL, gather_e8m0,
		"always", NULL },
	{ CODEC_FP8_32, CODEC_BF16, SMALL, false, small_bf16_room, fp8_bf16_begin, fp8_bf16_codes, NULL, reform_sound_e8m0, small_tiles, keep_scales, fp8_bf16_back,
		"no product with the scale is below 2^-133; one above 2^128 is an error", "the scales" },
	{ .from = CODEC_NONE },
};
/* clang-format on */
