/* SPDX-License-Identifier: MIT */
#include "quant/recode.h"

#include "core/mem.h"
#include "quant/fp4to8.h"
#include "quant/fp8to16.h"
#include "quant/num.h"

#include <math.h>

enum { FP8_BLOCK = 128 }; /* columns, as in formats/codec.c; a test holds them equal */

/* The scales of one row of the band, in a format that has some; else NULL. */
static const uint8_t *scales_of(enum codec c, const uint8_t *scales, uint32_t row, size_t cols)
{
	uint64_t dim[2];

	if (codecs[c].scale == DT_COUNT)
		return NULL;
	codec_scale_dim(c, 1, cols, dim);
	return scales + row / codecs[c].rows * dim[1] * (dtypes[codecs[c].scale].bits / 8);
}

const uint8_t *recoder_scales(const struct recoder *r, uint32_t row)
{
	return scales_of(r->how->from, r->scales, row, r->cols);
}

/* New scales in F32 of their exponents, n of them; nothing is to do where they are E8M0. */
static void widen(struct recoder *r, size_t n)
{
	float f;
	size_t i;

	if (codecs[r->how->to].scale != DT_F32)
		return;
	for (i = 0; i < n; i++) {
		f = num_e8m0(r->exponents[i]);
		memcpy(r->to_scales + i * sizeof f, &f, sizeof f);
	}
}

/* --- MXFP4 to FP8: see fp4to8.h --- */

struct fp4_fp8 {
	struct fp4to8_table table;
	const struct fp4to8_impl *impl;
	enum fp4to8_block block;
};

static size_t fp4_fp8_room(size_t cols)
{
	(void)cols;
	return sizeof(struct fp4_fp8);
}

static void fp4_fp8_begin(struct recoder *r)
{
	struct fp4_fp8 *x = r->tables;

	x->impl = fp4to8_best(r->features);
	x->block = fp4to8_of(r->how->cols);
	fp4to8_table_make(&x->table);
}

static long fp4_fp8_band(struct recoder *r, const uint8_t *scales)
{
	const struct fp4_fp8 *x = r->tables;
	long nan = fp4to8_band(scales, r->cols, x->block, r->exponents, r->verdict);

	if (nan < 0)
		widen(r, r->cols / r->how->cols);
	return nan;
}

static size_t fp4_fp8_row(struct recoder *r, uint32_t row, const uint8_t *src, uint8_t *dst)
{
	const struct fp4_fp8 *x = r->tables;
	const uint8_t *s = recoder_scales(r, row);
	size_t b;

	x->impl->row(&x->table, dst, src, s, r->exponents, r->cols, x->block);
	for (b = 0; b < r->cols / r->how->cols; b++)
		if (r->verdict[b] == RECODE_DEPENDS &&
			fp4to8_row_loses(&x->table, src, s, r->exponents, x->block, b))
			r->verdict[b] |= RECODE_LOST;
	return r->cols; /* E2M1 has no NaN */
}

static const char *fp4_fp8_way(unsigned features)
{
	return fp4to8_best(features)->name;
}

/* --- FP8 to BF16: see fp8to16.h; a table for each block of the band --- */

static size_t fp8_bf16_room(size_t cols)
{
	return cols / FP8_BLOCK * sizeof(struct fp8to16_table);
}

static long fp8_bf16_band(struct recoder *r, const uint8_t *scales)
{
	struct fp8to16_table *luts = r->tables;
	size_t b;
	double s;

	for (b = 0; b < r->cols / FP8_BLOCK; b++) {
		s = codec_scale(r->how->from, scales, b);
		if (!isfinite(s))
			return (long)b;
		fp8to16_table_make(&luts[b], (float)s, row_best(r->features));
		r->verdict[b] = luts[b].any_lossy ? RECODE_DEPENDS : RECODE_EXACT;
	}
	return -1;
}

static size_t fp8_bf16_row(struct recoder *r, uint32_t row, const uint8_t *src, uint8_t *dst)
{
	const struct fp8to16_table *luts = r->tables;
	size_t b, at, nan = r->cols;
	uint32_t bad;

	(void)row;
	for (b = 0; b < r->cols / FP8_BLOCK; b++) {
		at = b * FP8_BLOCK;
		bad = fp8to16_run(&luts[b], dst + 2 * at, src + at, FP8_BLOCK);
		if (bad < FP8_BLOCK && nan == r->cols)
			nan = at + bad;
		if (r->verdict[b] != RECODE_EXACT &&
			fp8to16_loses(&luts[b], src + at, FP8_BLOCK) < FP8_BLOCK)
			r->verdict[b] |= RECODE_LOST;
	}
	return nan;
}

/* --- FP8: E8M0 scales as the F32 numbers that they mean; codes stay --- */

static size_t fp8_f32_room(size_t cols)
{
	(void)cols;
	return 0;
}

static long fp8_f32_band(struct recoder *r, const uint8_t *scales)
{
	size_t n = mem_ceil_div(r->cols, FP8_BLOCK);
	const uint8_t *nan = memchr(scales, NUM_E8M0_NAN, n);

	memcpy(r->exponents, scales, n);
	memset(r->verdict, RECODE_EXACT, n);
	widen(r, n);
	return nan ? (long)(nan - scales) : -1;
}

static size_t fp8_f32_row(struct recoder *r, uint32_t row, const uint8_t *src, uint8_t *dst)
{
	(void)row;
	memcpy(dst, src, r->cols);
	return row_best(r->features)->nan(src, r->cols);
}

