/* matrix.c -- matrices of weights, loaded to the device: plain, from the layouts of engines, or cast to FP8.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/codec.h"
#include "kernels/forward/recast.h"
#include "kernels/forward/weights.h"
#include "quant/num.h"

#include <stdlib.h>
#include <string.h>

/* --- is it sound? --- */

static int bad(const struct weights *w, const struct tensor *t, enum rule_id rule, uint64_t at,
	const char *what, struct err *e)
{
	return err_rule(e, rule, ERR_NOPOS, "%s: tensor %s, byte %llu: %s", text_quote(w->path).s,
		text_quote(t->name).s, (unsigned long long)at, what);
}

static int check_scales(const struct weights *w, const struct tensor *t, const uint8_t *p,
	uint64_t n, struct err *e)
{
	const uint8_t *nan;
	uint32_t bits;
	uint64_t i;

	if (w->dev->counts)
		return 0;
	if (t->dtype != DT_F32) {
		nan = memchr(p, NUM_E8M0_NAN, (size_t)n);
		return nan
			? bad(w, t, RULE_DATA_SCALE_NAN, (uint64_t)(nan - p), "a scale is NaN", e)
			: 0;
	}
	for (i = 0; i + 4 <= n; i += 4) {
		memcpy(&bits, p + i, 4);
		if (bits & 0x807fffff || !bits || bits >> 23 == 255)
			return bad(w, t, RULE_DATA_SCALE_NAN, i, "a scale is no power of two", e);
	}
	return 0;
}

static int check_fp8(const struct weights *w, const struct tensor *t, const uint8_t *p, uint64_t n,
	struct err *e)
{
	uint64_t i;

	for (i = 0; !w->dev->counts && i < n; i++)
		if (num_e4m3_is_nan(p[i]))
			return bad(w, t, RULE_DATA_FP8_NAN, i, "a weight is NaN", e);
	return 0;
}

/* --- matrices --- */

/* How the bytes of a dtype are multiplied; -1: they are not. */
static int type_of(unsigned dtype)
{
	switch (dtype) {
	case DT_I8: /* two codes in a byte */
	case DT_F4:
		return WEIGHT_FP4;
	case DT_F8_E4M3:
		return WEIGHT_FP8;
	case DT_BF16:
		return WEIGHT_BF16;
	case DT_F32:
		return WEIGHT_F32;
	default:
		return -1;
	}
}

/* A tensor whole; scales and codes are looked at. stay: in ordinary memory, for now. */
static int load(struct weights *w, const struct tensor *t, bool scale, bool stay, void **p,
	struct err *e)
{
	uint64_t n = weights_size(t);
	int rc;

	if (weights_take(w, p, n, e))
		return -1;
	rc = weights_read(w, t, 0, *p, n, e);
	if (!rc && scale)
		rc = check_scales(w, t, *p, n, e);
	else if (!rc && t->dtype == DT_F8_E4M3)
		rc = check_fp8(w, t, *p, n, e);
	rc = rc || stay ? rc : weights_place(w, p, n, e);
	if (rc) {
		weights_give_up(w, *p, n);
		*p = NULL;
	}
	return rc;
}

static const struct piece *pieces_of(const struct weights *w, const struct tensor *t, size_t *n)
{
	*n = 0;
	return w->is_set ? joined_packed(&w->j, (uint32_t)(t - w->c.tensors), n) : NULL;
}

static int load_packed(struct weights *w, const struct tensor *t, const struct piece *p,
	struct tile_dim d, const uint8_t **to, uint64_t *bytes, bool scale, struct err *e)
{
	uint64_t n = tile_bytes(p->tile, d);
	void *v;
	int rc;

	if (weights_take(w, &v, n, e))
		return -1;
	w->read += w->dev->counts ? 0 : n;
	rc = w->dev->counts ? 0 : joined_piece_read(w->reader, p, v, (size_t)n, e);
	if (!rc && scale)
		rc = check_scales(w, t, v, n, e);
	rc = rc ? rc : weights_place(w, &v, n, e);
	if (rc) {
		weights_give_up(w, v, n);
		return rc;
	}
	*to = v;
	*bytes += n;
	return 0;
}

/* How many scales a matrix has in that number format. */
static uint64_t scales_of(enum codec c, const struct weight *v)
{
	uint64_t dim[2];

	codec_scale_dim(c, v->rows, v->cols, dim);
	return dim[0] * dim[1];
}

