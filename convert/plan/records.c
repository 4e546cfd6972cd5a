/* records.c -- tables of Engram as records (formats/layout/rowrec.h), a file for each layer, or for each rank of a layer.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/plan/target.h"

#include "quant/cb4.h"

#include <stdio.h>
#include <string.h>

bool layout_records(const struct layout *l, size_t i)
{
	return l->p->opts.record && layout_separates(l, i);
}

/* The step that makes the records of one rank of the table whose codes and scales these are. */
static int record_step(struct layout *l, size_t codes, size_t scales, const struct engram_share *h,
	struct step *s)
{
	const struct tensor *c = &l->p->ckpt->tensors[codes];
	const struct rowrec_dim d = { step_row_bytes(c),
		step_row_bytes(&l->p->ckpt->tensors[scales]) };
	char name[ENGRAM_NAME];

	memset(s, 0, sizeof *s);
	if (!engram_record_name(name, c->name, l->p->opts.record->tensor, h))
		return err_set(l->e, ERR_UNSUPPORTED, "tensor %s: its name is too long",
			text_quote(c->name).s);
	s->op = OP_RECORD;
	s->record = h->rank ? 0 : 3;
	s->as.record = (struct step_record){ (uint32_t)codes, (uint32_t)scales, l->p->opts.record };
	s->take = step_all(c);
	s->take.row = h->first;
	s->take.rows = h->end - h->first;
	s->out = *c;
	s->out.name = arena_strndup(&l->p->arena, name, strlen(name));
	s->out.dtype = DT_U8;
	s->out.dim = layout_dim(l, s->take.rows, rowrec_bytes(l->p->opts.record, d));
	if (!s->out.name)
		return err_nomem(l->e);
	return s->out.dim ? 0 : -1;
}

/* The step that makes the levels of the table of records *r. Its sources are digested by that step. */
static int levels_step(struct layout *l, const struct step *r, const struct engram_share *h,
	struct step *s)
{
	char name[ENGRAM_NAME];

	*s = *r;
	s->op = OP_LEVELS;
	s->record = 0;
	if (!engram_record_name(name, l->p->ckpt->tensors[r->as.record.codes].name, ENGRAM_LEVELS,
		    h))
		return err_set(l->e, ERR_UNSUPPORTED, "tensor %s: its name is too long",
			text_quote(r->out.name).s);
	s->out.name = arena_strndup(&l->p->arena, name, strlen(name));
	s->out.dtype = DT_F32;
	s->out.rank = 1;
	s->out.dim = layout_dim(l, CB4_LEVELS, 1);
	if (!s->out.name)
		return err_nomem(l->e);
	return s->out.dim ? 0 : -1;
}

static int lay_table(struct layout *l, size_t i)
{
	const struct want *w = l->a->want[i];
	struct engram_share h = { .ranks = l->p->opts.engram_ranks ? l->p->opts.engram_ranks : 1 };
	long scales = audit_partner(l->a, i), file;
	char name[ENGRAM_NAME];
	struct step s, levels;

	if (l->p->opts.record->form != ROWREC_KEPT &&
		l->p->ckpt->tensors[i].dim[1] % CB4_BLOCK) /* MXFP4 has the same blocks */
		return err_rule(l->e, RULE_PLAN_ENGRAM, ERR_NOPOS,
			"tensor %s: its rows have %llu columns, and 4 bits want a whole number of %d, which share a scale",
			text_quote(l->p->ckpt->tensors[i].name).s,
			(unsigned long long)l->p->ckpt->tensors[i].dim[1], CB4_BLOCK);
	for (; h.rank < h.ranks; h.rank++) {
		if (engram_share_rows(&h, &l->p->ckpt->config, (uint64_t)w->layer))
			return err_rule(l->e, RULE_PLAN_ENGRAM, ERR_NOPOS,
				"--engram-ranks %llu: the table of layer %d has %llu rows, and every rank has to get one",
				(unsigned long long)h.ranks, w->layer,
				(unsigned long long)l->p->ckpt->tensors[i].dim[0]);
		if (h.ranks == 1)
			snprintf(name, sizeof name, ENGRAM_FILE "%d.safetensors", w->layer);
		else
			snprintf(name, sizeof name, ENGRAM_FILE "%d-rank-%llu-of-%llu.safetensors",
				w->layer, (unsigned long long)h.rank, (unsigned long long)h.ranks);
		file = layout_file(l, name);
		if (file < 0)
			return -1;
		l->p->files[file].align = PLAN_ALIGN; /* records begin where blocks of a disk do */
		if (record_step(l, i, (size_t)scales, &h, &s) || layout_step(l, (size_t)file, &s))
			return -1;
		if (l->p->opts.record->form == ROWREC_CB4 &&
			(levels_step(l, &s, &h, &levels) || layout_step(l, (size_t)file, &levels)))
			return -1;
	}
	return 0;
}

int layout_lay_records(struct layout *l)
{
	size_t i;

	for (i = 0; i < l->p->ckpt->n; i++)
		if (layout_records(l, i) && !l->a->want[i]->scale &&
			l->selected[l->a->want[i]->place] && lay_table(l, i))
			return -1;
	return 0;
}
