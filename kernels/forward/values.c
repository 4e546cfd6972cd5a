/* values.c -- matrices of a conversion whose number format no linear multiplies in codes: whole numbers, and FP8 with a scale
 * for each row. They are loaded as the values that they decode to, in F32, which has all of them.
 *
 * SPDX-License-Identifier: MIT */
#include "kernels/forward/values.h"

#include "quant/codec.h"

#include <math.h>
#include <string.h>

/* What is read of it lies at raw: codes, then scales, then zero points. */
struct load {
	struct weights *w;
	const struct tensor *t;
	const struct joined_cast *c;
	const uint8_t *raw;
	uint8_t *scales; /* of a row, with its zero points: codec_scale_row() bytes */
	double *v;       /* [cols] */
	struct err *e;
};

/* Writes the values of a row to dst. */
static int put_row(const struct load *l, uint64_t row, float *dst)
{
	const struct joined_form *f = &l->c->form;
	enum codec c = (enum codec)f->to;
	uint64_t scales = l->c->t_bytes / f->rows; /* a scale is of one row */
	size_t groups = (size_t)scales / (dtypes[codecs[c].scale].bits / 8);
	const uint8_t *from = l->raw + l->c->bytes, *zeros = from + l->c->t_bytes;
	uint32_t i;

	memcpy(l->scales, from + row * scales, (size_t)scales);
	if (codecs[c].zeros)
		codec_zeros_get(zeros + row / CODEC_ZERO_ROWS * groups * sizeof(uint32_t), row,
			groups, l->scales + scales);
	codec_ops[c].decode(l->raw + row * codec_row_bytes(c, f->cols), l->scales, 1, f->cols,
		l->v);
	for (i = 0; i < f->cols; i++) {
		dst[i] = (float)l->v[i];
		if (!isfinite(dst[i]))
			return err_rule(l->e, RULE_DATA_NOT_FINITE, ERR_NOPOS,
				"%s: tensor %s, row %llu, column %u: in %s the weight is no finite number",
				text_quote(l->w->path).s, text_quote(l->t->name).s,
				(unsigned long long)row, i, codecs[c].name);
	}
	return 0;
}

static int put_rows(struct load *l, float *dst)
{
	const struct joined_form *f = &l->c->form;
	uint64_t row, room = f->cols * sizeof *l->v + codec_scale_row((enum codec)f->to, f->cols);
	int rc = 0;

	l->v = host_get(l->w->dev, room);
	if (!l->v)
		return err_nomem(l->e);
	l->scales = (uint8_t *)(l->v + f->cols);
	for (row = 0; !rc && !l->w->dev->counts && row < f->rows; row++)
		rc = put_row(l, row, dst + row * f->cols);
	host_drop(l->w->dev, l->v, room);
	return rc;
}

/* Reads codes and scales, and decodes them to own[0]. */
static int fill(struct load *l, float *dst)
{
	uint64_t bytes = l->c->bytes + l->c->t_bytes + l->c->zero_bytes;
	uint8_t *raw = host_get(l->w->dev, bytes);
	int rc = raw ? 0 : err_nomem(l->e);

	if (!rc && !l->w->dev->counts) {
		l->w->read += bytes;
		rc = joined_lies_read(l->w->reader, l->c, raw, raw + l->c->bytes, NULL, l->e);
		if (rc)
			err_at(l->e, "%s", text_quote(l->w->path).s);
	}
	l->raw = raw;
	rc = rc ? rc : put_rows(l, dst);
	host_drop(l->w->dev, raw, bytes);
	return rc;
}

int weights_values(struct weights *w, struct weight_matrix *m, const struct tensor *t,
	const struct joined_cast *c, uint32_t sum, struct err *e)
{
	struct load l = { .w = w, .t = t, .c = c, .e = e };
	uint64_t n = (uint64_t)c->form.rows * c->form.cols * sizeof(float);
	int rc;

	if (weights_take(w, &m->own[0], n, e))
		return -1;
	m->w.type = WEIGHT_F32;
	m->w.f32_scales = false;
	m->w.sum = sum;
	rc = fill(&l, m->own[0]);
	rc = rc ? rc : weights_place(w, &m->own[0], n, e);
	if (rc) {
		weights_give_up(w, m->own[0], n);
		m->own[0] = NULL;
		return rc;
	}
	m->bytes = n;
	m->w.codes = m->own[0];
	return 0;
}
