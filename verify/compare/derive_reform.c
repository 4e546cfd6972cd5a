/* derive_reform.c -- a tensor of a matrix in another number format, made once more from the source.
 *
 * Nothing of how the converter makes it is used but the table of formats: a new scale is the number that the old one
 * is, over the factor of the matrix, held to what its type can write; codes are decode and encode with it. Where the
 * values of a block change by that, and where only the scale was out of reach, is counted on the way.
 *
 * SPDX-License-Identifier: MIT */
#include "verify/compare/derive.h"

#include "core/text.h"
#include "formats/model/recipes.h"
#include "quant/reform.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
	SECOND_BELOW =
		8, /* the factor is 2^8 below the largest scale: that is what E4M3 has above 1 */
	E8M0_BIAS = 127
};

static int wrong(const struct derive *d, struct err *e, const char *what)
{
	return err_rule(e, RULE_COMPARE_SHAPE, ERR_NOPOS, "tensor %s (%s): %s",
		text_quote(d->t->name).s, ops[d->t->op].name, what);
}

/* --- what the recipe demands --- */

/* The number format in which the recipe has the matrix that a source tensor is of; CODEC_NONE: as it is. */
static enum codec demanded(const struct derive *d, const struct recipe *r, const char *source)
{
	const struct model_forms forms = recipe_forms(r, d->c->config.family, false);

	if ((d->drafts == DRAFTS_KEEP && drafts_own(source)) || engram_table(source))
		return CODEC_NONE;
	return strstr(source, ".ffn.experts.") ? forms.experts : forms.dense;
}

/* The number format of the matrix that a source tensor is of, its codes or scales; CODEC_NONE: it is of none. */
static enum codec matrix_of(const struct ckpt *c, const char *name)
{
	static const char codes[] = ".weight", scales[] = ".scale";
	const char *end = text_ends(name, codes) ? codes : text_ends(name, scales) ? scales : NULL;
	char weight[ST_NAME_MAX + 16], scale[ST_NAME_MAX + 16];
	const struct tensor *w, *s;
	int n;

	if (!end)
		return CODEC_NONE;
	n = (int)(strlen(name) - strlen(end));
	snprintf(weight, sizeof weight, "%.*s%s", n, name, codes);
	snprintf(scale, sizeof scale, "%.*s%s", n, name, scales);
	w = ckpt_find(c, weight);
	s = ckpt_find(c, scale);
	return w && s ? family_codec(c->config.family, weight, w->dtype, s->dtype) : CODEC_NONE;
}

int derive_reform_left(const struct derive *d, const char *target, struct err *e)
{
	const struct recipe *r = recipe_find(target);
	const char *name = d->src[0]->name;
	enum codec from, to;

	if (!r || d->t->op == OP_REFORM)
		return 0;
	if (r->stacked && strstr(name, ".ffn.experts.") &&
		(d->t->op == OP_TILE) != !(d->drafts == DRAFTS_KEEP && drafts_own(name)))
		return err_rule(e, RULE_COMPARE_SHAPE, ERR_NOPOS,
			"tensor %s: in %s the experts of a block are one tensor, unless they are of drafts that were kept",
			text_quote(d->t->name).s, r->name);
	from = matrix_of(d->c, name);
	to = demanded(d, r, name);
	if (to == CODEC_NONE || from == CODEC_NONE)
		return 0;
	/* FP8 may stay what it is in a native format, with the scales of either type. */
	if (r->native && (from != CODEC_MXFP4 || d->t->op != OP_COPY))
		return 0;
	return err_rule(e, RULE_COMPARE_SHAPE, ERR_NOPOS,
		"tensor %s is as in the source, where %s has %s", text_quote(d->t->name).s, r->name,
		codecs[to].name);
}

/* How the name of that part ends; NULL where the recipe has none. */
static const char *end_of(const struct derive *d, const struct recipe *r)
{
	const struct codec_form *to = &codecs[d->to];

	switch (d->t->of) {
	case PART_CODES:
		return to->codes;
	case PART_SCALES:
		return to->scales;
	case PART_SECOND:
		return to->second.name;
	case PART_SHAPE:
		return to->shape;
	case PART_ZEROS:
		return to->zeros;
	default:
		return to->second.name ? r->input : NULL;
	}
}

