/* SPDX-License-Identifier: MIT */
#include "quant/lowbit.h"

#include "formats/gguf/ggml_type.h"
#include "quant/ggml_back.h"
#include "quant/lowbit_way.h"
#include "quant/num.h"

#include <math.h>
#include <string.h>

enum { K = LOWBIT_BLOCK };

/* --- bytes of a block --- */

static void put_u16(uint8_t *dst, uint16_t v)
{
	dst[0] = (uint8_t)v;
	dst[1] = (uint8_t)(v >> 8);
}

/* d, dmin, and eight scales and minimums of 6 bits: the first four whole, the others with their upper bits beside those. */
static void pack_k4_scales(const struct lowbit_chunk *c, unsigned which, uint8_t *dst)
{
	const int16_t *s = c->scale + 8 * which, *m = c->min + 8 * which;
	unsigned j;

	put_u16(dst, c->d[which]);
	put_u16(dst + 2, c->dmin[which]);
	dst += 4;
	for (j = 0; j < 4; j++) {
		dst[j] = (uint8_t)(s[j] | s[j + 4] >> 4 << 6);
		dst[j + 4] = (uint8_t)(m[j] | m[j + 4] >> 4 << 6);
		dst[j + 8] = (uint8_t)((s[j + 4] & 15) | (m[j + 4] & 15) << 4);
	}
}

static void pack_q4_k(const struct lowbit_chunk *c, unsigned which, uint8_t *dst)
{
	const uint8_t *q = c->q + K * which;
	unsigned b, i;

	pack_k4_scales(c, which, dst);
	for (b = 0; b < 4; b++)
		for (i = 0; i < 32; i++)
			dst[16 + 32 * b + i] = (uint8_t)(q[64 * b + i] | q[64 * b + 32 + i] << 4);
}

static void pack_q5_k(const struct lowbit_chunk *c, unsigned which, uint8_t *dst)
{
	const uint8_t *q = c->q + K * which;
	unsigned b, i;

	pack_k4_scales(c, which, dst);
	memset(dst + 16, 0, 32);
	for (b = 0; b < 8; b++)
		for (i = 0; i < 32; i++)
			dst[16 + i] |= (uint8_t)(q[32 * b + i] >> 4 << b);
	for (b = 0; b < 4; b++)
		for (i = 0; i < 32; i++)
			dst[48 + 32 * b + i] =
				(uint8_t)((q[64 * b + i] & 15) | q[64 * b + 32 + i] << 4);
}

/* Two bits of each code, 64 bytes: of 128 values, i, i + 32, i + 64 and i + 96 in byte i. */
static void pack_two_bits(const uint8_t *q, uint8_t *dst)
{
	uint8_t to[32]; /* which does not overlap: it is made by vectors */
	unsigned half, i;

	for (half = 0; half < 2; half++, q += 128, dst += 32) {
		for (i = 0; i < 32; i++)
			to[i] = (uint8_t)((q[i] & 3) | (q[i + 32] & 3) << 2 | (q[i + 64] & 3) << 4 |
				(q[i + 96] & 3) << 6);
		memcpy(dst, to, sizeof to);
	}
}

static void pack_q2_k(const struct lowbit_chunk *c, unsigned which, uint8_t *dst)
{
	unsigned j;

	for (j = 0; j < 16; j++)
		dst[j] = (uint8_t)(c->scale[16 * which + j] | c->min[16 * which + j] << 4);
	pack_two_bits(c->q + K * which, dst + 16);
	put_u16(dst + 80, c->d[which]);
	put_u16(dst + 82, c->dmin[which]);
}

/* Codes from 0 to 7, scales and 32 from 0 to 63. */
static void pack_q3_k(const struct lowbit_chunk *c, unsigned which, uint8_t *dst)
{
	const uint8_t *q = c->q + K * which;
	uint8_t to[32];
	unsigned i, s;

	for (i = 0; i < 32; i++)
		to[i] = (uint8_t)(q[i] >> 2 | q[i + 32] >> 2 << 1 | q[i + 64] >> 2 << 2 |
			q[i + 96] >> 2 << 3 | q[i + 128] >> 2 << 4 | q[i + 160] >> 2 << 5 |
			q[i + 192] >> 2 << 6 | q[i + 224] >> 2 << 7);
	memcpy(dst, to, sizeof to);
	pack_two_bits(q, dst + 32);
	memset(dst + 96, 0, 12);
	for (i = 0; i < 16; i++) {
		s = (unsigned)(c->scale[16 * which + i] + 32);
		dst[96 + i % 8] |= (uint8_t)((s & 15) << i / 8 * 4);
		dst[104 + i % 4] |= (uint8_t)(s >> 4 << i / 4 * 2);
	}
	put_u16(dst + 108, c->d[which]);
}

