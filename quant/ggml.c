/* SPDX-License-Identifier: MIT */
#include "quant/ggml.h"

#include "quant/num.h"

#include <math.h>
#include <string.h>

enum { MX = 32, MX_BYTES = 17, Q8 = 32, Q8_BYTES = 34 };

uint64_t ggml_row_bytes(uint32_t type, uint64_t cols)
{
	const struct ggml_type_row *r = ggml_type_find(type);

	return cols / r->items * r->bytes;
}

/* --- MXFP4: nibbles move --- */

/* Sixteen bytes, for which gcc and clang have one instruction each on processors that have such. */
typedef uint8_t vec __attribute__((vector_size(16)));

/* The halves of 16 bytes are codes 0, 2, .. 30 (low) and 1, 3, .. 31 (high); woven together they are 0..15 and 16..31,
 * and byte j of the block is code j with code j + 16 above it. */
static void mxfp4_block(const uint8_t *codes, uint8_t *dst)
{
	vec x, low, high, first, second;

	memcpy(&x, codes, sizeof x);
	low = x & 15;
	high = x >> 4;
	first = __builtin_shufflevector(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22,
		7, 23);
	second = __builtin_shufflevector(low, high, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29,
		14, 30, 15, 31);
	x = first | second << 4;
	memcpy(dst, &x, sizeof x);
}

static size_t mxfp4_row(const uint8_t *codes, const uint8_t *scales, size_t cols, double *v,
	uint8_t *dst)
{
	const uint8_t *nan = memchr(scales, NUM_E8M0_NAN, cols / MX);
	size_t b;

	(void)v;
	if (nan)
		return (size_t)(nan - scales) * MX;
	for (b = 0; b < cols / MX; b++) {
		dst[b * MX_BYTES] = scales[b];
		mxfp4_block(codes + b * (MX / 2), dst + b * MX_BYTES + 1);
	}
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

/* FP16 of a number that is not negative, to nearest, ties to even; 0x7c00 where it is too large. */
static uint16_t f16_from(float f)
{
	uint32_t b = num_bits(f), r;
	double n;

	if (b >= 0x477ff000u) /* 65520: rounds to infinity */
		return 0x7c00;
	if (b < 0x38800000u) { /* below 2^-14: multiples of 2^-24, exact in double */
		n = rint((double)f * 16777216.0);
		return (uint16_t)n;
	}
	r = b + 0xfff + (b >> 13 & 1);
	return (uint16_t)((r >> 13) - (112u << 10));
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
		h = f16_from(d);
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
	static size_t name(const uint8_t *codes, const uint8_t *scales, size_t cols, double *v, uint8_t *dst) \
	{ \
		codec_ops[codec].decode(codes, scales, 1, cols, v); \
		return to(v, cols, dst); \
	}
/* clang-format on */
DECODED(mxfp4_f32, CODEC_MXFP4, to_f32)
DECODED(fp8_f32, CODEC_FP8, to_f32)
DECODED(fp8_bf16, CODEC_FP8, to_bf16)
DECODED(fp8_q8_0, CODEC_FP8, to_q8_0)
DECODED(fp8s_f32, CODEC_FP8_F32, to_f32)
DECODED(fp8s_bf16, CODEC_FP8_F32, to_bf16)
DECODED(fp8s_q8_0, CODEC_FP8_F32, to_q8_0)

/* BF16 as the upper half of an F32: NaN is refused, as everywhere. */
static size_t bf16_f32(const uint8_t *codes, const uint8_t *scales, size_t cols, double *v,
	uint8_t *dst)
{
	size_t i;

	(void)scales, (void)v;
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

static size_t ids_i32(const uint8_t *codes, const uint8_t *scales, size_t cols, double *v,
	uint8_t *dst)
{
	int64_t id;
	size_t i;

	(void)scales, (void)v;
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