/* The pieces of an expert's matrix as engines hold them. */
static int load_pieces(struct weights *w, struct matrix *m, const struct tensor *t,
	const struct tensor *sf, struct err *e)
{
	const struct piece *p, *s;
	struct weight_piece *x;
	uint32_t group = codecs[CODEC_MXFP4].cols; /* columns of a byte of scales */
	size_t n, ns, i;

	p = pieces_of(w, t, &n);
	s = pieces_of(w, sf, &ns);
	m->pieces = p && s && n == ns ? calloc(n, sizeof *m->pieces) : NULL;
	if (!m->pieces)
		return err_set(e, ERR_UNSUPPORTED, "tensor %s and its scale are cut differently",
			text_quote(t->name).s);
	for (i = 0; i < n; i++, p++, s++) {
		x = &m->pieces[m->n_pieces++];
		*x = (struct weight_piece){ .row = (uint32_t)p->row,
			.rows = (uint32_t)p->rows,
			.col = (uint32_t)codec_cols(CODEC_MXFP4, p->col),
			.cols = (uint32_t)codec_cols(CODEC_MXFP4, p->cols),
			.map = p->map,
			.part = p->part,
			.tile = p->tile,
			.sf = s->tile };
		if (s->row != p->row || s->rows != p->rows || s->col * group != x->col ||
			s->cols * group != x->cols || s->map != p->map || s->part != p->part)
			return err_set(e, ERR_UNSUPPORTED,
				"tensor %s and its scale are cut differently",
				text_quote(t->name).s);
		x->dim = tile_dim(p->tile, (uint32_t)(p->parts * p->rows), p->cols);
		x->sf_dim = tile_dim(s->tile, (uint32_t)(s->parts * s->rows), s->cols);
		if (load_packed(w, t, p, x->dim, &x->codes, &m->bytes, false, e) ||
			load_packed(w, sf, s, x->sf_dim, &x->scales, &m->bytes, true, e))
			return -1;
	}
	m->w.pieces = m->pieces;
	m->w.n_pieces = m->n_pieces;
	return 0;
}

/* --- FP4 computed as FP8 --- */

/* Instead of FP4 codes and scales in m, in ordinary memory, the FP8 that they are exactly, if so. */
static int cast_matrix(struct weights *w, struct matrix *m, struct err *e)
{
	uint64_t n = (uint64_t)m->w.rows * m->w.cols, nt = scales_of(CODEC_FP8, &m->w);
	void *to[2] = { NULL, NULL };
	int exact = -1;

	if (weights_take(w, &to[0], n, e))
		return -1;
	if (weights_take(w, &to[1], nt, e)) {
		weights_give_up(w, to[0], n);
		return -1;
	}
	exact = w->dev->counts
		? 1
		: recast(m->own[0], m->own[1], m->w.rows, m->w.cols, to[0], to[1], e);
	if (exact == 1) {
		weights_give_up(w, m->own[0], n * codecs[CODEC_MXFP4].bits / 8);
		weights_give_up(w, m->own[1], scales_of(CODEC_MXFP4, &m->w));
		memcpy(m->own, to, sizeof to);
		m->bytes = n + nt;
		m->w.type = WEIGHT_FP8;
		return 0;
	}
	weights_give_up(w, to[0], n);
	weights_give_up(w, to[1], nt);
	return exact < 0 ? -1 : 0;
}

/* Loads codes and scale (or none) of a plain matrix; cast: as the FP8 that they are exactly. */
static int load_plain(struct weights *w, struct matrix *m, const struct tensor *t,
	const struct tensor *sf, bool cast, struct err *e)
{
	uint64_t n[2] = { weights_size(t), sf ? weights_size(sf) : 0 };
	int rc = load(w, t, false, cast, &m->own[0], e), i;

	m->bytes = rc ? 0 : n[0];
	if (!rc && sf) {
		rc = load(w, sf, true, cast, &m->own[1], e);
		m->bytes += rc ? 0 : n[1];
	}
	if (cast) {
		rc = rc ? rc : cast_matrix(w, m, e);
		if (m->w.type == WEIGHT_FP8) {
			n[0] = (uint64_t)m->w.rows * m->w.cols;
			n[1] = scales_of(CODEC_FP8, &m->w);
		}
		for (i = 0; i < 2;
			i++) { /* what cannot be placed goes, so that all that is left lies there */
			rc = rc ? rc : weights_place(w, &m->own[i], n[i], e);
			if (rc && m->own[i]) {
				weights_give_up(w, m->own[i], n[i]);
				m->own[i] = NULL;
				m->bytes -= n[i];
			}
		}
	}
	m->w.codes = m->own[0];
	m->w.scales = m->own[1];
	return rc;
}

/* What the header of a weight says, held to what it is taken for. */
static int check_form(const struct weights *w, const struct tensor *t, struct matrix_form form,
	struct weight *v, struct err *e)
{
	int type = type_of(t->dtype);

