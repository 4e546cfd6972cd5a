/* SPDX-License-Identifier: MIT */
#include "convert/out/tally.h"

#include <stdlib.h>

/* Whether the step has blocks of a matrix, each of which is counted once. */
static bool counts(const struct step *s)
{
	if (s->op == OP_RECORD)
		return s->as.record.how->bits < 8;
	return s->op == OP_REFORM ? s->as.reform.part == PART_CODES
				  : s->op == OP_GGML && s->as.ggml->searched;
}

/* Whether it lists the first of its rounded blocks for the manifest. */
static bool lists(const struct step *s)
{
	return s->op == OP_REFORM || s->op == OP_RECORD;
}

int tally_add(struct block_roles *t, const struct stream *s, struct err *e)
{
	const struct step_result *r;
	const struct step *st;
	size_t i;

	for (i = 0; i < s->f->n; i++) {
		st = &s->f->steps[i];
		r = &s->res[i];
		if (!counts(st))
			continue;
		if (block_roles_add(t, &s->p->ckpt->config,
			    s->p->ckpt->tensors[step_source(st, 0)].name,
			    &(struct manifest_role){ .total = r->blocks,
				    .rescued = r->rescued,
				    .lossy = r->inexact },
			    e))
			return -1;
	}
	return 0;
}

int tally_places_of(struct tally_places *p, const struct stream *s, struct err *e)
{
	const struct maker *m = &s->maker;
	size_t i, k, n = m->n_lost < MANIFEST_PLACES ? m->n_lost : MANIFEST_PLACES;
	const struct sidecar_block *b;

	free(p->v);
	*p = (struct tally_places){ .v = n ? malloc(n * sizeof *p->v) : NULL };
	if (n && !p->v)
		return err_nomem(e);
	for (i = 0; i < s->f->n; i++) {
		if (!lists(&s->f->steps[i]))
			continue;
		for (k = 0; k < s->res[i].n_lost && p->n < n; k++) {
			b = &m->lost[s->res[i].lost + k];
			p->v[p->n++] =
				(struct manifest_place){ s->f->steps[i].out.name, b->row, b->col };
		}
	}
	return 0;
}

static int places_of_sidecar(struct tally_places *p, const struct plan_file *f,
	const struct sidecar *s, struct err *e)
{
	const struct sidecar_block *b;
	size_t i, k;

	free(p->v);
	*p = (struct tally_places){ .v = malloc(MANIFEST_PLACES * sizeof *p->v) };
	if (!p->v)
		return err_nomem(e);
	for (i = 0; i < f->n; i++) {
		if (!lists(&f->steps[i]))
			continue;
		for (k = 0; k < s->tensors[i].n_lost && p->n < MANIFEST_PLACES; k++) {
			b = &s->tensors[i].lost[k];
			p->v[p->n++] =
				(struct manifest_place){ f->steps[i].out.name, b->row, b->col };
		}
	}
	return 0;
}

int tally_of_sidecar(struct block_roles *t, struct tally_places *places, const struct plan *p,
	const struct plan_file *f, const struct sidecar *s, struct err *e)
{
	const struct sidecar_tensor *n;
	const struct step *st;
	size_t i;

	for (i = 0; i < f->n; i++) {
		st = &f->steps[i];
		n = &s->tensors[i];
		if (!lists(st) || !counts(st))
			continue;
		if (block_roles_add(t, &p->ckpt->config, p->ckpt->tensors[step_source(st, 0)].name,
			    &(struct manifest_role){ .total = n->blocks,
				    .rescued = n->rescued,
				    .lossy = n->inexact },
			    e))
			return -1;
	}
	return places_of_sidecar(places, f, s, e);
}
