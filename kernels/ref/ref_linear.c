/* SPDX-License-Identifier: MIT */
#include "kernels/fmath.h"
#include "kernels/ref/ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int act_quant(struct dev *dev, const struct dev_act_quant *op, struct err *e)
{
	uint8_t *q = op->q;
	const float *x = op->x;
	uint64_t b, blocks = (uint64_t)op->n * op->dim / DEV_ACT;
	float amax;
	uint32_t i;

	(void)dev, (void)e;
	for (b = 0; b < blocks; b++, x += DEV_ACT, q += DEV_ACT) {
		for (i = 0, amax = 0.0f; i < DEV_ACT; i++)
			amax = fm_max(fm_abs(x[i]), amax);
		op->s[b] = fm_scale_fp8(amax);
		for (i = 0; i < DEV_ACT; i++)
			q[i] = fm_e4m3(x[i], op->s[b]);
	}
	return 0;
}

/* A row of codes as values, and its scales for each block of columns. */
static const struct weight_piece *piece_at(const struct weight *w, uint32_t row, uint32_t col)
{
	uint32_t i;
	const struct weight_piece *p;

	for (i = 0; i < w->n_pieces; i++) {
		p = &w->pieces[i];
		if (row >= p->row && row - p->row < p->rows && col >= p->col &&
			col - p->col < p->cols)
			return p;
	}
	return NULL;
}

static uint32_t element(const struct tile *t, struct tile_dim d, const uint8_t *p, uint32_t row,
	uint32_t col, uint32_t bits)
{
	uint32_t per = t->bits / bits, word;
	uint64_t at = t->at(d, row, col / per), bit;

	bit = at * t->bits + col % per * bits;
	if (t->untwist) {
		memcpy(&word, p + bit / 32 * 4, 4);
		word = t->untwist(word);
		return word >> (bit % 32) & ((1u << bits) - 1);
	}
	return (unsigned)p[bit / 8] >> (bit % 8) & ((1u << bits) - 1);
}

static void fp4_row(const struct weight *w, uint32_t row, float *v, float *s)
{
	const struct weight_piece *p = NULL;
	uint32_t k, r = 0;
	const uint8_t *codes = w->codes, *scales = w->scales;

	for (k = 0; k < w->cols; k++) {
		if (!w->n_pieces) {
			v[k] = num_e2m1(codes[((uint64_t)row * w->cols + k) / 2] >> (k % 2 * 4) &
				15);
			if (k % 32 == 0)
				s[k / 32] =
					num_e8m0(scales[(uint64_t)row * (w->cols / 32) + k / 32]);
			continue;
		}
		if (k % 32 == 0) {
			p = piece_at(w, row, k);
			r = p->map->to(p->part, row - p->row, p->rows);
			s[k / 32] = num_e8m0(element(p->sf, p->sf_dim, p->scales, r,
				(k - p->col) / 32, 8));
		}
		v[k] = num_e2m1(element(p->tile, p->dim, p->codes, r, k - p->col, 4));
	}
}

/* Scale `at` of those of w, by their type. */
static float scale_at(const struct weight *w, uint64_t at)
{
	float f;

	if (w->type == WEIGHT_NVFP4)
		return num_e4m3(((const uint8_t *)w->scales)[at]) * w->second;
	if (!w->f32_scales)
		return num_e8m0(((const uint8_t *)w->scales)[at]);
	memcpy(&f, (const uint8_t *)w->scales + 4 * at, 4);
	return f;
}

static void scales_of(const struct weight *w, uint32_t row, float *s)
{
	const struct weight_form *f = &weight_forms[w->type];
	uint32_t n = (w->cols + f->cols - 1) / f->cols, k;

	for (k = 0; k < n; k++)
		s[k] = scale_at(w, (uint64_t)(row / f->rows) * n + k);
}

static void fp8_row(const struct weight *w, uint32_t row, float *v, float *s)
{
	const uint8_t *codes = (const uint8_t *)w->codes + (uint64_t)row * w->cols;
	uint32_t k;

	for (k = 0; k < w->cols; k++)
		v[k] = num_e4m3(codes[k]);
	scales_of(w, row, s);
}

