/* SPDX-License-Identifier: MIT */
#include "verify/compare/said.h"

#include <stdio.h>
#include <string.h>

bool said_is_new(const struct said *s, const char *folder)
{
	return !s->some || strcmp(s->of, folder) != 0;
}

int said_hear(struct said *s, const char *folder, const struct manifest *m, struct err *e)
{
	size_t i;

	s->some = true;
	snprintf(s->of, sizeof s->of, "%s", folder);
	for (i = 0; i < m->n_roles; i++)
		if (block_roles_merge(&s->roles, &m->roles[i], e))
			return -1;
	for (i = 0; i < m->n_lossy; i++)
		if (places_add(&s->places, &m->lossy[i], e))
			return -1;
	return 0;
}

bool said_lists(const struct sidecar *a, const struct sidecar_tensor *t,
	const struct sidecar_block *lost, size_t n)
{
	uint64_t all = 0;
	uint32_t k;
	size_t i;

	if (t->n_lost > n)
		return false;
	for (k = 0; k < t->n_lost; k++)
		if (t->lost[k].row != lost[k].row || t->lost[k].col != lost[k].col)
			return false;
	for (i = 0; t->n_lost < n && i < a->n; i++)
		all += a->tensors[i].n_lost;
	return t->n_lost == n || all == SIDECAR_LOST;
}

int said_find(struct said *s, const struct sidecar *a, struct err *e)
{
	const struct sidecar_tensor *t;
	uint32_t k;

	for (t = a->tensors; t < a->tensors + a->n; t++)
		for (k = 0; (t->op == OP_REFORM || t->op == OP_RECORD) && k < t->n_lost; k++)
			if (places_add(&s->places_found,
				    &(struct manifest_place){
					    t->name, t->lost[k].row, t->lost[k].col },
				    e))
				return -1;
	return 0;
}

void said_hold(struct said *s, struct report *r)
{
	const struct report_place at = { .file = MAN_NAME };
	const struct manifest_role *d;
	long place;

	block_roles_sort(&s->roles);
	block_roles_sort(&s->found);
	d = block_roles_differ(&s->roles, &s->found);
	if (d)
		report_add(r, RULE_COMPARE_COUNTS, &at,
			"what blocks_by_role says of %s (%s) is not what the values say",
			text_quote(d->role).s, text_quote(d->where).s);
	place = places_differ(&s->places, &s->places_found);
	if (place >= 0)
		report_add(r, RULE_COMPARE_COUNTS, &at,
			"entry %ld of inexact_at is not the rounded block that the values have there",
			place);
}

void said_free(struct said *s)
{
	block_roles_free(&s->roles);
	block_roles_free(&s->found);
	places_free(&s->places);
	places_free(&s->places_found);
	memset(s, 0, sizeof *s);
}