	if (type < 0 || (form.codes ? type > WEIGHT_FP8 : type == WEIGHT_FP4))
		return err_rule(e, RULE_MODEL_DTYPE, ERR_NOPOS,
			"%s: tensor %s is %s, and cannot be multiplied as what it is for",
			text_quote(w->path).s, text_quote(t->name).s, dtypes[t->dtype].name);
	if (t->rank != 2 || t->dim[0] != form.rows || form.rows > UINT32_MAX ||
		form.cols > UINT32_MAX || t->dim[1] * (t->dtype == DT_I8 ? 2 : 1) != form.cols)
		return err_rule(e, RULE_MODEL_SHAPE, ERR_NOPOS,
			"%s: tensor %s is no matrix of %llu x %llu", text_quote(w->path).s,
			text_quote(t->name).s, (unsigned long long)form.rows,
			(unsigned long long)form.cols);
	*v = (struct weight){
		.type = (uint8_t)type, .rows = (uint32_t)form.rows, .cols = (uint32_t)form.cols
	};
	return 0;
}

/* The same of its scale: dtype and size that the weight's type asks for. */
static int check_scale(const struct weights *w, const struct weight *v, const struct tensor *t,
	const struct tensor *sf, struct err *e)
{
	uint64_t want;
	bool fits = sf->dtype == DT_F8_E8M0 || (v->type == WEIGHT_FP8 && sf->dtype == DT_F32);

	want = scales_of(v->type == WEIGHT_FP4 ? CODEC_MXFP4 : CODEC_FP8, v);
	want *= sf->dtype == DT_F32 ? 4 : 1;
	if (fits && weights_size(sf) == want && v->cols % codecs[CODEC_MXFP4].cols == 0)
		return 0;
	return err_rule(e, RULE_MODEL_SCALE_FORM, ERR_NOPOS,
		"%s: tensor %s: its scale has %llu bytes of %s, expected %llu of %s",
		text_quote(w->path).s, text_quote(t->name).s, (unsigned long long)weights_size(sf),
		dtypes[sf->dtype].name, (unsigned long long)want,
		v->type == WEIGHT_FP4 ? "F8_E8M0" : "F8_E8M0 or F32");
}

int weights_matrix(struct weights *w, struct matrix *m, const char *prefix, const char *name,
	struct matrix_form form, struct err *e)
{
	const struct tensor *t, *sf = NULL;
	size_t n;
	int rc;

	memset(m, 0, sizeof *m);
	if (weights_find(w, prefix, name, weights_has(w, prefix, name) ? "" : ".weight", &t, e) ||
		check_form(w, t, form, &m->w, e))
		return -1;
	if (m->w.type <= WEIGHT_FP8 &&
		(weights_find(w, prefix, name, ".scale", &sf, e) ||
			check_scale(w, &m->w, t, sf, e)))
		return -1;
	m->w.f32_scales = sf && sf->dtype == DT_F32;
	if (pieces_of(w, t, &n))
		rc = load_pieces(w, m, t, sf, e);
	else
		rc = load_plain(w, m, t, sf,
			w->as_fp8 && m->w.type == WEIGHT_FP4 &&
				codec_whole(CODEC_FP8, m->w.rows, m->w.cols),
			e);
	if (rc)
		weights_drop(w, m);
	return rc;
}

void weights_drop(struct weights *w, struct matrix *m)
{
	uint32_t i;

	for (i = 0; i < m->n_pieces; i++) {
		w->dev->release(w->dev, (void *)(uintptr_t)m->pieces[i].codes);
		w->dev->release(w->dev, (void *)(uintptr_t)m->pieces[i].scales);
	}
	for (i = 0; i < 2; i++)
		w->dev->release(w->dev, m->own[i]);
	free(m->pieces);
	w->held -= m->bytes;
	memset(m, 0, sizeof *m);
}

int weights_band(struct weights *w, struct matrix *m, const char *name, uint64_t cols, uint32_t row,
	uint32_t n, struct err *e)
{
	const struct tensor *t;
	uint64_t bytes, row_bytes;
	struct weight v;
	int rc;

	memset(m, 0, sizeof *m);
	if (weights_find(w, "", name, "", &t, e) ||
		check_form(w, t, (struct matrix_form){ t->rank ? t->dim[0] : 0, cols, false }, &v,
			e))
		return -1;
	if (v.type <= WEIGHT_FP8 || row > v.rows || n > v.rows - row)
		return err_rule(e, RULE_MODEL_SHAPE, ERR_NOPOS,
			"%s: tensor %s has no rows %u to %u in BF16 or F32", text_quote(w->path).s,
			text_quote(t->name).s, row, row + n);
	row_bytes = weights_size(t) / v.rows;
	bytes = n * row_bytes;
	if (weights_take(w, &m->own[0], bytes, e))
		return -1;
	rc = weights_read(w, t, row * row_bytes, m->own[0], bytes, e);
	rc = rc ? rc : weights_place(w, &m->own[0], bytes, e);
	if (rc) {
		weights_give_up(w, m->own[0], bytes);
		m->own[0] = NULL;
		return rc;
	}
	m->bytes = bytes;
	m->w = v;
	m->w.rows = n;
	m->w.codes = m->own[0];
	return 0;
}
