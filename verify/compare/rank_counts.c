/* SPDX-License-Identifier: MIT */
#include "verify/compare/rank_counts.h"

#include "formats/conversion/vllm_form.h"

#include <stdlib.h>
#include <string.h>

int rank_counts_add(struct rank_counts *c, const struct walk_file *f, struct err *e)
{
	long rank = strcmp(f->d->m->target, VLLM_TARGET) != 0 ? -1 : vllm_rank_of(f->f->name);

	if (rank < 0 || rank >= MANIFEST_FOLDERS)
		return 0;
	if (mem_grow(&c->v, &c->cap, (size_t)rank + 1, sizeof *c->v))
		return err_nomem(e);
	while (c->n <= (size_t)rank)
		c->v[c->n++] = 0;
	c->v[rank] += f->s->n;
	return 0;
}

void rank_counts_hold(const struct rank_counts *c, struct report *r)
{
	struct report_place at = { .file = MAN_NAME };
	size_t i;

	for (i = 1; i < c->n; i++)
		if (c->v[i] != c->v[0])
			report_add(r, RULE_COMPARE_LOST, &at,
				"rank %zu has %llu parameters, rank 0 has %llu", i,
				(unsigned long long)c->v[i], (unsigned long long)c->v[0]);
}

void rank_counts_free(struct rank_counts *c)
{
	free(c->v);
	memset(c, 0, sizeof *c);
}
