/* SPDX-License-Identifier: MIT */
#include "quant/codec.h"

#include "quant/num.h"

double codec_scale(enum codec c, const uint8_t *scales, size_t i)
{
	float f;

	switch (codecs[c].meant) {
	case SCALE_E8M0:
		return (double)num_e8m0(scales[i]);
	case SCALE_E4M3:
		return (double)num_e4m3(scales[i]);
	case SCALE_F32:
		memcpy(&f, scales + 4 * i, sizeof f);
		return (double)f;
	case SCALE_BF16:
		return (double)num_bf16((uint16_t)(scales[2 * i] | scales[2 * i + 1] << 8));
	default:
		return 1;
	}
}

double codec_second(enum codec c, const uint8_t *p)
{
	float f;

	if (!codecs[c].second.name)
		return 1;
	memcpy(&f, p, sizeof f);
	return codecs[c].second.divides ? 1 / (double)f : (double)f;
}

size_t codec_scale_row(enum codec c, size_t cols)
{
	const struct codec_form *f = &codecs[c];
	size_t n = f->cols == CODEC_ALL_COLS ? cols > 0 : (cols + f->cols - 1) / f->cols;

	return f->scale == DT_COUNT ? 0 : n * (dtypes[f->scale].bits / 8 + (f->zeros != NULL));
}

/* Returns the byte of a row of words that has zero point i of row `row`: the low half if the row is even, else the high one. */
static size_t zero_byte(size_t i, uint64_t row)
{
	return 4 * i + row % CODEC_ZERO_ROWS / 2;
}

void codec_zeros_get(const uint8_t *words, uint64_t row, size_t n, uint8_t *zeros)
{
	size_t i;

	for (i = 0; i < n; i++)
		zeros[i] = words[zero_byte(i, row)] >> (row % 2 * 4) & 15;
}

void codec_zeros_put(const uint8_t *zeros, uint64_t row, size_t n, uint8_t *words)
{
	size_t i;

	for (i = 0; i < n; i++)
		words[zero_byte(i, row)] |= (uint8_t)(zeros[i] << (row % 2 * 4));
}

/* --- E2M1 --- */

static void decode_e2m1(enum codec c, const uint8_t *codes, const uint8_t *scales, double second,
	size_t cols, double *v)
{
	size_t i;

	for (i = 0; i < cols; i++)
		v[i] = (double)num_e2m1(codes[i / 2] >> (i % 2 * 4) & 15) *
			codec_scale(c, scales, i / codecs[c].cols) * second;
}

static void encode_e2m1(enum codec c, const double *v, const uint8_t *scales, double second,
	size_t cols, uint8_t *codes)
{
	size_t i;
	uint8_t code;

	for (i = 0; i < cols; i++) {
		code = num_e2m1_from(v[i] / codec_scale(c, scales, i / codecs[c].cols) / second);
		codes[i / 2] = (uint8_t)(i % 2 ? codes[i / 2] | code << 4 : code);
	}
}

static void mxfp4_decode(const uint8_t *codes, const uint8_t *scales, double second, size_t cols,
	double *v)
{
	decode_e2m1(CODEC_MXFP4, codes, scales, second, cols, v);
}

static void mxfp4_encode(const double *v, const uint8_t *scales, double second, size_t cols,
	uint8_t *codes)
{
	encode_e2m1(CODEC_MXFP4, v, scales, second, cols, codes);
}

static void nvfp4_decode(const uint8_t *codes, const uint8_t *scales, double second, size_t cols,
	double *v)
{
	decode_e2m1(CODEC_NVFP4, codes, scales, second, cols, v);
}

static void nvfp4_encode(const double *v, const uint8_t *scales, double second, size_t cols,
	uint8_t *codes)
{
	encode_e2m1(CODEC_NVFP4, v, scales, second, cols, codes);
}

/* --- E4M3 --- */

static void decode_e4m3(enum codec c, const uint8_t *codes, const uint8_t *scales, double second,
	size_t cols, double *v)
{
	size_t i;

	for (i = 0; i < cols; i++)
		v[i] = (double)num_e4m3(codes[i]) * codec_scale(c, scales, i / codecs[c].cols) *
			second;
}

/* The quotient is rounded twice, to double and to float, before the four bits of E4M3 are taken. With a
 * scale that is a power of two neither rounds, because such a quotient has the bits of the value. */
static void encode_e4m3(enum codec c, const double *v, const uint8_t *scales, double second,
	size_t cols, uint8_t *codes)
{
	size_t i;

	for (i = 0; i < cols; i++)
		codes[i] = num_e4m3_from((float)(v[i] / codec_scale(c, scales, i / codecs[c].cols) /
			second));
}

static void fp8_decode(const uint8_t *codes, const uint8_t *scales, double second, size_t cols,
	double *v)
{
	decode_e4m3(CODEC_FP8, codes, scales, second, cols, v);
}

