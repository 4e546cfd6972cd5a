/* SPDX-License-Identifier: MIT */
#include "formats/conversion/block_roles.h"

#include "core/mem.h"
#include "core/pattern.h"
#include "core/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Which blocks of the model a source tensor is in. */
static const char *where_of(const struct config *c, const char *name)
{
	static const char layers[] = "layers.", mtp[] = "mtp.";

	if (strncmp(name, layers, sizeof layers - 1) != 0)
		return strncmp(name, mtp, sizeof mtp - 1) ? "model" : "drafts";
	return strtoull(name + sizeof layers - 1, NULL, 10) < c->n_hash ? "hash" : "score";
}

/* layers.N.ffn.experts.E.w1.weight: ffn.experts.#.w1 */
static void role_of(const char *name, char *out, size_t room)
{
	char pattern[256];
	const char *p;
	size_t n;

	pattern_of(name, pattern, sizeof pattern);
	p = strchr(pattern, '.');
	p = p ? strchr(p + 1, '.') : NULL;
	p = p ? p + 1 : pattern;
	n = text_stem(p, ".weight");
	snprintf(out, room, "%.*s", (int)(n ? n : strlen(p)), p);
}

int block_roles_merge(struct block_roles *t, const struct manifest_role *n, struct err *e)
{
	struct manifest_role *r = t->v, *end = t->v + t->n;

	while (r < end && (strcmp(r->where, n->where) || strcmp(r->role, n->role)))
		r++;
	if (r == end) {
		if (mem_grow(&t->v, &t->cap, t->n + 1, sizeof *t->v))
			return err_nomem(e);
		t->v[t->n++] = *n;
		return 0;
	}
	r->total += n->total;
	r->rescued += n->rescued;
	r->lossy += n->lossy;
	return 0;
}

int block_roles_add(struct block_roles *t, const struct config *c, const char *tensor,
	const struct manifest_role *n, struct err *e)
{
	struct manifest_role row = *n;

	snprintf(row.where, sizeof row.where, "%s", where_of(c, tensor));
	role_of(tensor, row.role, sizeof row.role);
	return block_roles_merge(t, &row, e);
}

static int by_place(const void *a, const void *b)
{
	const struct manifest_role *x = a, *y = b;
	int c = strcmp(x->where, y->where);

	return c ? c : strcmp(x->role, y->role);
}

void block_roles_sort(struct block_roles *t)
{
	if (t->n)
		qsort(t->v, t->n, sizeof *t->v, by_place);
}

const struct manifest_role *block_roles_differ(const struct block_roles *a,
	const struct block_roles *b)
{
	size_t i;

	for (i = 0; i < a->n && i < b->n; i++)
		if (by_place(&a->v[i], &b->v[i]) || a->v[i].total != b->v[i].total ||
			a->v[i].rescued != b->v[i].rescued || a->v[i].lossy != b->v[i].lossy)
			return &a->v[i];
	return i < a->n ? &a->v[i] : i < b->n ? &b->v[i] : NULL;
}

void block_roles_free(struct block_roles *t)
{
	free(t->v);
	memset(t, 0, sizeof *t);
}
