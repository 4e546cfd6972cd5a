/* SPDX-License-Identifier: MIT */
#include "quant/ggml.h"

#include "quant/fp8to16.h"
#include "quant/num.h"

#include <math.h>
#include <string.h>

enum {
	MX = GGML_MXFP4_ITEMS,
	MX_BYTES = GGML_MXFP4_BYTES,
	Q8 = GGML_Q8_0_ITEMS,
	Q8_BYTES = GGML_Q8_0_BYTES,
	FP8_TILE = 128 /* columns of an FP8 scale, as in formats/codec.c; a test holds them equal */
};

uint64_t ggml_row_bytes(uint32_t type, uint64_t cols)
{
	const struct ggml_type_row *r = ggml_type_find(type);

	return cols / r->items * r->bytes;
}

/* --- MXFP4: nibbles move --- */

static size_t mxfp4_row(const struct row_way *w, const uint8_t *codes, const uint8_t *scales,
	size_t cols, double *v, uint8_t *dst)
{
	const uint8_t *nan = memchr(scales, NUM_E8M0_NAN, cols / MX);

	(void)v;
	if (nan)
		return (size_t)(nan - scales) * MX;
	w->ggml_mxfp4(dst, codes, scales, cols / MX);
	return cols;
}

static bool mxfp4_back(const uint8_t *src, uint8_t *scales, size_t cols, double *v, uint8_t *codes)
{
	size_t b;
	unsigned j;

	(void)v;
	for (b = 0; b < cols / MX; b++, src += MX_BYTES, codes += MX / 2) {
		scales[b] = src[0];
		for (j = 0; j < 8; j++) {
			codes[j] = (uint8_t)((src[1 + 2 * j] & 15) | (src[2 + 2 * j] & 15) << 4);
			codes[j + 8] = (uint8_t)(src[1 + 2 * j] >> 4 | (src[2 + 2 * j] >> 4) << 4);
		}
	}
	return true;
}

/* --- floats --- */

static size_t to_f32(const double *v, size_t cols, uint8_t *dst)
{
	float f;
	size_t i;

	for (i = 0; i < cols; i++) {
		f = (float)v[i];
		if (!isfinite(v[i]) || (double)f != v[i])
			return i;
		memcpy(dst + i * sizeof f, &f, sizeof f);
	}
	return cols;
}

static size_t to_bf16(const double *v, size_t cols, uint8_t *dst)
{
	uint16_t h;
	size_t i;

	for (i = 0; i < cols; i++) {
		h = num_bf16_from((float)v[i]);
		if (!isfinite(v[i]) || (double)num_bf16(h) != v[i])
			return i;
		memcpy(dst + i * sizeof h, &h, sizeof h);
	}
	return cols;
}

static size_t to_q8_0(const double *v, size_t cols, uint8_t *dst)
{
	float amax, d, id, x;
	uint16_t h;
	size_t b, i;

	for (b = 0; b < cols; b += Q8, dst += Q8_BYTES) {
		for (amax = 0, i = b; i < b + Q8; i++) {
			if (!isfinite(v[i]) || (double)(float)v[i] != v[i])
				return i;
			x = fabsf((float)v[i]);
			amax = x > amax ? x : amax;
		}
		d = amax / 127;
		id = d > 0 ? 1 / d : 0;
		h = num_f16_from(d);
		if (h == 0x7c00 || !isfinite(id))
			return b;
		memcpy(dst, &h, sizeof h);
		for (i = 0; i < Q8; i++)
			dst[2 + i] = (uint8_t)(int8_t)roundf((float)v[b + i] * id);
	}
	return cols;
}

/* clang-format off */
#define DECODED(name, codec, to) \
	static size_t name(const struct row_way *w, const uint8_t *codes, const uint8_t *scales, size_t cols, double *v, uint8_t *dst) \
	{ \
		(void)w; \
		codec_ops[codec].decode(codes, scales, 1, cols, v); \
		return to(v, cols, dst); \
	}
/* clang-format on */
DECODED(mxfp4_f32, CODEC_MXFP4, to_f32)
DECODED(fp8_f32, CODEC_FP8, to_f32)
DECODED(fp8_bf16_plain, CODEC_FP8, to_bf16)
DECODED(fp8_q8_0, CODEC_FP8, to_q8_0)
DECODED(fp8s_f32, CODEC_FP8_F32, to_f32)
DECODED(fp8s_bf16_plain, CODEC_FP8_F32, to_bf16)
DECODED(fp8s_q8_0, CODEC_FP8_F32, to_q8_0)

/* The first of n codes whose product is NaN or no BF16; there is one. */
static uint32_t first_bad(const struct fp8to16_table *t, const uint8_t *codes, uint32_t n)
{
	uint32_t nan = (uint32_t)row_plain.nan(codes, n), lossy = fp8to16_loses(t, codes, n);

	return nan < lossy ? nan : lossy;
}

/* FP8 to BF16 by tiles of 128 columns. What they cannot say, and rows that are no whole number of them, is said by the
 * plain way. */