/* The scales that share a factor with those called name: of w3 for w1 and the other way round. NULL: there are none. */
static const struct tensor *partner(const struct derive *d, const char *name)
{
	char other[ST_NAME_MAX + 1];
	size_t n = strlen(name) - strlen("1.scale");

	if (!strstr(name, ".ffn.experts.") ||
		!(text_ends(name, ".w1.scale") || text_ends(name, ".w3.scale")))
		return NULL;
	snprintf(other, sizeof other, "%s", name);
	other[n] = name[n] == '1' ? '3' : '1';
	return ckpt_find(d->c, other);
}

/* Sets d->src to weight and scale of the matrix, by the sources that the sidecar names: those and no others, in that
 * order, and behind them the scales that share the factor. */
static int find_matrix(struct derive *d, const struct tensor **other, struct err *e)
{
	const struct tensor *v[3] = { NULL, NULL, NULL }, *w, *s;
	char name[ST_NAME_MAX + 16];
	bool alone = d->t->of == PART_INPUT || d->t->of == PART_SHAPE,
	     whole = d->t->of == PART_CODES || alone;
	uint32_t k, want;

	for (k = 0; k < d->t->n && k < 3; k++)
		v[k] = ckpt_find(d->c, d->a->sources[d->t->first + k].tensor);
	s = whole ? NULL : v[0];
	w = whole ? v[0] : NULL;
	if ((!s && !w) || (w && !text_ends(w->name, ".weight")) ||
		(s && !text_ends(s->name, ".scale")))
		return wrong(d, e, "its sources are no weight and its scale");
	if (w) {
		snprintf(name, sizeof name, "%.*s.scale", (int)(strlen(w->name) - 7), w->name);
		s = ckpt_find(d->c, name);
	} else {
		snprintf(name, sizeof name, "%.*s.weight", (int)(strlen(s->name) - 6), s->name);
		w = ckpt_find(d->c, name);
	}
	if (!w || !s || w->rank != 2 || s->rank != 2)
		return wrong(d, e, "its sources are no weight and its scale");
	*other = codecs[d->to].second.name ? partner(d, s->name) : NULL;
	want = alone ? 1 : 1u + (d->t->of == PART_CODES) + (*other != NULL);
	if (d->t->n != want || (d->t->of == PART_CODES && v[1] != s) ||
		(*other && !alone && v[want - 1] != *other))
		return wrong(d, e,
			"its sources are not those of the matrix and of what shares its factor");
	d->src[0] = w;
	d->src[1] = s;
	return 0;
}

/* --- the factor --- */

/* The largest scale byte of a tensor of E8M0 scales; 0 where all are 0. */
static int largest(const struct derive *d, const struct tensor *s, unsigned *top, struct err *e)
{
	uint8_t some[4096];
	uint64_t at, bytes = s->end - s->begin;
	size_t n, i;

	for (at = 0; at < bytes; at += n) {
		n = bytes - at < sizeof some ? (size_t)(bytes - at) : sizeof some;
		if (derive_read(d, s, at, some, n, e))
			return -1;
		for (i = 0; i < n; i++)
			*top = some[i] > *top ? some[i] : *top;
	}
	return 0;
}

static int find_second(struct derive *d, const struct tensor *other, struct err *e)
{
	unsigned top = 0;

	d->second = 1;
	if (!codecs[d->to].second.name || d->t->of == PART_INPUT)
		return 0;
	if (largest(d, d->src[1], &top, e) || (other && largest(d, other, &top, e)))
		return -1;
	d->second = ldexp(1, (top ? (int)top - E8M0_BIAS : 0) - SECOND_BELOW);
	return 0;
}

/* --- opening --- */

