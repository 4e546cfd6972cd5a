/* matrix.c -- matrices of weights, loaded to the device: as they lie in a checkpoint, in another number format, or in the
 * layouts of engines.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/codec.h"
#include "kernels/forward/order.h"
#include "kernels/forward/sound.h"
#include "kernels/forward/values.h"
#include "quant/codec.h"
#include "quant/num.h"

#include <stdlib.h>
#include <string.h>

/* How a matrix lies there. */
struct lying {
	enum codec form;
	const struct tensor *t,
		*sf; /* the headers of its weight and scale, of the source; sf NULL: none */
	const struct joined_cast
		*cast; /* it lies there in another format than these say; NULL: as they say */
};

/* How the codes of a format are multiplied; WEIGHT_TYPES: they are not. */
static enum weight_type type_of(enum codec c)
{
	static const struct {
		uint8_t codec, type;
	} types[] = { { CODEC_MXFP4, WEIGHT_FP4 }, { CODEC_MXFP4_CT, WEIGHT_FP4 },
		{ CODEC_FP8, WEIGHT_FP8 }, { CODEC_FP8_F32, WEIGHT_FP8 },
		{ CODEC_FP8_CT, WEIGHT_FP8 }, { CODEC_BF16, WEIGHT_BF16 },
		{ CODEC_F32, WEIGHT_F32 }, { CODEC_MXFP8, WEIGHT_MXFP8 },
		{ CODEC_NVFP4, WEIGHT_NVFP4 }, { CODEC_NVFP4_CT, WEIGHT_NVFP4 } };
	size_t i;

	for (i = 0; i < sizeof types / sizeof *types; i++)
		if (types[i].codec == c)
			return (enum weight_type)types[i].type;
	return WEIGHT_TYPES;
}

/* The format of a tensor of codes by its type, which says which scale is to be there. */
static enum codec form_of(unsigned dtype)
{
	switch (dtype) {
	case DT_I8: /* two codes in a byte */
	case DT_F4:
		return CODEC_MXFP4;
	case DT_F8_E4M3:
		return CODEC_FP8;
	case DT_BF16:
		return CODEC_BF16;
	case DT_F32:
		return CODEC_F32;
	default:
		return CODEC_NONE;
	}
}

/* --- is it sound? --- */

static int bad(const struct weights *w, const struct tensor *t, enum rule_id rule, uint64_t at,
	const char *what, struct err *e)
{
	return err_rule(e, rule, ERR_NOPOS, "%s: tensor %s, byte %llu: %s", text_quote(w->path).s,
		text_quote(t->name).s, (unsigned long long)at, what);
}

static int check_scales(const struct weights *w, const struct tensor *t, enum codec form,
	const uint8_t *p, uint64_t n, struct err *e)
{
	enum rule_id rule;
	uint64_t at;
	const char *what = w->dev->counts ? NULL : sound_scales(form, p, n, &rule, &at);

	return what ? bad(w, t, rule, at, what, e) : 0;
}

static int check_codes(const struct weights *w, const struct tensor *t, enum codec form,
	const uint8_t *p, uint64_t n, struct err *e)
{
	enum rule_id rule;
	uint64_t at;
	const char *what = w->dev->counts ? NULL : sound_codes(form, p, n, &rule, &at);

	return what ? bad(w, t, rule, at, what, e) : 0;
}

/* --- pieces in the layouts of engines --- */

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
		rc = check_scales(w, t, CODEC_MXFP4, v, n, e);
	rc = rc ? rc : weights_place(w, &v, n, e);
	if (rc) {
		weights_give_up(w, v, n);
		return rc;
	}
	*to = v;
	*bytes += n;
	return 0;
}