static void fp8_encode(const double *v, const uint8_t *scales, double second, size_t cols,
	uint8_t *codes)
{
	encode_e4m3(CODEC_FP8, v, scales, second, cols, codes);
}

static void fp8_32_decode(const uint8_t *codes, const uint8_t *scales, double second, size_t cols,
	double *v)
{
	decode_e4m3(CODEC_FP8_32, codes, scales, second, cols, v);
}

static void fp8_32_encode(const double *v, const uint8_t *scales, double second, size_t cols,
	uint8_t *codes)
{
	encode_e4m3(CODEC_FP8_32, v, scales, second, cols, codes);
}

static void fp8_f32_decode(const uint8_t *codes, const uint8_t *scales, double second, size_t cols,
	double *v)
{
	decode_e4m3(CODEC_FP8_F32, codes, scales, second, cols, v);
}

static void fp8_f32_encode(const double *v, const uint8_t *scales, double second, size_t cols,
	uint8_t *codes)
{
	encode_e4m3(CODEC_FP8_F32, v, scales, second, cols, codes);
}

static void mxfp8_decode(const uint8_t *codes, const uint8_t *scales, double second, size_t cols,
	double *v)
{
	decode_e4m3(CODEC_MXFP8, codes, scales, second, cols, v);
}

static void mxfp8_encode(const double *v, const uint8_t *scales, double second, size_t cols,
	uint8_t *codes)
{
	encode_e4m3(CODEC_MXFP8, v, scales, second, cols, codes);
}

/* --- BF16 and F32: little-endian, no scales --- */

static void bf16_decode(const uint8_t *codes, const uint8_t *scales, double second, size_t cols,
	double *v)
{
	size_t i;

	(void)scales;
	for (i = 0; i < cols; i++)
		v[i] = (double)num_bf16((uint16_t)(codes[2 * i] | codes[2 * i + 1] << 8)) * second;
}

static void bf16_encode(const double *v, const uint8_t *scales, double second, size_t cols,
	uint8_t *codes)
{
	uint16_t h;
	size_t i;

	(void)scales;
	for (i = 0; i < cols; i++) {
		h = num_bf16_from((float)(v[i] / second));
		codes[2 * i] = (uint8_t)h;
		codes[2 * i + 1] = (uint8_t)(h >> 8);
	}
}

static void f32_decode(const uint8_t *codes, const uint8_t *scales, double second, size_t cols,
	double *v)
{
	float f;
	size_t i;

	(void)scales;
	for (i = 0; i < cols; i++) {
		memcpy(&f, codes + 4 * i, sizeof f);
		v[i] = (double)f * second;
	}
}

static void f32_encode(const double *v, const uint8_t *scales, double second, size_t cols,
	uint8_t *codes)
{
	float f;
	size_t i;

	(void)scales;
	for (i = 0; i < cols; i++) {
		f = (float)(v[i] / second);
		memcpy(codes + 4 * i, &f, sizeof f);
	}
}

/* --- whole numbers --- */

/* Returns the nearest whole number from low to high, ties to even; of NaN the least. Numbers of 2^52 to 2^53 are whole ones, so that a sum with one of them
 * is rounded to such; the library, which has no libm, does without rint. */
static int whole(double v, int low, int high)
{
	const double large = 0x1.8p52;

	return !(v > low) ? low : v >= high ? high : (int)(v + large - large);
}

enum { INT4_HALF = 8, INT4_LAST = 15, INT8_HALF = 128 };

/* The code that means zero in block i of a row of cols columns; codec_scale_row() says where it lies. */
static int zero_of(enum codec c, const uint8_t *scales, size_t cols, size_t i)
{
	size_t n = (cols + codecs[c].cols - 1) / codecs[c].cols;

	return codecs[c].zeros ? scales[n * sizeof(uint16_t) + i] & INT4_LAST : INT4_HALF;
}

static void decode_int4(enum codec c, const uint8_t *codes, const uint8_t *scales, double second,
	size_t cols, double *v)
{
	size_t i;

	for (i = 0; i < cols; i++)
		v[i] = (double)((codes[i / 2] >> (i % 2 * 4) & 15) -
			       zero_of(c, scales, cols, i / codecs[c].cols)) *
			codec_scale(c, scales, i / codecs[c].cols) * second;
}

static void encode_int4(enum codec c, const double *v, const uint8_t *scales, double second,
	size_t cols, uint8_t *codes)
{
	uint8_t code;
	size_t i;
	int zero;

	for (i = 0; i < cols; i++) {
		zero = zero_of(c, scales, cols, i / codecs[c].cols);
		code = (uint8_t)(whole(v[i] / codec_scale(c, scales, i / codecs[c].cols) / second,
					 -zero, INT4_LAST - zero) +
			zero);
		codes[i / 2] = (uint8_t)(i % 2 ? codes[i / 2] | code << 4 : code);
	}
}

