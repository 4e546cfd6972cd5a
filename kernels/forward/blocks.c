/* blocks.c -- matrices of a GGUF, loaded to the device as they are multiplied.
 *
 *	MXFP4       FP4, bit for bit
 *	BF16, F32   values, as they lie there
 *	others      the values that they decode to, in F32
 *
 * Experts are summed as FP4 is, but in BF16, which those of FP8 become; other matrices as FP8 is (docs/numbers.md).
 *
 * SPDX-License-Identifier: MIT */
#include "formats/codec.h"
#include "formats/gguf/ggml_type.h"
#include "kernels/forward/order.h"
#include "quant/ggml_back.h"

#include <math.h>
#include <string.h>

struct load {
	struct weights *w;
	struct weight_matrix *m;
	const struct tensor *t;
	const struct gguf_matrix *x;
	uint8_t *raw;  /* ordinary memory; x->bytes */
	uint64_t n[2]; /* bytes of m->own */
	uint32_t sum;
	struct err *e;
};

static void give_up(struct load *l)
{
	unsigned i;

	for (i = 0; i < 2; i++)
		if (l->m->own[i]) {
			weights_give_up(l->w, l->m->own[i], l->n[i]);
			l->m->own[i] = NULL;
		}
}

/* Takes memory for codes and scales, n[0] and n[1] bytes. */
static int take(struct load *l)
{
	unsigned i;

	for (i = 0; i < 2; i++)
		if (l->n[i] && weights_take(l->w, &l->m->own[i], l->n[i], l->e)) {
			l->m->own[i] = NULL;
			return -1;
		}
	return 0;
}

/* Brings what was made to the device. */
static int place(struct load *l)
{
	unsigned i;

	for (i = 0; i < 2; i++)
		if (l->n[i] && weights_place(l->w, &l->m->own[i], l->n[i], l->e))
			return -1;
	l->m->bytes = l->n[0] + l->n[1];
	l->m->w.codes = l->m->own[0];
	l->m->w.scales = l->m->own[1];
	return 0;
}

static int make_fp4(struct load *l)
{
	const enum codec c = CODEC_MXFP4;
	const struct gguf_matrix *x = l->x;
	const struct ggml_matrix g = { .from = c,
		.type = x->type,
		.rows = x->rows,
		.cols = x->cols,
		.rows_at = l->raw,
		.stride = x->bytes / x->rows };
	const uint8_t *nan;
	uint64_t dim[2];

	codec_scale_dim(c, x->rows, x->cols, dim);
	l->n[0] = x->rows * codec_row_bytes(c, x->cols);
	l->n[1] = dim[0] * dim[1];
	l->m->w.type = WEIGHT_FP4;
	if (take(l))
		return -1;
	if (!l->w->dev->counts && ggml_back(&g, l->m->own[0], l->m->own[1], NULL)) {
		nan = memchr(l->m->own[1], 255, (size_t)l->n[1]);
		if (nan)
			return err_rule(l->e, RULE_DATA_SCALE_NAN, ERR_NOPOS,
				"%s: tensor %s, block %td: a scale is NaN",
				text_quote(l->w->path).s, text_quote(l->t->name).s,
				nan - (const uint8_t *)l->m->own[1]);
	}
	return order_remakes(&l->m->w, l->sum) ? order_remake(l->w, l->m, l->sum, l->n, l->e) : 0;
}

/* A NaN or an infinity among n values is an error, as it is in codes. */
static int check_values(const struct load *l, const double *v, size_t n, uint64_t row)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!isfinite(v[i]))
			return err_rule(l->e, RULE_DATA_NOT_FINITE, ERR_NOPOS,
				"%s: tensor %s, row %llu, column %zu: a weight is no finite number",
				text_quote(l->w->path).s, text_quote(l->t->name).s,
				(unsigned long long)row, i);
	return 0;
}

/* Writes the values of all rows to own[0], in F32 unless they lie there as they are multiplied. */
static int put_values(struct load *l, bool same)
{
	const struct gguf_matrix *x = l->x;
	uint64_t room = x->cols * sizeof(double), row, i;
	double *v = host_get(l->w->dev, room);
	float *to;
	int rc = v ? 0 : err_nomem(l->e);

	for (row = 0; !rc && !l->w->dev->counts && row < x->rows; row++) {
		(void)ggml_values(x->type, l->raw + x->bytes / x->rows * row, (size_t)x->cols, 0,
			v);
		rc = check_values(l, v, (size_t)x->cols, row);
		to = (float *)l->m->own[0] + row * x->cols;
		for (i = 0; !rc && !same && i < x->cols; i++)
			to[i] = (float)v[i];
	}
	if (!rc && same && !l->w->dev->counts)
		memcpy(l->m->own[0], l->raw, (size_t)x->bytes);
	host_drop(l->w->dev, v, room);
	return rc;
}

static int make_values(struct load *l)
{
	const struct gguf_matrix *x = l->x;
	bool same = x->type == GGML_BF16 || x->type == GGML_F32;

	l->n[0] = same ? x->bytes : x->rows * x->cols * sizeof(float);
	l->m->w.type = x->type == GGML_BF16 ? WEIGHT_BF16 : WEIGHT_F32;
	l->m->w.sum = l->sum;
	return take(l) || put_values(l, same) ? -1 : 0;
}

struct weights_order weights_blocks_order(const struct weights *w)
{
	const struct tensor *t = ckpt_find(&w->c, "layers.0.ffn.experts.0.w1.weight");
	bool bf16 = t && w->g.v[t - w->c.tensors].type == GGML_BF16;

	return (struct weights_order){ weight_forms[WEIGHT_FP8].sum,
		weight_forms[bf16 ? WEIGHT_FP8 : WEIGHT_FP4].sum };
}

/* The columns of a partial sum of the matrix. */
static uint32_t sum_of(const struct weights *w, const struct gguf_matrix *x)
{
	struct weights_order own = weights_blocks_order(w);
	uint32_t asked = x->expert ? w->order.experts : w->order.dense;

	return asked ? asked : x->expert ? own.experts : own.dense;
}

int weights_blocks(struct weights *w, struct weight_matrix *m, const struct tensor *t,
	struct matrix_form form, struct err *e)
{
	const struct gguf_matrix *x = &w->g.v[t - w->c.tensors];
	struct load l = { .w = w, .m = m, .t = t, .x = x, .sum = sum_of(w, x), .e = e };
	int rc;

	if (x->rows != form.rows || x->cols != form.cols || form.rows > UINT32_MAX ||
		form.cols > UINT32_MAX)
		return err_rule(e, RULE_MODEL_SHAPE, ERR_NOPOS,
			"%s: tensor %s is no matrix of %llu x %llu", text_quote(w->path).s,
			text_quote(t->name).s, (unsigned long long)form.rows,
			(unsigned long long)form.cols);
	m->w = (struct weight){ .rows = (uint32_t)form.rows, .cols = (uint32_t)form.cols };
	l.raw = host_get(w->dev, x->bytes);
	if (!l.raw)
		return err_nomem(e);
	w->read += w->dev->counts ? 0 : x->bytes;
	rc = w->dev->counts ? 0 : gguf_model_read(&w->g, x, l.raw, e);
	rc = rc ? rc : x->type == GGML_MXFP4 ? make_fp4(&l) : make_values(&l);
	host_drop(w->dev, l.raw, x->bytes);
	rc = rc ? rc : place(&l);
	if (rc) {
		give_up(&l);
		memset(m, 0, sizeof *m);
	}
	return rc;
}