/* The pieces of an expert's matrix as engines hold them. */
static int load_pieces(struct weights *w, struct weight_matrix *m, const struct tensor *t,
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

/* --- whole matrices --- */

/* Reads a tensor whole to p. */
static int read_whole(struct weights *w, const struct tensor *t, void *p, struct err *e)
{
	return weights_read(w, t, 0, p, weights_size(t), e);
}

/* Reads codes and scales as they lie there, and of the cast its factor; looks at them. */
static int read_lying(struct weights *w, struct weight_matrix *m, const struct lying *x,
	uint64_t n[2], struct err *e)
{
	uint8_t second[4] = { 0 };
	enum rule_id rule;
	const char *what;

	if (!x->cast) {
		if (read_whole(w, x->t, m->own[0], e) ||
			(x->sf && read_whole(w, x->sf, m->own[1], e)))
			return -1;
	} else if (!w->dev->counts) {
		w->read += n[0] + n[1];
		if (joined_lies_read(w->reader, x->cast, m->own[0], m->own[1], second, e))
			return err_at(e, "%s", text_quote(w->path).s);
		what = codecs[x->form].second.name ? sound_second(x->form, second, &rule) : NULL;
		if (what)
			return bad(w, x->t, rule, 0, what, e);
		m->w.second = (float)codec_second(x->form, second);
	}
	return check_codes(w, x->t, x->form, m->own[0], n[0], e) ||
			(n[1] && check_scales(w, x->sf, x->form, m->own[1], n[1], e))
		? -1
		: 0;
}

/* Bytes of codes and scales of a matrix as it lies there. */
static void sizes(const struct lying *x, uint64_t n[2])
{
	n[0] = x->cast ? x->cast->bytes : weights_size(x->t);
	n[1] = x->cast ? x->cast->t_bytes : x->sf ? weights_size(x->sf) : 0;
}

/* Brings own to the device; what cannot be placed goes, so that all that is left lies there. */
static int place(struct weights *w, struct weight_matrix *m, const uint64_t n[2], int rc,
	struct err *e)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (!m->own[i])
			continue;
		rc = rc ? rc : weights_place(w, &m->own[i], n[i], e);
		if (!rc)
			continue;
		weights_give_up(w, m->own[i], n[i]);
		m->own[i] = NULL;
		m->bytes -= n[i];
	}
	m->w.codes = m->own[0];
	m->w.scales = m->own[1];
	return rc;
}

/* Loads codes and scales; sum: the columns of its partial sums. */
static int load_whole(struct weights *w, struct weight_matrix *m, const struct lying *x,
	uint32_t sum, struct err *e)
{
	uint64_t n[2];
	int i, rc = 0;

	sizes(x, n);
	for (i = 0; !rc && i < 2; i++) {
		rc = n[i] ? weights_take(w, &m->own[i], n[i], e) : 0;
		m->bytes += rc ? 0 : n[i];
	}
	rc = rc ? rc : read_lying(w, m, x, n, e);
	if (!rc && order_remakes(&m->w, sum))
		rc = order_remake(w, m, sum, n, e);
	else if (!rc && (!weight_forms[m->w.type].cols || sum < weight_forms[m->w.type].sum))
		m->w.sum = sum;
	return place(w, m, n, rc, e);
}

/* --- what the headers say --- */

/* What the header of a weight says, held to what it is taken for. */
static int check_form(const struct weights *w, const struct tensor *t, struct matrix_form form,
	struct weight *v, struct err *e)
{
	enum weight_type type = type_of(form_of(t->dtype));

	if (type == WEIGHT_TYPES || (form.codes ? !weight_forms[type].cols : type == WEIGHT_FP4))
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
	bool fits = sf->dtype == DT_F8_E8M0 || (v->type == WEIGHT_FP8 && sf->dtype == DT_F32);
	uint64_t want, dim[2];

	codec_scale_dim(form_of(t->dtype), v->rows, v->cols, dim);
	want = dim[0] * dim[1] * (sf->dtype == DT_F32 ? 4 : 1);
	if (fits && weights_size(sf) == want && v->cols % codecs[CODEC_MXFP4].cols == 0)
		return 0;
	return err_rule(e, RULE_MODEL_SCALE_FORM, ERR_NOPOS,
		"%s: tensor %s: its scale has %llu bytes of %s, expected %llu of %s",
		text_quote(w->path).s, text_quote(t->name).s, (unsigned long long)weights_size(sf),
		dtypes[sf->dtype].name, (unsigned long long)want,
		v->type == WEIGHT_FP4 ? "F8_E8M0" : "F8_E8M0 or F32");
}