/* Type and shape of the part. */
static bool has_form(const struct derive *d, uint64_t rows, uint64_t cols)
{
	const struct codec_form *to = &codecs[d->to];
	uint64_t dim[2] = { rows, codec_dim1(d->to, cols) };
	const struct sidecar_tensor *t = d->t;

	if (t->of == PART_SHAPE)
		return t->dtype == DT_I64 && t->rank == 1 && t->dim[0] == 2;
	if (t->of == PART_SECOND || t->of == PART_INPUT)
		return t->dtype == DT_F32 && t->rank == to->second.rank &&
			(!t->rank || t->dim[0] == 1);
	if (t->of == PART_SCALES)
		codec_scale_dim(d->to, rows, cols, dim);
	if (t->of == PART_ZEROS) {
		codec_zero_dim(d->to, rows, cols, dim);
		return t->dtype == DT_I32 && t->rank == 2 && t->dim[0] == dim[0] &&
			t->dim[1] == dim[1];
	}
	return t->dtype == (t->of == PART_CODES ? to->code : to->scale) && t->rank == 2 &&
		t->dim[0] == dim[0] && t->dim[1] == dim[1];
}

static void set_units(struct derive *d, uint64_t rows)
{
	const struct tensor *s = d->src[1];
	uint64_t scale_bytes = s->dim[1] * dtypes[s->dtype].bits / 8;
	bool beside = d->t->of == PART_SCALES || d->t->of == PART_ZEROS,
	     number = d->t->of != PART_CODES && !beside;

	d->src_bytes = codec_row_bytes(d->from, codec_cols(d->from, d->src[0]->dim[1]));
	d->n_rows = number ? 1 : beside ? d->t->dim[0] : rows;
	d->row_bytes = d->n_rows ? (d->t->end - d->t->begin) / d->n_rows : 0;
	d->unit_rows = d->row_bytes ? DERIVE_UNIT / d->row_bytes : 1;
	d->unit_rows = d->unit_rows ? d->unit_rows : 1;
	d->unit_rows = d->unit_rows < d->n_rows ? d->unit_rows : d->n_rows;
	d->rows = rows;
	d->cols = d->src_bytes;
	/* Rows of codes that are read together, and the rows of scales that are theirs. */
	d->stage = (size_t)((d->t->of == PART_CODES ? d->unit_rows * d->src_bytes : 0) +
		(d->unit_rows + 1) * scale_bytes);
}

int derive_reform_open(struct derive *d, const char *target, struct err *e)
{
	const struct recipe *r = recipe_find(target);
	const struct tensor *other = NULL;
	char name[ST_NAME_MAX + 64];
	const char *end;
	uint64_t cols;

	d->to = (enum codec)d->t->to;
	if (!r || r->native)
		return wrong(d, e, "the target is none that has other number formats");
	if (find_matrix(d, &other, e))
		return -1;
	d->from = family_codec(d->c->config.family, d->src[0]->name, d->src[0]->dtype,
		d->src[1]->dtype);
	cols = codec_cols(d->from, d->src[0]->dim[1]);
	if (d->from == CODEC_NONE || d->from != d->t->from ||
		demanded(d, r, d->src[0]->name) != d->to)
		return wrong(d, e,
			"number formats that are not those of its source and of the target");
	end = end_of(d, r);
	snprintf(name, sizeof name, "%.*s.%s", (int)(strlen(d->src[0]->name) - 7), d->src[0]->name,
		end ? end : "");
	if (!end || strcmp(name, d->t->name) != 0)
		return wrong(d, e, "it is made of a tensor of another name");
	if (d->t->row[1] || d->t->col[1] || !has_form(d, d->src[0]->dim[0], cols) ||
		!codec_whole(d->to, codecs[d->to].rows, cols) ||
		(codecs[d->from].rows == 1 && cols % codecs[d->from].cols))
		return wrong(d, e, "type or shape are not those of the number format");
	set_units(d, d->src[0]->dim[0]);
	d->rounds = !reform_find(d->from, d->to) && reform_rounding(d->from, d->to);
	if (!d->rounds)
		return find_second(d, other, e);
	if (derive_round_open(d, other, cols, &end, e))
		return -1;
	return end ? wrong(d, e, end) : 0;
}

bool derive_reform_uses(const struct derive *d, const struct tensor *s)
{
	bool no_scales = codecs[d->to].scale == DT_COUNT; /* then they are in the codes */

	if (d->t->of == PART_CODES)
		return s == d->src[0] || (no_scales && s == d->src[1]);
	return d->t->of == PART_SCALES && s == d->src[1];
}
