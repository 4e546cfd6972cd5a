/* blocks.c -- matrices of a GGUF, loaded to the device as they are multiplied.
 *
 *	MXFP4        FP4, bit for bit
 *	F32 experts  the FP4 whose values they are, with the least scales (quant/residue.h), where they are such: sums of FP4
 *	             have another order, and the type does not say what they were
 *	BF16, F32    values, as they lie there
 *	others       the values that they decode to, in F32
 *
 * Values are summed as FP8 is, which has the same sums where its scales are powers of two.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/codec.h"
#include "formats/gguf/ggml_type.h"
#include "kernels/forward/weights.h"
#include "quant/ggml_back.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct load {
	struct weights *w;
	struct matrix *m;
	const struct tensor *t;
	const struct gguf_matrix *x;
	uint8_t *raw; /* ordinary memory; x->bytes */
	struct err *e;
};

static void give_up(struct load *l, const uint64_t n[2])
{
	unsigned i;

	for (i = 0; i < 2; i++)
		if (l->m->own[i]) {
			weights_give_up(l->w, l->m->own[i], n[i]);
			l->m->own[i] = NULL;
		}
}

/* Takes memory for codes and scales, n[0] and n[1] bytes. */
static int take(struct load *l, const uint64_t n[2])
{
	unsigned i;

	for (i = 0; i < 2; i++)
		if (n[i] && weights_take(l->w, &l->m->own[i], n[i], l->e)) {
			l->m->own[i] = NULL;
			give_up(l, n);
			return -1;
		}
	return 0;
}

/* Brings what was made to the device. */
static int place(struct load *l, uint8_t type, const uint64_t n[2])
{
	unsigned i;

	for (i = 0; i < 2; i++)
		if (n[i] && weights_place(l->w, &l->m->own[i], n[i], l->e)) {
			give_up(l, n);
			return -1;
		}
	l->m->bytes = n[0] + n[1];
	l->m->w.type = type;
	l->m->w.codes = l->m->own[0];
	l->m->w.scales = l->m->own[1];
	return 0;
}

/* The matrix as FP4. Returns 1, 0 where its values are none of that, -1. */
static int as_fp4(struct load *l)
{
	const enum codec c = CODEC_MXFP4;
	const struct gguf_matrix *x = l->x;
	struct ggml_matrix g = { .from = c,
		.type = x->type,
		.rows = x->rows,
		.cols = x->cols,
		.rows_at = l->raw,
		.stride = x->bytes / x->rows };
	size_t room = ggml_back_work(c, x->rows, x->cols);
	uint64_t dim[2], n[2];
	uint8_t *work;
	bool is;

	codec_scale_dim(c, x->rows, x->cols, dim);
	n[0] = x->rows * codec_row_bytes(c, x->cols);
	n[1] = dim[0] * dim[1];
	work = host_get(l->w->dev, room);
	if (!work)
		return err_nomem(l->e);
	if (take(l, n)) {
		host_drop(l->w->dev, work, room);
		return -1;
	}
	is = l->w->dev->counts
		? x->type == GGML_MXFP4 /* of others the values tell: the larger counts */
		: ggml_back(&g, l->m->own[0], l->m->own[1], work);
	host_drop(l->w->dev, work, room);
	if (!is) {
		give_up(l, n);
		return 0;
	}
	return place(l, WEIGHT_FP4, n) ? -1 : 1;
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

/* The values: as they lie there in BF16 and F32, else as F32. */
static int as_values(struct load *l)
{
	const struct gguf_matrix *x = l->x;
	bool same = x->type == GGML_BF16 || x->type == GGML_F32;
	uint64_t n[2] = { same ? x->bytes : x->rows * x->cols * sizeof(float), 0 }, row, i;
	double *v = host_get(l->w->dev, x->cols * sizeof *v);
	float *to;
	int rc = v ? take(l, n) : err_nomem(l->e);

	for (row = 0; !rc && !l->w->dev->counts && row < x->rows; row++) {
		(void)ggml_values(x->type, l->raw + x->bytes / x->rows * row, (size_t)x->cols, v);
		rc = check_values(l, v, (size_t)x->cols, row);
		to = (float *)l->m->own[0] + row * x->cols;
		for (i = 0; !rc && !same && i < x->cols; i++)
			to[i] = (float)v[i];
	}
	if (!rc && same && !l->w->dev->counts)
		memcpy(l->m->own[0], l->raw, (size_t)x->bytes);
	host_drop(l->w->dev, v, x->cols * sizeof *v);
	if (rc) {
		give_up(l, n);
		return -1;
	}
	return place(l, x->type == GGML_BF16 ? WEIGHT_BF16 : WEIGHT_F32, n);
}

static int load(struct load *l, bool codes)
{
	uint32_t type = l->x->type;
	bool fp4 = type == GGML_MXFP4 ||
		(codes && l->x->expert && type == GGML_F32 && !l->w->dev->fp32);
	int rc = fp4 ? as_fp4(l) : 0;

	if (rc)
		return rc < 0 ? -1 : 0;
	l->m->w.sum = weight_forms[WEIGHT_FP8].sum;
	return as_values(l);
}

int weights_blocks(struct weights *w, struct matrix *m, const struct tensor *t,
	struct matrix_form form, struct err *e)
{
	struct load l = { .w = w, .m = m, .t = t, .x = &w->g.v[t - w->c.tensors], .e = e };
	int rc;

	if (l.x->rows != form.rows || l.x->cols != form.cols || form.rows > UINT32_MAX ||
		form.cols > UINT32_MAX)
		return err_rule(e, RULE_MODEL_SHAPE, ERR_NOPOS,
			"%s: tensor %s is no matrix of %llu x %llu", text_quote(w->path).s,
			text_quote(t->name).s, (unsigned long long)form.rows,
			(unsigned long long)form.cols);
	m->w = (struct weight){ .rows = (uint32_t)form.rows, .cols = (uint32_t)form.cols };
	l.raw = host_get(w->dev, l.x->bytes);
	if (!l.raw)
		return err_nomem(e);
	w->read += w->dev->counts ? 0 : l.x->bytes;
	rc = w->dev->counts ? 0 : gguf_model_read(&w->g, l.x, l.raw, e);
	rc = rc ? rc : load(&l, form.codes);
	host_drop(w->dev, l.raw, l.x->bytes);
	return rc;
}