static void int8_row_decode(const uint8_t *codes, const uint8_t *scales, double second, size_t cols,
	double *v)
{
	double s = codec_scale(CODEC_INT8_ROW, scales, 0) * second;
	size_t i;

	for (i = 0; i < cols; i++)
		v[i] = (double)(int8_t)codes[i] * s;
}

static void int8_row_encode(const double *v, const uint8_t *scales, double second, size_t cols,
	uint8_t *codes)
{
	double s = codec_scale(CODEC_INT8_ROW, scales, 0) * second;
	size_t i;

	for (i = 0; i < cols; i++)
		codes[i] = (uint8_t)whole(v[i] / s, -INT8_HALF, INT8_HALF - 1);
}

/* clang-format off */
#define OF_CODEC(name, codec, kind) \
	static void name##_decode(const uint8_t *codes, const uint8_t *scales, double second, size_t cols, double *v) \
	{ \
		decode_##kind(codec, codes, scales, second, cols, v); \
	} \
	static void name##_encode(const double *v, const uint8_t *scales, double second, size_t cols, uint8_t *codes) \
	{ \
		encode_##kind(codec, v, scales, second, cols, codes); \
	}
OF_CODEC(int4_128, CODEC_INT4_128, int4)
OF_CODEC(int4_32, CODEC_INT4_32, int4)
OF_CODEC(int4_128_asym, CODEC_INT4_128_ASYM, int4)
OF_CODEC(int4_32_asym, CODEC_INT4_32_ASYM, int4)
OF_CODEC(fp8_channel, CODEC_FP8_CHANNEL, e4m3)

const struct codec_ops codec_ops[CODEC_COUNT] = {
	[CODEC_MXFP4]   = { mxfp4_decode,   mxfp4_encode,   "0, 0.5, 1, 1.5, 2, 3, 4 and 6 times the scale" },
	[CODEC_FP8]     = { fp8_decode,     fp8_encode,     "up to 4 significant bits between 2^-9 and 448 times the scale" },
	[CODEC_FP8_32] = { fp8_32_decode, fp8_32_encode, "up to 4 significant bits between 2^-9 and 448 times the scale" },
	[CODEC_FP8_ROW] = { fp8_32_decode, fp8_32_encode, "up to 4 significant bits between 2^-9 and 448 times the scale" },
	[CODEC_FP8_F32] = { fp8_f32_decode, fp8_f32_encode, "up to 4 significant bits between 2^-9 and 448 times the scale, if that is a power of two" },
	[CODEC_BF16]    = { bf16_decode,    bf16_encode,    "up to 8 significant bits between 2^-133 and 2^128" },
	[CODEC_MXFP8]   = { mxfp8_decode,   mxfp8_encode,   "up to 4 significant bits between 2^-9 and 448 times the scale" },
	[CODEC_NVFP4]   = { nvfp4_decode,   nvfp4_encode,   "0, 0.5, 1, 1.5, 2, 3, 4 and 6 times scale and factor" },
	[CODEC_NVFP4_CT] = { nvfp4_decode,  nvfp4_encode,   "0, 0.5, 1, 1.5, 2, 3, 4 and 6 times scale and factor" },
	[CODEC_MXFP8_MLX] = { mxfp8_decode, mxfp8_encode, "up to 4 significant bits between 2^-9 and 448 times the scale" },
	[CODEC_MXFP4_MLX] = { mxfp4_decode, mxfp4_encode, "0, 0.5, 1, 1.5, 2, 3, 4 and 6 times the scale" },
	[CODEC_MXFP4_CT] = { mxfp4_decode,  mxfp4_encode,   "0, 0.5, 1, 1.5, 2, 3, 4 and 6 times the scale" },
	[CODEC_FP8_CT]  = { fp8_f32_decode, fp8_f32_encode, "up to 4 significant bits between 2^-9 and 448 times the scale, if that is a power of two" },
	[CODEC_F32]     = { f32_decode,     f32_encode,     "up to 24 significant bits between 2^-149 and 2^128" },
	[CODEC_INT4_128] = { int4_128_decode, int4_128_encode, "whole numbers from -8 to 7 times the scale" },
	[CODEC_INT4_32] = { int4_32_decode, int4_32_encode, "whole numbers from -8 to 7 times the scale" },
	[CODEC_INT8_ROW] = { int8_row_decode, int8_row_encode, "whole numbers from -128 to 127 times the scale" },
	[CODEC_FP8_CHANNEL] = { fp8_channel_decode, fp8_channel_encode, "up to 4 significant bits between 2^-9 and 448 times the scale, if that is a power of two" },
	[CODEC_INT4_128_ASYM] = { int4_128_asym_decode, int4_128_asym_encode, "sixteen whole numbers in a row, zero among them, times the scale" },
	[CODEC_INT4_32_ASYM] = { int4_32_asym_decode, int4_32_asym_encode, "sixteen whole numbers in a row, zero among them, times the scale" },
};
/* clang-format on */
