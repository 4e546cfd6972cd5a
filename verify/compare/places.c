/* SPDX-License-Identifier: MIT */
#include "verify/compare/places.h"

#include <stdlib.h>
#include <string.h>

int places_add(struct places *p, const struct manifest_place *x, struct err *e)
{
	const char *name;

	if (p->n == MANIFEST_PLACES)
		return 0;
	name = p->n && !strcmp(p->v[p->n - 1].tensor, x->tensor)
		? p->v[p->n - 1].tensor
		: arena_strndup(&p->arena, x->tensor, strlen(x->tensor));
	if (!name || mem_grow(&p->v, &p->cap, p->n + 1, sizeof *p->v))
		return err_nomem(e);
	p->v[p->n++] = (struct manifest_place){ name, x->row, x->block };
	return 0;
}

long places_differ(const struct places *a, const struct places *b)
{
	size_t n = a->n < b->n ? a->n : b->n, i;

	for (i = 0; i < n; i++)
		if (a->v[i].row != b->v[i].row || a->v[i].block != b->v[i].block ||
			strcmp(a->v[i].tensor, b->v[i].tensor) != 0)
			return (long)i;
	return a->n == b->n ? -1 : (long)n;
}

void places_free(struct places *p)
{
	free(p->v);
	arena_free(&p->arena);
	memset(p, 0, sizeof *p);
}
