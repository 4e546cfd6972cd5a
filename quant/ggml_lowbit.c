/* SPDX-License-Identifier: MIT */
#include "quant/ggml_lowbit.h"

#include "formats/gguf/ggml_type.h"
#include "quant/num.h"

#include <string.h>

/* clang-format off */
#include "quant/ggml_grids.inc"
/* clang-format on */

#define COUNT(a) (sizeof(a) / sizeof *(a))

enum { K = 256 };

static unsigned u16(const uint8_t *p)
{
	return (unsigned)p[0] | (unsigned)p[1] << 8;
}

static uint32_t u32(const uint8_t *p)
{
	return (uint32_t)u16(p) | (uint32_t)u16(p + 2) << 16;
}

static float f16(const uint8_t *p)
{
	return num_f16((uint16_t)u16(p));
}

/* --- 32 values --- */

/* Codes of 4 bits: value i in the low half of byte i, value i + 16 in the high half. */
static unsigned nibble(const uint8_t *q, unsigned i)
{
	return i < 16 ? q[i] & 15u : q[i - 16] >> 4;
}

static void q4_0(const uint8_t *s, float *v)
{
	float d = f16(s);
	unsigned i;

	for (i = 0; i < 32; i++)
		v[i] = (float)((int)nibble(s + 2, i) - 8) * d;
}

static void q4_1(const uint8_t *s, float *v)
{
	float d = f16(s), m = f16(s + 2);
	unsigned i;

	for (i = 0; i < 32; i++)
		v[i] = (float)nibble(s + 4, i) * d + m;
}

static unsigned five_bits(const uint8_t *high, const uint8_t *q, unsigned i)
{
	return nibble(q, i) | (u32(high) >> i & 1) << 4;
}

static void q5_0(const uint8_t *s, float *v)
{
	float d = f16(s);
	unsigned i;

	for (i = 0; i < 32; i++)
		v[i] = (float)((int)five_bits(s + 2, s + 6, i) - 16) * d;
}

static void q5_1(const uint8_t *s, float *v)
{
	float d = f16(s), m = f16(s + 2);
	unsigned i;

	for (i = 0; i < 32; i++)
		v[i] = (float)five_bits(s + 4, s + 8, i) * d + m;
}

/* --- 256 values with scales of few bits --- */

