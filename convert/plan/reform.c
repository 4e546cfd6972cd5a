/* reform.c -- the part of a plan that writes matrices in another number format: which tensors a weight and its scale
 * become, by the recipe of the plan.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/plan/inputs.h"
#include "convert/plan/target.h"

#include "core/text.h"
#include "formats/model/gguf_name.h"

#include <stdio.h>
#include <string.h>

/* The number format of weight or scale i as the plan writes it. */
static enum codec to_of(const struct layout *l, size_t i)
{
	bool stays = l->p->opts.drafts == DRAFTS_KEEP && l->a->want[i]->stage >= 0;

	return stays ? layout_codec(l, i) : role_codec(l->a->want[i]->role, l->p->forms);
}

bool layout_reforms(const struct layout *l, size_t i)
{
	const struct recipe *r = l->p->recipe;

	return r && !r->native && l->a->want[i]->role->store != STORE_PLAIN &&
		layout_codec(l, i) != to_of(l, i);
}

/* The scales of the matrix that the engine multiplies together with this one, w3 of w1 and the other way round: they
 * have one factor. Its own scales where there is none. */
static uint32_t partner_of(const struct layout *l, size_t i, uint32_t scales)
{
	static const char *const pair[2] = { ".w1.scale", ".w3.scale" };
	const char *name = l->p->ckpt->tensors[scales].name;
	size_t n = strlen(name), end = strlen(pair[0]), k;
	char other[ST_NAME_MAX + 1];
	const struct tensor *t;

	if (l->a->want[i]->role->store != STORE_EXPERT || n <= end)
		return scales;
	for (k = 0; k < 2; k++) {
		if (strcmp(name + n - end, pair[k]) != 0)
			continue;
		snprintf(other, sizeof other, "%.*s%s", (int)(n - end), name, pair[!k]);
		t = ckpt_find(l->p->ckpt, other);
		if (t)
			return (uint32_t)(t - l->p->ckpt->tensors);
	}
	return scales;
}

/* A tensor of the matrix f, called as the weight but for its end. */
static int begin_step(struct layout *l, const struct step_reform *f, enum op_part part,
	const char *end, struct step *s)
{
	const char *name = l->p->ckpt->tensors[f->codes].name;
	size_t stem = strlen(name) - strlen(codecs[f->how->from].codes);
	char full[ST_NAME_MAX + 32];
	int n = snprintf(full, sizeof full, "%.*s%s", (int)stem, name, end);

	*s = (struct step){ .op = OP_REFORM, .as.reform = { f, part } };
	s->out.name = arena_strndup(&l->p->arena, full, (size_t)n);
	if (!s->out.name)
		return err_nomem(l->e);
	s->take = step_all(&l->p->ckpt->tensors[step_source(s, 0)]);
	s->record = part == PART_CODES || part == PART_SCALES;
	return 0;
}

static int matrix_step(struct layout *l, const struct step_reform *f, enum op_part part,
	struct step *s)
{
	const struct codec_form *to = &codecs[f->how->to];
	bool codes = part == PART_CODES;
	uint64_t rows = l->p->ckpt->tensors[f->codes].dim[0], dim[2] = { rows };

	if (begin_step(l, f, part, codes ? to->codes : to->scales, s))
		return -1;
	if (codes)
		dim[1] = codec_dim1(f->how->to, layout_cols(l, f->codes));
	else
		codec_scale_dim(f->how->to, rows, layout_cols(l, f->codes), dim);
	if (codes && codecs[f->how->to].scale == DT_COUNT)
		s->record = 3; /* no step of its own reads the scales */
	s->out.dtype = codes ? to->code : to->scale;
	s->out.rank = 2;
	s->out.dim = layout_dim(l, dim[0], dim[1]);
	return s->out.dim ? 0 : -1;
}

/* Zero points. */
static int zeros_step(struct layout *l, const struct step_reform *f, struct step *s)
{
	uint64_t dim[2];

	if (begin_step(l, f, PART_ZEROS, codecs[f->how->to].zeros, s))
		return -1;
	codec_zero_dim(f->how->to, l->p->ckpt->tensors[f->codes].dim[0], layout_cols(l, f->codes),
		dim);
	s->out.dtype = DT_I32;
	s->out.rank = 2;
	s->out.dim = layout_dim(l, dim[0], dim[1]);
	return s->out.dim ? 0 : -1;
}

/* One F32 number. */
static int number_step(struct layout *l, const struct step_reform *f, enum op_part part,
	const char *end, struct step *s)
{
	if (begin_step(l, f, part, end, s))
		return -1;
	s->out.dtype = DT_F32;
	s->out.rank = codecs[f->how->to].second.rank;
	s->out.dim = layout_dim(l, 1, 1);
	return s->out.dim ? 0 : -1;
}

/* Rows and columns. */
static int shape_step(struct layout *l, const struct step_reform *f, struct step *s)
{
	uint64_t *dim;

	if (begin_step(l, f, PART_SHAPE, codecs[f->how->to].shape, s))
		return -1;
	dim = layout_alloc(l, sizeof *dim);
	if (!dim)
		return -1;
	*dim = 2;
	s->out.dtype = DT_I64;
	s->out.rank = 1;
	s->out.dim = dim;
	return 0;
}

static int no_way(struct layout *l, size_t i)
{
	bool rounds = reform_rounding(layout_codec(l, i), to_of(l, i)) != NULL;

	return err_rule(l->e, RULE_PLAN_NO_WAY, ERR_NOPOS,
		"tensor %s is %s: from that there is no exact way to %s, which --to %s wants%s",
		text_quote(l->p->ckpt->tensors[i].name).s, codecs[layout_codec(l, i)].name,
		codecs[to_of(l, i)].name, l->p->recipe->name, rounds ? " (--lossy rounds)" : "");
}

