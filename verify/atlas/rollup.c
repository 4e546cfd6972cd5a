/* SPDX-License-Identifier: MIT */
#include "verify/atlas/rollup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *rollup_name(const struct rollup *r)
{
	return r->name ? r->name : r->word;
}

/* The sum of that name, made if need be; NULL without memory. Blocks and roles are few hundreds. */
static struct rollup *find(struct rollups *r, const char *by, const char *name, bool stays)
{
	struct rollup *x;
	size_t i;

	for (i = r->n; i; i--)
		if (!strcmp(r->v[i - 1].by, by) && !strcmp(rollup_name(&r->v[i - 1]), name))
			return &r->v[i - 1];
	if (mem_grow(&r->v, &r->cap, r->n + 1, sizeof *r->v))
		return NULL;
	x = &r->v[r->n++];
	*x = (struct rollup){ .by = by, .name = stays ? name : NULL, .clips = true };
	if (!stays)
		strncpy(x->word, name, sizeof x->word - 1);
	return x;
}

static double sqnr_of(const struct atlas_entry *x)
{
	return x ? sums_sqnr(x->s.error, x->s.energy) : (double)NAN;
}

static void add(struct rollup *r, const struct atlas_entry *x)
{
	double own = sqnr_of(x);

	r->tensors++;
	r->bytes += x->bytes;
	sums_add(&r->s, &x->s);
	r->clips = r->clips && x->clips;
	r->weighed = r->weighed || x->weighed;
	if (x->use > 0 && atlas_expert(x->tensor) >= 0) {
		r->used_energy += x->use * x->s.energy;
		r->used_error += x->use * x->s.error;
	}
	if (!isnan(own) && !(own >= sqnr_of(r->worst)))
		r->worst = x;
}

static int kind_of(const struct rollup *r)
{
	return *r->by == 'r' ? 0 : *r->by == 'b' ? 1 : 2;
}

static int in_order(const void *a, const void *b)
{
	const struct rollup *x = a, *y = b;
	long p = atlas_place(rollup_name(x)), q = atlas_place(rollup_name(y));

	if (kind_of(x) != kind_of(y))
		return kind_of(x) - kind_of(y);
	if (kind_of(x) == 1 && p != q)
		return p < q ? -1 : 1;
	return strcmp(rollup_name(x), rollup_name(y));
}

int rollups_make(struct rollups *r, const struct atlas *a, struct err *e)
{
	const struct atlas_entry *x;
	struct rollup *to[3];
	char block[ATLAS_WORD];
	unsigned i;

	*r = (struct rollups){ 0 };
	for (x = a->v; x < a->v + a->n; x++) {
		if (!x->s.n)
			continue;
		atlas_block(x->tensor, block);
		for (i = 0; i < 3; i++) { /* each at once: finding one may move the others */
			to[i] = i == 0   ? find(r, "role", x->role, true)
				: i == 1 ? find(r, "block", block, false)
					 : find(r, "all", "all tensors", true);
			if (!to[i])
				return err_nomem(e);
			add(to[i], x);
		}
	}
	if (r->n)
		qsort(r->v, r->n, sizeof *r->v, in_order);
	return 0;
}

void rollups_free(struct rollups *r)
{
	free(r->v);
	memset(r, 0, sizeof *r);
}