static void q2_k(const uint8_t *s, float *v)
{
	const uint8_t *q = s + 16;
	float d = f16(s + 80), dmin = f16(s + 82), scale, min;
	unsigned i;

	for (i = 0; i < K; i++) {
		scale = d * (float)(s[i / 16] & 15);
		min = dmin * (float)(s[i / 16] >> 4);
		v[i] = scale * (float)(q[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3) - min;
	}
}

/* Scale i of 16, of 6 bits: the low four in nibbles, the upper two behind them. */
static int q3_k_scale(const uint8_t *s, unsigned i)
{
	unsigned low = i < 8 ? s[i] & 15u : s[i - 8] >> 4,
		 high = (unsigned)s[8 + i % 4] >> i / 4 * 2 & 3;

	return (int)(low | high << 4) - 32;
}

static void q3_k(const uint8_t *s, float *v)
{
	const uint8_t *q = s + 32;
	float d = f16(s + 108);
	int code;
	unsigned i;

	for (i = 0; i < K; i++) {
		code = q[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
		code -= s[i % 32] >> i / 32 & 1 ? 0 : 4;
		v[i] = d * (float)q3_k_scale(s + 96, i / 16) * (float)code;
	}
}

/* Scale and min number i of 8, of 6 bits each. */
static void k4_scale(const uint8_t *s, unsigned i, float *scale, float *min)
{
	if (i < 4) {
		*scale = (float)(s[i] & 63);
		*min = (float)(s[i + 4] & 63);
		return;
	}
	*scale = (float)((s[i + 4] & 15) | s[i - 4] >> 6 << 4);
	*min = (float)(s[i + 4] >> 4 | s[i] >> 6 << 4);
}

/* high: a byte of fifth bits for each column of 32, or NULL. */
static void k45(const uint8_t *s, const uint8_t *high, const uint8_t *q, float *v)
{
	float d = f16(s), dmin = f16(s + 2), scale, min;
	unsigned b, i, code;

	for (b = 0; b < 8; b++) {
		k4_scale(s + 4, b, &scale, &min);
		scale *= d;
		min *= dmin;
		for (i = 0; i < 32; i++) {
			code = (unsigned)q[b / 2 * 32 + i] >> b % 2 * 4 & 15;
			if (high)
				code |= (high[i] >> b & 1u) << 4;
			v[b * 32 + i] = scale * (float)code - min;
		}
	}
}

static void q4_k(const uint8_t *s, float *v)
{
	k45(s, NULL, s + 16, v);
}

static void q5_k(const uint8_t *s, float *v)
{
	k45(s, s + 16, s + 48, v);
}

static void q6_k(const uint8_t *s, float *v)
{
	float d = f16(s + 208);
	unsigned i, half, part, k;
	int code;

	for (i = 0; i < K; i++) {
		half = i / 128;
		part = i % 128 / 32;
		k = i % 32;
		code = s[half * 64 + part % 2 * 32 + k] >> part / 2 * 4 & 15;
		code |= (s[128 + half * 32 + k] >> part * 2 & 3) << 4;
		v[i] = d * (float)(int8_t)s[192 + i / 16] * (float)(code - 32);
	}
}

/* --- levels --- */

const int8_t ggml_levels[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69,
	89, 113 }; /* kvalues_iq4nl of ggml */

static void iq4_nl(const uint8_t *s, float *v)
{
	float d = f16(s);
	unsigned i;

	for (i = 0; i < 32; i++)
		v[i] = d * (float)ggml_levels[nibble(s + 2, i)];
}

static void iq4_xs(const uint8_t *s, float *v)
{
	float d = f16(s), scale;
	unsigned b, i, six;

	for (b = 0; b < 8; b++) {
		six = ((unsigned)s[4 + b / 2] >> b % 2 * 4 & 15) | (u16(s + 2) >> 2 * b & 3u) << 4;
		scale = d * (float)((int)six - 32);
		for (i = 0; i < 32; i++)
			v[b * 32 + i] = scale * (float)ggml_levels[nibble(s + 8 + b * 16, i)];
	}
}

/* --- codebooks --- */

static const float iq2_levels[4] = { 8, 25, 43, 0 };
static const float iq3_xxs_levels[8] = { 4, 12, 20, 28, 36, 44, 52, 62 };
static const float iq3_s_levels[8] = { 1, 3, 5, 7, 9, 11, 13, 15 };

/* Seven signs, and an eighth that makes their number even. */
static unsigned even_signs(unsigned seven)
{
	return seven | (unsigned)__builtin_parity(seven) << 7;
}

/* n values of a codebook's entry, of so many bits each, times d, with signs from the lowest bit on. */
static void entry(float *v, unsigned n, unsigned word, unsigned bits, const float *level, float d,
	unsigned signs)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		v[i] = d * level[word >> bits * i & ((1u << bits) - 1)];
		if (signs >> i & 1)
			v[i] = -v[i];
	}
}

static void iq2_xxs(const uint8_t *s, float *v)
{
	const uint8_t *q;
	unsigned b, l;
	uint32_t last;
	float d;

	for (b = 0; b < 8; b++) {
		q = s + 2 + 8 * b;
		last = u32(q + 4);
		d = f16(s) * (0.5f + (float)(last >> 28)) * 0.25f;
		for (l = 0; l < 4; l++)
			entry(v + 32 * b + 8 * l, 8, iq2_xxs_grid[q[l]], 2, iq2_levels, d,
				even_signs(last >> 7 * l & 127));
	}
}

