/* SPDX-License-Identifier: MIT */
#include "verify/atlas/range.h"

#include "formats/gguf/ggml_type.h"
#include "quant/ggml_lowbit.h"
#include "quant/num.h"

#include <math.h>
#include <string.h>

/* Types of ggml whose blocks have codes in whole bytes that are nothing else: which bytes, and two values of them that
 * make every code the lowest and the highest. The blocks are drawn in quant/ggml_lowbit.h. */
static const struct span {
	uint32_t type;
	uint16_t from, to; /* bytes of a block */
	uint8_t low, high;
	double steps; /* outermost steps between the lowest and the highest */
} spans[] = {
	/* clang-format off */
	{ GGML_Q8_0,         2,  34, 0x80, 0x7f, 255 },
	{ GGML_MXFP4,        1,  17, 0xff, 0x77, 6 },
	{  2 /* Q4_0 */,     2,  18, 0x00, 0xff, 15 },
	{  3 /* Q4_1 */,     4,  20, 0x00, 0xff, 15 },
	{  6 /* Q5_0 */,     2,  22, 0x00, 0xff, 31 },
	{  7 /* Q5_1 */,     4,  24, 0x00, 0xff, 31 },
	{ GGML_Q2_K,        16,  80, 0x00, 0xff, 3 },
	{ GGML_Q3_K,         0,  96, 0x00, 0xff, 7 },
	{ GGML_Q4_K,        16, 144, 0x00, 0xff, 15 },
	{ GGML_Q5_K,        16, 176, 0x00, 0xff, 31 },
	{ GGML_Q6_K,         0, 192, 0x00, 0xff, 63 },
	{ GGML_IQ4_NL,       2,  18, 0x00, 0xff, 10 },
	{ 23 /* IQ4_XS */,   8, 136, 0x00, 0xff, 10 },
	{ GGML_NVFP4,        4,  36, 0xff, 0x77, 6 },
	/* clang-format on */
};

static const struct span *span_of(uint32_t type)
{
	size_t i;

	for (i = 0; i < sizeof spans / sizeof *spans; i++)
		if (spans[i].type == type)
			return &spans[i];
	return NULL;
}

/* Of number formats of formats/codec.h: two bytes that make every code of a byte the lowest and the highest. E2M1 reaches
 * from -6 (code 15) to 6 (code 7), the outermost step being 2; E4M3 from -448 (0xfe) to 448 (0x7e), with 32; whole numbers
 * from -8 (code 0) to 7 (code 15) and from -128 to 127, with 1. Formats without steps have no row. */
static const struct ends {
	uint8_t low, high;
	double steps; /* outermost steps between the lowest and the highest */
} ends[CODEC_COUNT] = {
	/* clang-format off */
	[CODEC_MXFP4]       = { 0xff, 0x77, 6 },
	[CODEC_MXFP4_CT]    = { 0xff, 0x77, 6 },
	[CODEC_NVFP4]       = { 0xff, 0x77, 6 },
	[CODEC_NVFP4_CT]    = { 0xff, 0x77, 6 },
	[CODEC_FP8]         = { 0xfe, 0x7e, 28 },
	[CODEC_FP8_F32]     = { 0xfe, 0x7e, 28 },
	[CODEC_FP8_CT]      = { 0xfe, 0x7e, 28 },
	[CODEC_FP8_32]      = { 0xfe, 0x7e, 28 },
	[CODEC_FP8_ROW]     = { 0xfe, 0x7e, 28 },
	[CODEC_FP8_CHANNEL] = { 0xfe, 0x7e, 28 },
	[CODEC_MXFP8]       = { 0xfe, 0x7e, 28 },
	[CODEC_MXFP8_MLX]   = { 0xfe, 0x7e, 28 },
	[CODEC_MXFP4_MLX]   = { 0xff, 0x77, 6 },
	[CODEC_INT4_128]    = { 0x00, 0xff, 15 },
	[CODEC_INT4_32]     = { 0x00, 0xff, 15 },
	[CODEC_INT4_128_ASYM] = { 0x00, 0xff, 15 },
	[CODEC_INT4_32_ASYM] = { 0x00, 0xff, 15 },
	[CODEC_INT8_ROW]    = { 0x80, 0x7f, 255 },
	/* clang-format on */
};

