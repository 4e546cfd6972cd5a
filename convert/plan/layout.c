/* layout.c -- what the planner offers to targets (target.h): files and steps of a plan on its way, and what a tensor of the
 * source is and becomes.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/plan/target.h"

#include "formats/model/family.h"

#include <string.h>

long layout_file(struct layout *l, const char *name)
{
	struct plan *p = l->p;
	struct plan_file *f;

	if (mem_grow(&p->files, &p->files_cap, p->n_files + 1, sizeof *p->files))
		return err_nomem(l->e);
	f = &p->files[p->n_files];
	memset(f, 0, sizeof *f);
	f->name = arena_strndup(&p->arena, name, strlen(name));
	return f->name ? (long)p->n_files++ : err_nomem(l->e);
}

int layout_step(struct layout *l, size_t file, const struct step *s)
{
	struct plan_file *f = &l->p->files[file];

	if (mem_grow(&f->steps, &f->cap, f->n + 1, sizeof *f->steps))
		return err_nomem(l->e);
	f->steps[f->n++] = *s;
	return 0;
}

void layout_fate(struct layout *l, size_t i, enum fate f)
{
	l->p->fate[i] = (uint8_t)f;
}

void *layout_alloc(struct layout *l, size_t n)
{
	void *p = arena_alloc(&l->p->arena, n ? n : 1);

	if (p)
		memset(p, 0, n);
	else
		err_nomem(l->e);
	return p;
}

int layout_small(struct layout *l, const struct plan_small *s)
{
	struct plan *p = l->p;

	if (mem_grow(&p->smalls, &p->smalls_cap, p->n_smalls + 1, sizeof *p->smalls))
		return err_nomem(l->e);
	p->smalls[p->n_smalls++] = *s;
	return 0;
}

const uint64_t *layout_dim(struct layout *l, uint64_t rows, uint64_t cols)
{
	uint64_t *d = arena_alloc(&l->p->arena, 2 * sizeof *d);

	if (!d) {
		err_nomem(l->e);
		return NULL;
	}
	d[0] = rows;
	d[1] = cols;
	return d;
}

enum codec layout_codec(const struct layout *l, size_t i)
{
	const struct role *r = l->a->want[i]->role;

	if (r->store != STORE_PLAIN)
		return role_codec(r, l->a->forms);
	return r->dtype == DT_BF16 ? CODEC_BF16 : r->dtype == DT_F32 ? CODEC_F32 : CODEC_NONE;
}

uint64_t layout_rows(const struct layout *l, size_t i)
{
	const struct tensor *t = &l->p->ckpt->tensors[i];

	return t->rank > 1 ? t->dim[0] : 1;
}

uint64_t layout_cols(const struct layout *l, size_t i)
{
	const struct tensor *t = &l->p->ckpt->tensors[i];
	uint64_t dim1 = t->rank > 1 ? t->dim[1] : t->rank ? t->dim[0] : 1;
	enum codec c = layout_codec(l, i);

	return c == CODEC_NONE ? dim1 : codec_cols(c, dim1);
}

bool layout_casts(const struct layout *l, size_t i)
{
	const struct want *w = l->a->want[i];

	return w->role->store == STORE_EXPERT && l->a->experts == CODEC_MXFP4 &&
		l->p->experts == CODEC_FP8;
}

/* The cast of expert tensor i, a weight or its scale. */
static int cast_step(struct layout *l, size_t i, struct step *s)
{
	const struct recode *how = recode_find(CODEC_MXFP4,
		l->p->f32_scales ? CODEC_FP8_F32 : family_fp8(l->p->ckpt->config.family));
	const struct tensor *t = &l->p->ckpt->tensors[i];
	bool scale = l->a->want[i]->scale;
	uint32_t partner = (uint32_t)audit_partner(l->a, i), self = (uint32_t)i;
	uint64_t o = t->dim[0], dim[2];
	uint64_t k = scale ? t->dim[1] * codecs[how->from].cols : codec_cols(how->from, t->dim[1]);

	if (!codec_whole(how->to, o, k))
		return err_rule(l->e, RULE_PLAN_CAST_SHAPE, ERR_NOPOS,
			"tensor %s: %llu x %llu is no whole number of %u x %u blocks, so --experts fp8 "
			"cannot be made of it",
			text_quote(t->name).s, (unsigned long long)o, (unsigned long long)k,
			codecs[how->to].rows, codecs[how->to].cols);
	s->op = scale ? OP_CAST_SCALE : OP_CAST;
	s->as.recode = scale ? (struct step_recode){ partner, self, how }
			     : (struct step_recode){ self, partner, how };
	codec_scale_dim(how->to, o, k, dim);
	s->out.dtype = scale ? codecs[how->to].scale : codecs[how->to].code;
	s->out.dim =
		scale ? layout_dim(l, dim[0], dim[1]) : layout_dim(l, o, codec_dim1(how->to, k));
	return s->out.dim ? 0 : -1;
}

bool layout_widens(const struct layout *l, size_t i)
{
	return l->p->f32_scales && l->a->want[i]->scale &&
		l->p->ckpt->tensors[i].dtype == DT_F8_E8M0 && !layout_casts(l, i);
}

bool layout_drops(const struct layout *l, size_t i)
{
	return l->p->opts.drafts == DRAFTS_DROP && l->a->want[i]->stage >= 0;
}

bool layout_drops_engram(const struct layout *l, size_t i)
{
	return l->p->opts.engram == ENGRAM_DROP && engram_own(l->a->want[i]->name);
}

bool layout_separates(const struct layout *l, size_t i)
{
	return l->p->opts.engram == ENGRAM_SEPARATE && engram_table(l->a->want[i]->name);
}

/* The scales of a weight whose codes stay, as FP32 numbers. */
static void widen_step(const struct layout *l, size_t i, struct step *s)
{
	const struct recode *how = recode_find(CODEC_FP8, CODEC_FP8_F32);

	s->op = OP_WIDEN;
	s->out.dtype = codecs[how->to].scale;
	s->as.recode = (struct step_recode){ (uint32_t)audit_partner(l->a, i), (uint32_t)i, how };
}

int layout_whole(struct layout *l, size_t i, struct step *s)
{
	const struct tensor *t = &l->p->ckpt->tensors[i];

	memset(s, 0, sizeof *s);
	s->op = OP_COPY;
	s->out = *t;
	s->take = step_all(t);
	s->record = 1;
	if (layout_casts(l, i))
		return cast_step(l, i, s);
	if (layout_widens(l, i))
		widen_step(l, i, s);
	else
		s->as.copy = (struct step_copy){ (uint32_t)i,
			l->a->want[i]->scale && t->dtype == DT_F8_E8M0 };
	return 0;
}
