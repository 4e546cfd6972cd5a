/* SPDX-License-Identifier: MIT */
#include "verify/report/role_sum.h"

#include "core/pattern.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct role_sum *roles_of(struct roles *r, const char *tensor)
{
	char name[sizeof r->v->name];
	size_t i;

	pattern_of(tensor, name, sizeof name);
	if (r->n && !strcmp(r->v[r->last].name, name))
		return &r->v[r->last];
	if (r->n >= ROLES_MAX)
		snprintf(name, sizeof name, "(others)");
	for (i = 0; i < r->n && strcmp(r->v[i].name, name) != 0; i++)
		;
	if (i == r->n) {
		if (mem_grow(&r->v, &r->cap, r->n + 1, sizeof *r->v))
			return NULL;
		memset(&r->v[i], 0, sizeof *r->v);
		memcpy(r->v[i].name, name, sizeof name);
		r->n++;
	}
	r->last = i;
	return &r->v[i];
}

int roles_add(struct roles *r, const char *tensor, uint64_t bytes, struct err *e)
{
	struct role_sum *s = roles_of(r, tensor);

	if (!s)
		return err_nomem(e);
	s->n++;
	s->bytes += bytes;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct role_sum *)a)->name, ((const struct role_sum *)b)->name);
}

void roles_put(struct roles *r, struct report *out)
{
	size_t i;

	r->last = 0;
	if (r->n)
		qsort(r->v, r->n, sizeof *r->v, by_name);
	for (i = 0; i < r->n; i++)
		report_row(out, "roles", r->v[i].name, r->v[i].n, r->v[i].bytes, NULL);
}

void roles_free(struct roles *r)
{
	free(r->v);
	memset(r, 0, sizeof *r);
}
