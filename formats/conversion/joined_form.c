/* joined_form.c -- what the tensors of a set must be, so that an engine that reads them by their headers computes
 * with the model that the set was made of.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/codec.h"
#include "formats/conversion/joined.h"
#include "formats/conversion/stack.h"
#include "formats/conversion/vllm_form.h"
#include "formats/model/family.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int wrong(struct err *e, const char *what)
{
	return err_rule(e, RULE_SET_FORM, ERR_NOPOS, "%s", what);
}

/* Laid-out experts. */
static int form_of_stack(const struct joined *j, const struct sidecar *s,
	const struct sidecar_tensor *t, const struct piece *p, struct err *e)
{
	const struct stack k = { .s = s,
		.t = t,
		.tile = tile_find(t->layout), /* settle_tile knew it */
		.map = p->map,
		.rows = (uint32_t)(p->rows * p->parts),
		.cols = p->cols,
		.scale = j->c->tensors[p->tensor].dtype == codecs[CODEC_MXFP4].scale };
	char why[256];

	return stack_fits(&k, j->target, why, sizeof why) ? 0 : wrong(e, why);
}

/* All others have the name of their source, its type, and its shape or a part of it. */
static int form_of_plain(const struct joined *j, const struct sidecar_tensor *t,
	const struct piece *p, struct err *e)
{
	const struct tensor *s = &j->c->tensors[p->tensor];
	unsigned dtype = p->wide ? DT_F32 : s->dtype, i;
	uint64_t dim[ST_RANK_MAX + 1] = { 0 }, bits = dtypes[s->dtype].bits;

	if (strcmp(t->name, s->name) != 0)
		return wrong(e, "a tensor that is made of one of another name");
	for (i = 0; i < s->rank; i++)
		dim[i] = s->dim[i];
	if (s->rank)
		dim[0] = p->rows;
	if (s->rank > 1 && t->col[1])
		dim[s->rank - 1] = p->cols * 8 / bits;
	if (t->dtype != dtype || t->rank != s->rank ||
		(s->rank && memcmp(t->dim, dim, s->rank * sizeof *dim) != 0))
		return wrong(e, "type or shape are not those of what is taken of its source");
	return 0;
}

/* A tensor of a matrix in another number format: which of it, and from which format to which. */
struct changed {
	enum codec from, to;
	enum op_part of;
};

static struct changed changed_of(const struct joined *j, const struct sidecar_tensor *t)
{
	if (t->op == OP_REFORM)
		return (struct changed){ (enum codec)t->from, (enum codec)t->to,
			(enum op_part)t->of };
	return (struct changed){ CODEC_MXFP4, family_fp8(j->c->config.family),
		t->op == OP_CAST_SCALE ? PART_SCALES : PART_CODES };
}

/* Whether its type and rank are those of the format. The scales of a cast to FP8 may be F32 numbers. */
static bool is_type(const struct sidecar_tensor *t, struct changed x)
{
	const struct codec_form *to = &codecs[x.to];

	if (x.of == PART_SECOND)
		return t->dtype == DT_F32 && t->rank == to->second.rank;
	if (x.of == PART_ZEROS)
		return t->dtype == DT_I32 && t->rank == 2;
	return t->rank == 2 &&
		(t->dtype == (x.of == PART_CODES ? to->code : to->scale) ||
			(t->op == OP_CAST_SCALE && x.to == CODEC_FP8 && t->dtype == DT_F32));
}