/* Codes from 0 to 63. */
static void pack_q6_k(const struct lowbit_chunk *c, unsigned which, uint8_t *dst)
{
	const uint8_t *q = c->q + K * which;
	unsigned half, i;

	for (half = 0; half < 2; half++, q += 128) {
		for (i = 0; i < 64; i++)
			dst[half * 64 + i] = (uint8_t)((q[i] & 15) | q[i + 64] << 4);
		for (i = 0; i < 32; i++)
			dst[128 + half * 32 + i] = (uint8_t)(q[i] >> 4 | q[i + 32] >> 4 << 2 |
				q[i + 64] >> 4 << 4 | q[i + 96] >> 4 << 6);
	}
	for (i = 0; i < 16; i++)
		dst[192 + i] = (uint8_t)c->scale[16 * which + i];
	put_u16(dst + 208, c->d[which]);
}

static void pack_iq4_nl(const struct lowbit_chunk *c, unsigned which, uint8_t *dst)
{
	const uint8_t *q = c->q + 32 * which;
	unsigned i;

	put_u16(dst, c->d[which]);
	for (i = 0; i < 16; i++)
		dst[2 + i] = (uint8_t)(q[i] | q[i + 16] << 4);
}

/* Four times seven signs and a scale of four bits. */
static void put_signs(const struct lowbit_chunk *c, unsigned sub, uint8_t *dst)
{
	uint32_t word = (uint32_t)c->scale[sub] << 28;
	unsigned i;

	for (i = 0; i < 4; i++)
		word |= (uint32_t)(c->signs[4 * sub + i] & 127) << 7 * i;
	put_u16(dst, (uint16_t)word);
	put_u16(dst + 2, (uint16_t)(word >> 16));
}

static void pack_iq2_xxs(const struct lowbit_chunk *c, unsigned which, uint8_t *dst)
{
	unsigned b;

	put_u16(dst, c->d[which]);
	for (b = 0; b < 8; b++) {
		memcpy(dst + 2 + 8 * b, c->q + 32 * which + 4 * b, 4);
		put_signs(c, 8 * which + b, dst + 6 + 8 * b);
	}
}

static void pack_iq3_xxs(const struct lowbit_chunk *c, unsigned which, uint8_t *dst)
{
	unsigned b;

	put_u16(dst, c->d[which]);
	memcpy(dst + 2, c->q + 64 * which, 64);
	for (b = 0; b < 8; b++)
		put_signs(c, 8 * which + b, dst + 66 + 4 * b);
}

/* --- the table --- */

/* The largest magnitude is what d and scales of the type can hold, with room for the search to go beyond it. */
const struct lowbit lowbits[] = {
	{ GGML_F16, 1, 65504, LOWBIT_NONE, 0, LOWBIT_ONE, NULL },
	{ GGML_Q8_0, 32, 65504.0f * 127, LOWBIT_NONE, 0, LOWBIT_ONE, NULL },
	{ GGML_Q2_K, K, 65504.0f * 15, LOWBIT_Q2_K, 1, LOWBIT_MAGNITUDE, pack_q2_k },
	{ GGML_Q3_K, K, 65504.0f * 32, LOWBIT_Q3_K, 2, LOWBIT_SQUARE, pack_q3_k },
	{ GGML_Q4_K, K, 65504.0f * 63 * 7, LOWBIT_Q4_K, 2, LOWBIT_RMS, pack_q4_k },
	{ GGML_Q5_K, K, 65504.0f * 63 * 15, LOWBIT_Q5_K, 2, LOWBIT_RMS, pack_q5_k },
	{ GGML_Q6_K, K, 65504.0f * 128 * 15, LOWBIT_Q6_K, 0, LOWBIT_SQUARE, pack_q6_k },
	{ GGML_IQ2_XXS, K, 65504.0f * 43, LOWBIT_IQ2_XXS, 1, LOWBIT_ONE, pack_iq2_xxs },
	{ GGML_IQ3_XXS, K, 65504.0f * 62, LOWBIT_IQ3_XXS, 2, LOWBIT_ONE, pack_iq3_xxs },
	{ GGML_IQ4_NL, 32, 65504.0f * 64, LOWBIT_IQ4_NL, 2, LOWBIT_SQUARE, pack_iq4_nl },
	{ .items = 0 },
};