/* The scale of 16 values: a nibble of the byte of 32. */
static float iq2_scale(const uint8_t *d, uint8_t scales, unsigned l)
{
	return f16(d) * (0.5f + (float)(scales >> l / 2 * 4 & 15)) * 0.25f;
}

static void iq2_xs(const uint8_t *s, float *v)
{
	unsigned b, l, word;

	for (b = 0; b < 8; b++) {
		for (l = 0; l < 4; l++) {
			word = u16(s + 2 + 8 * b + 2 * l);
			entry(v + 32 * b + 8 * l, 8, iq2_xs_grid[word & 511], 2, iq2_levels,
				iq2_scale(s, s[66 + b], l), even_signs(word >> 9));
		}
	}
}

static void iq2_s(const uint8_t *s, float *v)
{
	unsigned b, l, at;

	for (b = 0; b < 8; b++) {
		for (l = 0; l < 4; l++) {
			at = s[2 + 4 * b + l] | (unsigned)(s[66 + b] >> 2 * l & 3) << 8;
			entry(v + 32 * b + 8 * l, 8, iq2_s_grid[at], 2, iq2_levels,
				iq2_scale(s, s[74 + b], l), s[34 + 4 * b + l]);
		}
	}
}

static void iq3_xxs(const uint8_t *s, float *v)
{
	const uint8_t *q;
	unsigned b, l, signs;
	uint32_t last;
	float d;

	for (b = 0; b < 8; b++) {
		q = s + 2 + 8 * b;
		last = u32(s + 66 + 4 * b);
		d = f16(s) * (0.5f + (float)(last >> 28)) * 0.5f;
		for (l = 0; l < 8; l++) {
			signs = even_signs(last >> 7 * (l / 2) & 127);
			entry(v + 32 * b + 4 * l, 4, iq3_xxs_grid[q[l]], 3, iq3_xxs_levels, d,
				signs >> l % 2 * 4);
		}
	}
}

static void iq3_s(const uint8_t *s, float *v)
{
	unsigned b, l, at;
	float d;

	for (b = 0; b < 8; b++) {
		d = f16(s) * (float)(1 + 2 * (s[106 + b / 2] >> b % 2 * 4 & 15));
		for (l = 0; l < 8; l++) {
			at = s[2 + 8 * b + l] | (unsigned)(s[66 + b] >> l & 1) << 8;
			entry(v + 32 * b + 4 * l, 4, iq3_s_grid[at], 3, iq3_s_levels, d,
				(unsigned)s[74 + 4 * b + l / 2] >> l % 2 * 4);
		}
	}
}

/* Eight values of -1, 0, 1, shifted by an eighth. */
static void iq1_entry(float *v, unsigned at, float d, bool down)
{
	unsigned i;

	for (i = 0; i < 8; i++)
		v[i] = d *
			((float)((int)(iq1_grid[at] >> 2 * i & 3) - 1) + (down ? -0.125f : 0.125f));
}

static void iq1_s(const uint8_t *s, float *v)
{
	unsigned b, l, high;
	float d;

	for (b = 0; b < 8; b++) {
		high = u16(s + 34 + 2 * b);
		d = f16(s) * (float)(2 * (high >> 12 & 7) + 1);
		for (l = 0; l < 4; l++)
			iq1_entry(v + 32 * b + 8 * l, s[2 + 4 * b + l] | (high >> 3 * l & 7) << 8,
				d, high & 0x8000);
	}
}

static void iq1_m(const uint8_t *s, float *v)
{
	const uint8_t *scales = s + 48;
	uint8_t d16[2];
	unsigned b, l, high, three;

	d16[0] = (uint8_t)(scales[1] >> 4 | (scales[3] & 0xf0));
	d16[1] = (uint8_t)(scales[5] >> 4 | (scales[7] & 0xf0));
	for (b = 0; b < 8; b++) {
		for (l = 0; l < 4; l++) {
			high = (unsigned)s[32 + 2 * b + l / 2] >> l % 2 * 4 & 15;
			three = u16(scales + b / 2 * 2) >> (6 * (b % 2) + 3 * (l / 2)) & 7;
			iq1_entry(v + 32 * b + 8 * l, s[4 * b + l] | (high & 7) << 8,
				f16(d16) * (float)(2 * three + 1), high & 8);
		}
	}
}