/* Name, type and shape follow from the format and from the source. */
static int form_of_matrix(const struct joined *j, const struct sidecar *s,
	const struct sidecar_tensor *t, struct err *e)
{
	const char *from = t->n ? s->sources[t->first].tensor : "", *dot = strrchr(from, '.');
	const struct changed x = changed_of(j, t);
	const struct codec_form *to = &codecs[x.to];
	const char *ends[PART_COUNT] = { to->codes, to->scales, to->second.name, NULL, NULL,
		to->zeros };
	const struct tensor *w;
	uint64_t dim[2], cols;
	char name[ST_NAME_MAX + 1];

	snprintf(name, sizeof name, "%.*s.%s", (int)(dot ? dot - from : 0), from,
		codecs[x.from].codes);
	w = ckpt_find(j->c, name);
	if (!w || w->rank != 2)
		return wrong(e, "a matrix that its source has not");
	if (x.of == PART_INPUT || x.of == PART_SHAPE) /* nothing of the model depends on them */
		return 0;
	cols = codec_cols(x.from, w->dim[1]);
	snprintf(name, sizeof name, "%.*s.%s", (int)(dot - from), from,
		ends[x.of] ? ends[x.of] : "");
	if (!ends[x.of] || strcmp(name, t->name) != 0)
		return wrong(e, "a tensor that is made of one of another name");
	dim[0] = w->dim[0];
	dim[1] = codec_dim1(x.to, cols);
	if (x.of == PART_SCALES)
		codec_scale_dim(x.to, w->dim[0], cols, dim);
	if (x.of == PART_ZEROS)
		codec_zero_dim(x.to, w->dim[0], cols, dim);
	if (!is_type(t, x) || (x.of != PART_SECOND && memcmp(t->dim, dim, sizeof dim) != 0))
		return wrong(e, "type or shape are not those of the number format");
	return 0;
}

int joined_form(const struct joined *j, const struct sidecar *s, const struct sidecar_tensor *t,
	const struct piece *p, struct err *e)
{
	const char *why = NULL;

	if (rank_target(j->target)) {
		why = vllm_form(j->c, s, t);
		return why ? wrong(e, why) : 0;
	}
	if (t->layout)
		return form_of_stack(j, s, t, p, e);
	if (t->op == OP_REFORM || t->op == OP_CAST || t->op == OP_CAST_SCALE)
		return form_of_matrix(j, s, t, e);
	return form_of_plain(j, t, p, e);
}

/* --- ranks --- */

/* A copy lies as the piece does that it is one of. */
static bool same_form(const struct piece *a, const struct piece *b)
{
	return a->rows == b->rows && a->cols == b->cols && a->tile == b->tile && a->map == b->map &&
		a->parts == b->parts && a->part == b->part && a->wide == b->wide;
}

static int lacks(const struct joined *j, const struct tensor *t, struct err *e)
{
	return err_rule(e, RULE_RANK_UNEVEN, ERR_NOPOS,
		"tensor %s is not on each of the %llu ranks of its stage", text_quote(t->name).s,
		(unsigned long long)j->ranks);
}

/* Notes that the folder of a piece has the tensor i of that stage. Returns false where it had it before, or where
 * another stage has it. */
static bool note(const struct joined *j, uint64_t *seen, const struct piece *p, uint32_t stage)
{
	const struct joined_file *f = &j->files[p->file];
	bool first = seen[f->folder] != p->tensor + 1ull;

	seen[f->folder] = p->tensor + 1ull;
	return first && f->stage == stage;
}

/* Experts may be on some ranks only. */
static bool is_expert(const char *name)
{
	return strstr(name, ".ffn.experts.") != NULL;
}

/* A tensor that is no expert is on every rank of one stage, and on each of them once. */
static int check_tensor(const struct joined *j, uint32_t i, uint64_t *seen, struct err *e)
{
	const struct piece *p = j->pieces + j->first[i], *end = j->pieces + j->first[i + 1], *c;
	uint32_t stage = p < end ? j->files[p->file].stage : 0;
	bool anywhere = p < end && (is_expert(j->c->tensors[i].name) || !j->files[p->file].folder);
	uint64_t n = 0;
	size_t k;

	for (; p < end; p++)
		for (k = 0; k <= p->copies; k++, n++) {
			c = k ? &j->copies[p->copy + k - 1] : p;
			if (!same_form(p, c))
				return wrong(e,
					"copies of a tensor that lie there in different forms");
			if (!anywhere && !note(j, seen, c, stage))
				return lacks(j, &j->c->tensors[i], e);
		}
	return anywhere || !n || n == j->ranks ? 0 : lacks(j, &j->c->tensors[i], e);
}

int joined_ranks(const struct joined *j, struct err *e)
{
	uint64_t *seen;
	uint32_t i;
	int rc;

	if (j->missing[0]) /* whoever needs them is told */
		return 0;
	seen = calloc(j->n_folders + 1, sizeof *seen);
	rc = seen ? 0 : err_nomem(e);
	for (i = 0; !rc && i < j->c->n; i++)
		rc = check_tensor(j, i, seen, e);
	free(seen);
	return rc;
}