static size_t tiles_bf16(const struct row_way *w, enum codec from, const uint8_t *codes,
	const uint8_t *scales, size_t cols, double *v, uint8_t *dst)
{
	struct fp8to16_tile *tiles = (struct fp8to16_tile *)(void *)v;
	const struct fp8to16_table *t;
	uint32_t tile = codecs[from].cols;
	size_t b, at;
	double s;

	_Static_assert(sizeof *tiles <= FP8_TILE * sizeof *v, "a tile's table has room");
	for (b = 0; b < cols / tile; b++) {
		at = b * tile;
		s = codec_scale(from, scales, b);
		if (!isfinite(s))
			return at;
		t = fp8to16_tile(&tiles[b], (float)s, w);
		if (fp8to16_run(t, dst + 2 * at, codes + at, tile) < tile ||
			fp8to16_loses(t, codes + at, tile) < tile)
			return at + first_bad(t, codes + at, tile);
	}
	return cols;
}

static size_t fp8_bf16(const struct row_way *w, const uint8_t *codes, const uint8_t *scales,
	size_t cols, double *v, uint8_t *dst)
{
	return cols % FP8_TILE ? fp8_bf16_plain(w, codes, scales, cols, v, dst)
			       : tiles_bf16(w, CODEC_FP8, codes, scales, cols, v, dst);
}

static size_t fp8s_bf16(const struct row_way *w, const uint8_t *codes, const uint8_t *scales,
	size_t cols, double *v, uint8_t *dst)
{
	return cols % FP8_TILE ? fp8s_bf16_plain(w, codes, scales, cols, v, dst)
			       : tiles_bf16(w, CODEC_FP8_F32, codes, scales, cols, v, dst);
}

/* BF16 as the upper half of an F32: NaN is refused, as everywhere. */
static size_t bf16_f32(const struct row_way *w, const uint8_t *codes, const uint8_t *scales,
	size_t cols, double *v, uint8_t *dst)
{
	size_t i;

	(void)w, (void)scales, (void)v;
	for (i = 0; i < cols; i++) {
		if ((codes[2 * i + 1] & 0x7f) == 0x7f && codes[2 * i] >= 0x80)
			return i;
		dst[4 * i] = dst[4 * i + 1] = 0;
		dst[4 * i + 2] = codes[2 * i];
		dst[4 * i + 3] = codes[2 * i + 1];
	}
	return cols;
}

static bool bf16_f32_back(const uint8_t *src, uint8_t *scales, size_t cols, double *v,
	uint8_t *codes)
{
	bool ok = true;
	size_t i;

	(void)scales, (void)v;
	for (i = 0; i < cols; i++) {
		ok = ok && !src[4 * i] && !src[4 * i + 1];
		codes[2 * i] = src[4 * i + 2];
		codes[2 * i + 1] = src[4 * i + 3];
	}
	return ok;
}

/* --- ids --- */

static size_t ids_i32(const struct row_way *w, const uint8_t *codes, const uint8_t *scales,
	size_t cols, double *v, uint8_t *dst)
{
	int64_t id;
	size_t i;

	(void)w, (void)scales, (void)v;
	for (i = 0; i < cols; i++) {
		memcpy(&id, codes + 8 * i, sizeof id);
		if (id < 0 || id > INT32_MAX)
			return i;
		memcpy(dst + 4 * i, codes + 8 * i, 4);
	}
	return cols;
}

static bool ids_i32_back(const uint8_t *src, uint8_t *scales, size_t cols, double *v,
	uint8_t *codes)
{
	bool ok = true;
	size_t i;

	(void)scales, (void)v;
	for (i = 0; i < cols; i++) {
		ok = ok && src[4 * i + 3] < 0x80;
		memcpy(codes + 8 * i, src + 4 * i, 4);
		memset(codes + 8 * i + 4, 0, 4);
	}
	return ok;
}

const struct ggml_way ggml_ways[] = {
	{ CODEC_MXFP4, GGML_MXFP4, false, mxfp4_row, mxfp4_back },
	{ CODEC_MXFP4, GGML_F32, false, mxfp4_f32, NULL },
	{ CODEC_FP8, GGML_BF16, false, fp8_bf16, NULL },
	{ CODEC_FP8, GGML_F32, false, fp8_f32, NULL },
	{ CODEC_FP8, GGML_Q8_0, true, fp8_q8_0, NULL },
	{ CODEC_FP8_F32, GGML_BF16, false, fp8s_bf16, NULL },
	{ CODEC_FP8_F32, GGML_F32, false, fp8s_f32, NULL },
	{ CODEC_FP8_F32, GGML_Q8_0, true, fp8s_q8_0, NULL },
	{ CODEC_BF16, GGML_F32, false, bf16_f32, bf16_f32_back },
	{ CODEC_NONE, GGML_I32, false, ids_i32, ids_i32_back },
	{ .row = NULL },
};

const struct ggml_way *ggml_way_find(enum codec from, uint32_t type)
{
	const struct ggml_way *w;

	for (w = ggml_ways; w->row; w++)
		if (w->from == from && w->type == type)
			return w;
	return NULL;
}