static void nvfp4_row(const struct weight *w, uint32_t row, float *v, float *s)
{
	const uint8_t *codes = (const uint8_t *)w->codes + (uint64_t)row * w->cols / 2;
	uint32_t k;

	for (k = 0; k < w->cols; k++)
		v[k] = num_e2m1(codes[k / 2] >> (k % 2 * 4) & 15);
	scales_of(w, row, s);
}

static void bf16_row(const struct weight *w, uint32_t row, float *v, float *s)
{
	const uint8_t *p = (const uint8_t *)w->codes + 2 * (uint64_t)row * w->cols;
	uint16_t h;
	uint32_t k;

	(void)s;
	for (k = 0; k < w->cols; k++) {
		memcpy(&h, p + 2 * (size_t)k, sizeof h);
		v[k] = num_bf16(h);
	}
}

static void f32_row(const struct weight *w, uint32_t row, float *v, float *s)
{
	(void)s;
	memcpy(v, (const uint8_t *)w->codes + 4 * (uint64_t)row * w->cols, 4 * (size_t)w->cols);
}

/* The values of the codes of a row to v, and its scales, one for each of the form's columns, to s; room for cols each. */
static void (*const row_of[WEIGHT_TYPES])(const struct weight *w, uint32_t row, float *v,
	float *s) = { [WEIGHT_FP4] = fp4_row,
	[WEIGHT_FP8] = fp8_row,
	[WEIGHT_BF16] = bf16_row,
	[WEIGHT_F32] = f32_row,
	[WEIGHT_MXFP8] = fp8_row,
	[WEIGHT_NVFP4] = nvfp4_row };

/* One output: a fresh partial for each so many columns. */
static float product(const struct weight *w, const uint8_t *q, const float *s, const float *v,
	const float *ws)
{
	uint32_t sum = weight_sum(w), cols = weight_forms[w->type].cols, b, k, i;
	float lane[32] = { 0 }, part[32], f;

	for (b = 0; b < w->cols; b += sum) {
		for (i = 0; i < 32; i++)
			part[i] = 0.0f;
		for (k = b; k < b + sum && k < w->cols; k += 32)
			for (i = 0; i < 32; i++)
				part[i] = fmaf(num_e4m3(q[k + i]), v[k + i], part[i]);
		for (i = 0; i < 32; i++) {
			f = s[b / DEV_ACT] * (cols ? ws[(b + i) / cols] : 1.0f);
			lane[i] = fmaf(part[i], f, lane[i]);
		}
	}
	return fm_tree32(lane);
}

static int linear_q(struct dev *dev, const struct dev_linear_q *op, struct err *e)
{
	float *v = malloc(2 * (uint64_t)op->w->cols * sizeof *v);
	uint32_t o, t;

	(void)dev;
	if (!v)
		return err_nomem(e);
	for (o = 0; o < op->w->rows; o++) {
		row_of[op->w->type](op->w, o, v, v + op->w->cols);
		for (t = 0; t < op->n; t++)
			op->y[(uint64_t)t * op->ld + o] = fm_bf16(product(op->w,
				op->q + (uint64_t)t * op->w->cols,
				op->s + (uint64_t)t * (op->w->cols / DEV_ACT), v, v + op->w->cols));
	}
	free(v);
	return 0;
}

/* The values of row o of a matrix that is not multiplied in codes; room for 2 cols. */
static void plain_row(const struct weight *w, uint32_t o, float *v)
{
	uint32_t cols = weight_forms[w->type].cols, k;

	row_of[w->type](w, o, v, v + w->cols);
	for (k = 0; cols && k < w->cols; k++)
		v[k] = fm_bf16(v[k] * v[w->cols + k / cols]);
}

static int linear(struct dev *dev, const struct dev_linear *op, struct err *e)
{
	float *v = malloc(2 * (uint64_t)op->w->cols * sizeof *v), r;
	uint32_t o, t;

	(void)dev;
	if (!v)
		return err_nomem(e);
	for (o = 0; o < op->w->rows; o++) {
		plain_row(op->w, o, v);
		for (t = 0; t < op->n; t++) {
			r = ref_dot(op->x + (uint64_t)t * op->ldx, v, op->w->cols);
			op->y[(uint64_t)t * op->ldy + o] = op->round ? fm_bf16(r)
				: r != r                             ? fm_nan()
								     : r;
		}
	}
	free(v);
	return 0;
}

void ref_linear(struct dev *d)
{
	d->act_quant = act_quant;
	d->linear_q = linear_q;
	d->linear = linear;
}