/* Rows that the format cannot take: says which of those can that are made of the same. */
static int no_rows(struct layout *l, size_t i, const struct reform *how)
{
	uint64_t cols = layout_cols(l, i);
	struct text other = { 0 };
	const struct reform *x;
	unsigned c;

	for (c = CODEC_NONE + 1; reform_rounds(how) && c < CODEC_COUNT; c++) {
		x = reform_rounding(how->from, (enum codec)c);
		if (x && cols % reform_unit(x) == 0)
			text_fmt(&other, "%s%s", other.n ? ", " : "; such rows can be ",
				codecs[c].name);
	}
	err_rule(l->e, RULE_PLAN_CAST_SHAPE, ERR_NOPOS,
		"tensor %s: %llu columns are no whole number of blocks of %u, so %s cannot be made of it%s",
		text_quote(l->p->ckpt->tensors[i].name).s, (unsigned long long)cols,
		reform_unit(how), codecs[how->to].name, other.n && !other.failed ? other.s : "");
	text_free(&other);
	return -1;
}

uint64_t layout_reform_bytes(const struct layout *l, size_t i)
{
	enum codec to = to_of(l, i);
	const struct tensor *t = &l->p->ckpt->tensors[i];
	uint64_t cols = layout_cols(l, i), dim[2], zeros[2];

	codec_scale_dim(to, t->dim[0], cols, dim);
	codec_zero_dim(to, t->dim[0], cols, zeros);
	return t->dim[0] * codec_row_bytes(to, cols) +
		(codecs[to].scale == DT_COUNT
				? 0
				: dim[0] * dim[1] * dtypes[codecs[to].scale].bits / 8) +
		(codecs[to].second.name ? 2 * sizeof(float) : 0) +
		(codecs[to].shape ? 2 * sizeof(int64_t) : 0) +
		(codecs[to].zeros ? zeros[0] * zeros[1] * sizeof(int32_t) : 0);
}

/* The importance of the columns of weight i, which is rounded, where the file has it. */
static int find_importance(struct layout *l, size_t i, struct step_reform *f)
{
	const struct imatrix *m = l->p->opts.imatrix;
	const struct imatrix_tensor *t;
	char name[GGUF_NAME_MAX + 1];
	uint64_t cols = layout_cols(l, i), experts = l->p->ckpt->config.E;
	long expert;

	if (!m || !reform_rounds(f->how) ||
		!gguf_name_of(name, &expert, l->p->ckpt->tensors[i].name, false, GGUF_OF_MODEL,
			&l->p->ckpt->config))
		return 0;
	t = imatrix_find(m, name);
	if (t && (t->cols != cols || t->mats != (expert < 0 ? 1 : experts)))
		return err_rule(l->e, RULE_PLAN_RECIPE, ERR_NOPOS,
			"--imatrix is of another model: %s has %llu matrices of %llu columns there, %llu of %llu here",
			text_quote(name).s, (unsigned long long)t->mats,
			(unsigned long long)t->cols, (unsigned long long)(expert < 0 ? 1 : experts),
			(unsigned long long)cols);
	f->importance = t;
	f->matrix = expert < 0 ? 0 : (uint32_t)expert;
	l->weighted += t != NULL;
	return 0;
}

/* The matrix of weight i, in the arena. */
static struct step_reform *matrix_of(struct layout *l, size_t i)
{
	const struct reform *how = reform_find(layout_codec(l, i), to_of(l, i));
	const struct inputs *inputs = l->p->opts.inputs;
	struct step_reform *f;
	uint64_t cols;

	if (!how && l->p->opts.lossy)
		how = reform_rounding(layout_codec(l, i), to_of(l, i));
	if (!how) {
		no_way(l, i);
		return NULL;
	}
	cols = layout_cols(l, i);
	if (cols % reform_unit(how) || !codec_whole(how->to, codecs[how->to].rows, cols)) {
		no_rows(l, i, how);
		return NULL;
	}
	f = layout_alloc(l, sizeof *f);
	if (!f)
		return NULL;
	*f = (struct step_reform){ .codes = (uint32_t)i,
		.scales = (uint32_t)audit_partner(l->a, i),
		.how = how,
		.signs = !l->p->opts.drop_signs,
		.input = inputs && how->second ? inputs_of(inputs, l->a->want[i]) : 0 };
	f->partner = partner_of(l, i, f->scales);
	return find_importance(l, i, f) ? NULL : f;
}

int layout_reform(struct layout *l, size_t i, struct step s[PART_COUNT])
{
	const char *input = l->p->recipe->input;
	struct step_reform *f = matrix_of(l, i);
	int n = 0;

	if (!f || matrix_step(l, f, PART_CODES, &s[n++]))
		return -1;
	if (codecs[f->how->to].scale != DT_COUNT && matrix_step(l, f, PART_SCALES, &s[n++]))
		return -1;
	if (codecs[f->how->to].zeros && zeros_step(l, f, &s[n++]))
		return -1;
	if (codecs[f->how->to].shape && shape_step(l, f, &s[n++]))
		return -1;
	if (f->how->second &&
		number_step(l, f, PART_SECOND, codecs[f->how->to].second.name, &s[n++]))
		return -1;
	if (f->how->second && input && number_step(l, f, PART_INPUT, input, &s[n++]))
		return -1;
	return n;
}