const struct lowbit *lowbit_find(uint32_t type)
{
	const struct lowbit *t;

	for (t = lowbits; t->items; t++)
		if (t->type == type)
			return t;
	return NULL;
}

static const struct lowbit_way *const ways[] = { &lowbit_avx512, &lowbit_avx2, &lowbit_plain };

const struct lowbit_way *lowbit_way(unsigned i)
{
	return i < sizeof ways / sizeof *ways ? ways[i] : NULL;
}

const struct lowbit_way *lowbit_best(unsigned features)
{
	unsigned i = 0;

	while ((ways[i]->need & features) != ways[i]->need)
		i++;
	return ways[i];
}

const char *lowbit_way_name(const struct lowbit_way *w)
{
	return w->name;
}

unsigned lowbit_way_need(const struct lowbit_way *w)
{
	return w->need;
}

size_t lowbit_bad_weight(const float *weights, size_t cols)
{
	size_t i;

	for (i = 0; i < cols; i++)
		if (!(weights[i] >= 0 && isfinite(weights[i])))
			return i;
	return cols;
}

/* The first value that is NaN or beyond most; there is one. */
static size_t first_beyond(const float *x, float most)
{
	size_t i = 0;

	while (fabsf(x[i]) <= most)
		i++;
	return i;
}

/* Fills a chunk with n values from x on; the blocks behind them are zeros. */
static void fill_chunk(const struct lowbit *t, const struct lowbit_way *way, enum lowbit_aim aim,
	struct lowbit_chunk *c, const float *x, size_t n, const float *weights)
{
	enum lowbit_weighing how = LOWBIT_ONE;
	size_t b;

	if (aim == LOWBIT_GGML && (weights || t->alone == LOWBIT_ONE))
		how = t->sigma > 0 ? LOWBIT_SIGMA : LOWBIT_ONE;
	else if (aim == LOWBIT_GGML)
		how = (enum lowbit_weighing)t->alone;
	c->weighted = weights != NULL;
	c->as_ggml = aim == LOWBIT_GGML && !weights;
	memcpy(c->x, x, n * sizeof *x);
	memset(c->x + n, 0, (LOWBIT_CHUNK - n) * sizeof *x);
	if (weights)
		memcpy(c->w, weights, n * sizeof *weights);
	memset(c->w + (weights ? n : 0), 0, (LOWBIT_CHUNK - (weights ? n : 0)) * sizeof *x);
	for (b = 0; b < LOWBIT_CHUNK; b += t->items)
		way->weigh(how, t->sigma, c->x + b, t->items, c->w + b);
}

/* The sum of weight (x - y)^2 of one block as it was written. */
static double error_of(const struct lowbit *t, unsigned features, const uint8_t *src,
	const float *x, const float *weights)
{
	double v[LOWBIT_BLOCK], sum = 0, e;
	unsigned i;

	(void)ggml_values(t->type, src, t->items, features, v);
	for (i = 0; i < t->items; i++) {
		e = (double)x[i] - v[i];
		sum += (weights ? (double)weights[i] : 1) * e * e;
	}
	return sum;
}

static void search(const struct lowbit *t, const struct lowbit_way *w, enum lowbit_aim aim,
	const float *x, size_t cols, const float *weights, uint8_t *dst)
{
	struct lowbit_chunk c;
	size_t at, n, bytes = ggml_type_find(t->type)->bytes;
	unsigned b;

	for (at = 0; at < cols; at += n) {
		n = cols - at < LOWBIT_CHUNK ? cols - at : LOWBIT_CHUNK;
		fill_chunk(t, w, aim, &c, x + at, n, weights ? weights + at : NULL);
		w->search[t->step](&c);
		for (b = 0; b < n / t->items; b++, dst += bytes)
			t->pack(&c, b, dst);
	}
}

size_t lowbit_row(const struct lowbit *t, const struct lowbit_way *w, enum lowbit_aim aim,
	const float *x, size_t cols, const float *weights, uint8_t *dst, double *error)
{
	size_t i, bytes = ggml_type_find(t->type)->bytes;

	if (w->beyond(x, cols, t->most))
		return first_beyond(x, t->most);
	if (t->type == GGML_F16)
		for (i = 0; i < cols; i++)
			put_u16(dst + 2 * i, num_f16_from(x[i]));
	else if (t->type == GGML_Q8_0)
		w->q8_0(x, cols / 32, dst);
	else
		search(t, w, aim, x, cols, weights, dst);
	for (i = 0; error && i < cols; i += t->items)
		*error += error_of(t, w->need, dst + i / t->items * bytes, x + i,
			weights ? weights + i : NULL);
	return cols;
}
