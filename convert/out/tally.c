/* SPDX-License-Identifier: MIT */
#include "convert/out/tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Which blocks of the model a source tensor is in. */
static const char *where_of(const struct config *c, const char *name)
{
	static const char layers[] = "layers.";

	if (strncmp(name, layers, sizeof layers - 1) != 0)
		return "drafts";
	return strtoull(name + sizeof layers - 1, NULL, 10) < c->n_hash ? "hash" : "score";
}

/* layers.N.ffn.experts.E.w1.weight: ffn.experts.#.w1 */
static void role_of(const char *name, char *out, size_t room)
{
	static const char end[] = ".weight";
	const char *p = strchr(name, '.'), *last = name + strlen(name) - (sizeof end - 1);
	size_t n = 0;

	p = p ? strchr(p + 1, '.') : NULL;
	for (p = p ? p + 1 : name; p < last && n + 2 < room; n++) {
		if (p[-1] == '.' && *p >= '0' && *p <= '9') {
			out[n] = '#';
			p += strspn(p, "0123456789");
		} else {
			out[n] = *p++;
		}
	}
	out[n] = 0;
}

static struct manifest_role *row_of(struct tally *t, const char *where, const char *role)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (!strcmp(t->v[i].where, where) && !strcmp(t->v[i].role, role))
			return &t->v[i];
	if (mem_grow(&t->v, &t->cap, t->n + 1, sizeof *t->v))
		return NULL;
	t->v[t->n] = (struct manifest_role){ .total = 0 };
	snprintf(t->v[t->n].where, sizeof t->v->where, "%s", where);
	snprintf(t->v[t->n].role, sizeof t->v->role, "%s", role);
	return &t->v[t->n++];
}

int tally_add(struct tally *t, const struct stream *s, struct err *e)
{
	const struct step_result *r;
	const struct step *st;
	struct manifest_role *row;
	const char *name;
	char role[sizeof row->role];
	size_t i;

	for (i = 0; i < s->f->n; i++) {
		st = &s->f->steps[i];
		r = &s->res[i];
		if (st->op != OP_REFORM || st->as.reform.part != PART_CODES)
			continue;
		name = s->p->ckpt->tensors[st->as.reform.of->codes].name;
		role_of(name, role, sizeof role);
		row = row_of(t, where_of(&s->p->ckpt->config, name), role);
		if (!row)
			return err_nomem(e);
		row->total += r->blocks;
		row->rescued += r->rescued;
		row->lossy += r->inexact;
	}
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct manifest_role *x = a, *y = b;
	int c = strcmp(x->where, y->where);

	return c ? c : strcmp(x->role, y->role);
}

void tally_sort(struct tally *t)
{
	if (t->n)
		qsort(t->v, t->n, sizeof *t->v, by_place);
}

void tally_free(struct tally *t)
{
	free(t->v);
	memset(t, 0, sizeof *t);
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
		if (s->f->steps[i].op != OP_REFORM)
			continue;
		for (k = 0; k < s->res[i].n_lost && p->n < n; k++) {
			b = &m->lost[s->res[i].lost + k];
			p->v[p->n++] =
				(struct manifest_place){ s->f->steps[i].out.name, b->row, b->col };
		}
	}
	return 0;
}