enum range_how range_how(const struct lie *l)
{
	if (l->codec == CODEC_BF16 || l->codec == CODEC_F32)
		return RANGE_NONE;
	if (l->table.levels) /* how far from one level to the next is no number of the format */
		return RANGE_UNKNOWN;
	if (l->codec != CODEC_NONE)
		return ends[l->codec].steps > 0 ? RANGE_CODES : RANGE_UNKNOWN;
	if (l->ggml == GGML_F32 || l->ggml == GGML_F16 || l->ggml == GGML_BF16)
		return RANGE_NONE; /* what is too large for F16 is written by nobody: it would be infinite */
	return span_of(l->ggml)             ? RANGE_CODES
		: ggml_lowbit_grid(l->ggml) ? RANGE_GRID
					    : RANGE_UNKNOWN;
}

/* --- codebooks --- */

static uint32_t u32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

/* The two largest levels. */
static void top_two(const struct ggml_grid *g, float *most, float *next)
{
	unsigned i;

	*most = *next = 0;
	for (i = 0; i < 1u << g->bits; i++) {
		if (g->level[i] > *most) {
			*next = *most;
			*most = g->level[i];
		} else if (g->level[i] > *next && g->level[i] < *most) {
			*next = g->level[i];
		}
	}
}

/* IQ2_XXS has for 32 values four entries and a word, IQ3_XXS has 64 entries and then eight words; the highest four bits of
 * a word are the scale. */
static void grid_row(const struct lie *l, const uint8_t *codes, double *lo, double *hi)
{
	const struct ggml_grid *g = ggml_lowbit_grid(l->ggml);
	const struct ggml_type_row *r = ggml_type_find(l->ggml);
	bool two = l->ggml == GGML_IQ2_XXS;
	const uint8_t *block;
	float most, next, d;
	uint64_t c, b;
	unsigned i;
	uint16_t h;

	top_two(g, &most, &next);
	for (c = 0; c < l->cols; c += 32) {
		block = codes + c / r->items * r->bytes;
		b = c % r->items / 32;
		memcpy(&h, block, sizeof h);
		d = num_f16(h) *
			(0.5f + (float)(u32(block + (two ? 6 + 8 * b : 66 + 4 * b)) >> 28)) *
			g->unit;
		for (i = 0; i < 32; i++) {
			hi[c + i] = fabs((double)d * ((double)most + (double)(most - next) / 2));
			lo[c + i] = -hi[c + i];
		}
	}
}

/* --- codes at either end --- */

static void fill(const struct lie *l, const struct span *s, bool high, uint8_t *room)
{
	const struct ggml_type_row *r;
	uint64_t at;

	if (!s) {
		memset(room, high ? ends[l->codec].high : ends[l->codec].low, (size_t)l->row_bytes);
		return;
	}
	r = ggml_type_find(s->type);
	for (at = 0; at + r->bytes <= l->row_bytes; at += r->bytes)
		memset(room + at + s->from, high ? s->high : s->low, (size_t)(s->to - s->from));
}

void range_row(const struct lie *l, const uint8_t *buf, uint64_t row, uint64_t n, uint64_t i,
	uint8_t *room, double *lo, double *hi)
{
	const uint8_t *codes = buf + i * l->stride;
	const struct span *s = l->codec == CODEC_NONE ? span_of(l->ggml) : NULL;
	double steps = s ? s->steps : ends[l->codec].steps, least, most, half;
	uint64_t c;

	if (l->codec == CODEC_NONE && !s) {
		grid_row(l, codes, lo, hi);
		return;
	}
	memcpy(room, codes, (size_t)l->row_bytes);
	fill(l, s, false, room);
	lie_decode(l, room, buf, row, n, i, lo);
	fill(l, s, true, room);
	lie_decode(l, room, buf, row, n, i, hi);
	for (c = 0; c < l->cols; c++) { /* a scale may be negative */
		least = fmin(lo[c], hi[c]);
		most = fmax(lo[c], hi[c]);
		half = (most - least) / (2 * steps);
		lo[c] = least - half;
		hi[c] = most + half;
	}
}