/* --- few values --- */

/* Digit n of five of base 3 in a byte, which is the fraction of 256 that they are of 243. */
static float digit(uint8_t q, unsigned n)
{
	static const uint8_t powers[] = { 1, 3, 9, 27, 81 };

	return (float)((int)((unsigned)(uint8_t)(q * powers[n]) * 3 >> 8) - 1);
}

static void tq1_0(const uint8_t *s, float *v)
{
	float d = f16(s + 52);
	unsigned i;

	for (i = 0; i < 160; i++)
		v[i] = digit(s[i % 32], i / 32) * d;
	for (i = 0; i < 80; i++)
		v[160 + i] = digit(s[32 + i % 16], i / 16) * d;
	for (i = 0; i < 16; i++)
		v[240 + i] = digit(s[48 + i % 4], i / 4) * d;
}

static void tq2_0(const uint8_t *s, float *v)
{
	float d = f16(s + 64);
	unsigned i;

	for (i = 0; i < K; i++)
		v[i] = (float)((s[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3) - 1) * d;
}

static void nvfp4(const uint8_t *s, float *v)
{
	unsigned b, i;
	float d;

	for (b = 0; b < 4; b++) {
		d = num_e4m3(s[b] & 0x7f);
		for (i = 0; i < 8; i++) {
			v[16 * b + i] = d * num_e2m1(s[4 + 8 * b + i] & 15);
			v[16 * b + 8 + i] = d * num_e2m1(s[4 + 8 * b + i] >> 4);
		}
	}
}

static void q1_0(const uint8_t *s, float *v)
{
	float d = f16(s);
	unsigned i;

	for (i = 0; i < 128; i++)
		v[i] = s[2 + i / 8] >> i % 8 & 1 ? d : -d;
}

static void q2_0(const uint8_t *s, float *v)
{
	float d = f16(s);
	unsigned i;

	for (i = 0; i < 64; i++)
		v[i] = (float)((s[2 + i / 4] >> i % 4 * 2 & 3) - 1) * d;
}

/* --- the table --- */

static const struct ggml_lowbit rows[] = {
	{ 2, q4_0 },
	{ 3, q4_1 },
	{ 6, q5_0 },
	{ 7, q5_1 },
	{ 10, q2_k },
	{ 11, q3_k },
	{ 12, q4_k },
	{ 13, q5_k },
	{ 14, q6_k },
	{ 16, iq2_xxs },
	{ 17, iq2_xs },
	{ 18, iq3_xxs },
	{ 19, iq1_s },
	{ 20, iq4_nl },
	{ 21, iq3_s },
	{ 22, iq2_s },
	{ 23, iq4_xs },
	{ 29, iq1_m },
	{ 34, tq1_0 },
	{ 35, tq2_0 },
	{ 40, nvfp4 },
	{ 41, q1_0 },
	{ 42, q2_0 },
};

const struct ggml_lowbit *ggml_lowbit_find(uint32_t type)
{
	size_t i;

	for (i = 0; i < COUNT(rows); i++)
		if (rows[i].type == type)
			return &rows[i];
	return NULL;
}

const struct ggml_grid *ggml_lowbit_grid(uint32_t type)
{
	static const struct ggml_grid iq2 = { iq2_xxs_grid, COUNT(iq2_xxs_grid), 8, 2, iq2_levels,
		0.25f };
	static const struct ggml_grid iq3 = { iq3_xxs_grid, COUNT(iq3_xxs_grid), 4, 3,
		iq3_xxs_levels, 0.5f };

	return type == GGML_IQ2_XXS ? &iq2 : type == GGML_IQ3_XXS ? &iq3 : NULL;
}