/* clang-format off */
const struct recode recodes[] = {
	/* from, to, band rows, block columns */
	{ CODEC_MXFP4, CODEC_FP8, FP8_BLOCK, FP8_BLOCK, fp4_fp8_room, fp4_fp8_begin, fp4_fp8_band, fp4_fp8_row, fp4_fp8_way,
		"the scales of a block lie at most 2^14 apart, or no small code is met",
		"the scale of each 32 columns, and which zeros were minus zero (quant/uncast.h keeps both)", true },
	{ CODEC_MXFP4, CODEC_FP8_F32, FP8_BLOCK, FP8_BLOCK, fp4_fp8_room, fp4_fp8_begin, fp4_fp8_band, fp4_fp8_row, fp4_fp8_way,
		"the scales of a block lie at most 2^14 apart, or no small code is met",
		"the scale of each 32 columns, and which zeros were minus zero (quant/uncast.h keeps both)", true },
	{ CODEC_MXFP4, CODEC_FP8_32, FP4TO8_GROUP, FP4TO8_GROUP, fp4_fp8_room, fp4_fp8_begin, fp4_fp8_band, fp4_fp8_row, fp4_fp8_way,
		"the scales of a block lie at most 2^14 apart, or no small code is met",
		"the scale of each 32 columns, and which zeros were minus zero (quant/uncast.h keeps both)", true },
	{ CODEC_FP8, CODEC_FP8_F32, 128, FP8_BLOCK, fp8_f32_room, NULL, fp8_f32_band, fp8_f32_row, NULL,
		"always", NULL, false },
	{ CODEC_FP8, CODEC_BF16, 128, FP8_BLOCK, fp8_bf16_room, NULL, fp8_bf16_band, fp8_bf16_row, NULL,
		"no product with the scale leaves the exponents of BF16",
		"the scales", false },
	{ CODEC_FP8_F32, CODEC_BF16, 128, FP8_BLOCK, fp8_bf16_room, NULL, fp8_bf16_band, fp8_bf16_row, NULL,
		"the scale is a power of two and no product with it leaves the exponents of BF16",
		"the scales", false },
	{ .from = CODEC_NONE },
};
/* clang-format on */

const struct recode *recode_find(enum codec from, enum codec to)
{
	const struct recode *r;

	for (r = recodes; r->from != CODEC_NONE; r++)
		if (r->from == from && r->to == to)
			return r;
	return NULL;
}

/* --- recoders --- */

/* Room is cut into tables, new scales (as wide as the widest of a block: 4 bytes, for each row of the band
 * at most), verdicts. */
static size_t scales_room(const struct recode *how, size_t cols)
{
	uint64_t dim[2];

	if (codecs[how->to].scale == DT_COUNT)
		return 0;
	codec_scale_dim(how->to, how->rows, cols, dim);
	return (size_t)(dim[0] * dim[1] * dtypes[codecs[how->to].scale].bits / 8);
}

size_t recode_room(const struct recode *how, size_t cols)
{
	return how->room(cols) + scales_room(how, cols) + 2 * mem_ceil_div(cols, how->cols);
}

void recoder_begin(struct recoder *r, const struct recode *how, size_t cols, void *room,
	unsigned features)
{
	*r = (struct recoder){ .how = how, .features = features, .tables = room };
	recoder_resize(r, cols);
	if (how->begin)
		how->begin(r);
}

void recoder_resize(struct recoder *r, size_t cols)
{
	r->cols = cols;
	r->to_scales = (uint8_t *)r->tables + r->how->room(cols);
	r->verdict = r->to_scales + scales_room(r->how, cols);
	r->exponents = codecs[r->how->to].scale == DT_F8_E8M0
		? r->to_scales
		: r->verdict + mem_ceil_div(cols, r->how->cols);
}

long recoder_band(struct recoder *r, const uint8_t *scales)
{
	r->scales = scales;
	return r->how->band(r, scales);
}

size_t recoder_row(struct recoder *r, uint32_t row, const uint8_t *src, uint8_t *dst)
{
	return r->how->row(r, row, src, dst);
}

/* --- the meaning --- */

size_t recoder_changed(const struct recoder *r, uint32_t row, const uint8_t *src,
	const uint8_t *dst, double *v)
{
	enum codec from = r->how->from, to = r->how->to;
	double *was = v, *is = v + r->cols;
	size_t i;

	codec_ops[from].decode(src, scales_of(from, r->scales, row, r->cols), 1, r->cols, was);
	codec_ops[to].decode(dst, scales_of(to, r->to_scales, row, r->cols), 1, r->cols, is);
	for (i = 0; i < r->cols; i++)
		if (was[i] != is[i] && !isnan(was[i]))
			return i;
	return r->cols;
}

size_t recoder_row_plain(struct recoder *r, uint32_t row, const uint8_t *src, uint8_t *dst,
	double *v)
{
	enum codec from = r->how->from, to = r->how->to;
	size_t i, nan = r->cols, b;
	double *is = v + r->cols;

	codec_ops[from].decode(src, scales_of(from, r->scales, row, r->cols), 1, r->cols, v);
	for (i = r->cols; i > 0; i--) {
		nan = isnan(v[i - 1]) ? i - 1 : nan;
		if (r->how->zero && v[i - 1] == 0)
			v[i - 1] = 0; /* without the sign */
	}
	codec_ops[to].encode(v, scales_of(to, r->to_scales, row, r->cols), 1, r->cols, dst);
	codec_ops[to].decode(dst, scales_of(to, r->to_scales, row, r->cols), 1, r->cols, is);
	for (i = 0; i < r->cols; i++) {
		b = i / r->how->cols;
		if (v[i] != is[i] && !isnan(v[i]) && r->verdict[b] == RECODE_DEPENDS)
			r->verdict[b] |= RECODE_LOST;
	}
	return nan;
}
