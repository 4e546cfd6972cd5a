/* SPDX-License-Identifier: MIT */
#include "verify/compare/rank_counts.h"

#include "formats/conversion/vllm_form.h"

#include <stdlib.h>
#include <string.h>

int rank_counts_add(struct rank_counts *c, const struct walk_file *f, struct err *e)
{
	struct xxh_digest d;
	uint64_t half;
	size_t i;
	long rank = !rank_target(f->d->m->target) ? -1 : vllm_rank_of(f->f->name);

	if (rank < 0 || rank >= MANIFEST_FOLDERS)
		return 0;
	if (mem_grow(&c->v, &c->cap, (size_t)rank + 1, sizeof *c->v))
		return err_nomem(e);
	while (c->n <= (size_t)rank)
		c->v[c->n++] = (struct rank_count){ 0 };
	c->v[rank].n += f->s->n;
	for (i = 0; i < f->s->n; i++) {
		d = xxh_of(f->s->tensors[i].name, strlen(f->s->tensors[i].name));
		memcpy(&half, d.b, sizeof half);
		c->v[rank].names += half; /* wraps */
	}
	return 0;
}

void rank_counts_hold(const struct rank_counts *c, struct report *r)
{
	struct report_place at = { .file = MAN_NAME };
	size_t i;

	for (i = 1; i < c->n; i++)
		if (c->v[i].n != c->v[0].n || c->v[i].names != c->v[0].names)
			report_add(r, RULE_COMPARE_LOST, &at,
				"rank %zu has %llu parameters, rank 0 has %llu, and they are not the same ones",
				i, (unsigned long long)c->v[i].n, (unsigned long long)c->v[0].n);
}

void rank_counts_free(struct rank_counts *c)
{
	free(c->v);
	memset(c, 0, sizeof *c);
}