/* How t lies there, given the header of its scale or NULL. */
static struct lying lying_of(const struct weights *w, const struct tensor *t,
	const struct tensor *sf)
{
	struct lying x = { .form = form_of(t->dtype), .t = t, .sf = sf };

	if (x.form == CODEC_FP8 && sf && sf->dtype == DT_F32)
		x.form = CODEC_FP8_F32;
	x.cast = w->is_set ? joined_lies(&w->j, (uint32_t)(t - w->c.tensors)) : NULL;
	if (x.cast)
		x.form = (enum codec)x.cast->form.to;
	return x;
}

/* The columns of a partial sum of a matrix that lies there so: those of the format it was made of where it is values. */
static uint32_t own_sum(const struct lying *x)
{
	enum weight_type is = type_of(x->form), was = type_of(form_of(x->t->dtype));

	return weight_forms[is < WEIGHT_TYPES && weight_forms[is].cols ? is : was].sum;
}

struct weights_order weights_order(const struct weights *w)
{
	static const char *const first[] = { "layers.0.attn.wq_a.weight",
		"layers.0.ffn.experts.0.w1.weight" };
	uint32_t sum[2] = { 0 };
	const struct tensor *t;
	struct lying x;
	int i;

	if (w->is_gguf)
		return weights_blocks_order(w);
	for (i = 0; i < 2; i++) {
		t = ckpt_find(&w->c, first[i]);
		if (!t || type_of(form_of(t->dtype)) == WEIGHT_TYPES)
			continue;
		x = lying_of(w, t, NULL);
		sum[i] = own_sum(&x);
	}
	return (struct weights_order){ sum[0], sum[1] };
}

/* In which order the sums of a matrix are taken: partials of so many columns. */
static uint32_t sum_of(const struct weights *w, const struct lying *x, const char *name)
{
	uint32_t asked = strncmp(name, "ffn.experts.", 12) ? w->order.dense : w->order.experts;

	return asked ? asked : own_sum(x);
}

int weights_matrix(struct weights *w, struct weight_matrix *m, const char *prefix, const char *name,
	struct matrix_form form, struct err *e)
{
	const struct tensor *t, *sf = NULL;
	struct lying x;
	size_t n;
	int rc;

	memset(m, 0, sizeof *m);
	if (weights_find(w, prefix, name, weights_has(w, prefix, name) ? "" : ".weight", &t, e))
		return -1;
	if (w->is_gguf)
		return weights_blocks(w, m, t, form, e);
	if (check_form(w, t, form, &m->w, e))
		return -1;
	if (weight_forms[m->w.type].cols &&
		(weights_find(w, prefix, name, ".scale", &sf, e) ||
			check_scale(w, &m->w, t, sf, e)))
		return -1;
	x = lying_of(w, t, sf);
	m->w.type = (uint8_t)type_of(x.form);
	m->w.f32_scales = codecs[x.form].meant == SCALE_F32;
	if (x.cast && m->w.type == WEIGHT_TYPES)
		rc = weights_values(w, m, t, x.cast, sum_of(w, &x, name), e);
	else if (pieces_of(w, t, &n))
		rc = load_pieces(w, m, t, sf, e);
	else
		rc = load_whole(w, m, &x, sf ? sum_of(w, &x, name) : 0, e);
	if (rc)
		weights_drop(w, m);
	return rc;
}

void weights_drop(struct weights *w, struct weight_matrix *m)
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

int weights_band(struct weights *w, struct weight_matrix *m, const char *name, uint64_t cols,
	uint32_t row, uint32_t n, struct err *e)
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
	if (weight_forms[v.type].cols || row > v.rows || n > v.rows - row)
		return err_rule(e, RULE_MODEL_SHAPE, ERR_NOPOS,
			"%s: tensor %s has no rows %u to %u in BF16 or F32", text_quote(w->path).s,
			text_quote(t->name).s, row, row + n);
	row_bytes = weights_size(t) / v.rows;
	bytes = n * row_bytes;
	if (weights_take(w, &m->own[0], bytes, e))
		return -1;
	rc = weights_numbers(w, t, row * row_bytes, m->own[0], bytes, e);
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
