/* SPDX-License-Identifier: MIT */
#include "verify/run/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int trace_keep(void *ctx, const char *name, const void *v, bool whole, uint32_t n, uint32_t cols,
	int64_t token, struct err *e)
{
	size_t bytes = 4 * (size_t)n * cols;
	struct trace *t = ctx;
	struct trace_step *s;

	(void)whole, (void)token;
	if (mem_grow(&t->steps, &t->cap, t->n + 1, sizeof *t->steps))
		return err_nomem(e);
	s = &t->steps[t->n++];
	*s = (struct trace_step){ .n = n, .cols = cols, .digest = xxh_of(v, bytes) };
	snprintf(s->name, sizeof s->name, "%s", name);
	if (t->bytes + bytes > t->most)
		return 0;
	s->v = malloc(bytes + 1);
	if (!s->v)
		return err_nomem(e);
	memcpy(s->v, v, bytes);
	t->bytes += bytes;
	return 0;
}

static double value(const void *v, bool whole, size_t i)
{
	return whole ? (double)((const int32_t *)v)[i] : (double)((const float *)v)[i];
}

static void locate(struct trace_difference *d, const struct trace_step *s, const void *v)
{
	size_t i, all = (size_t)s->n * s->cols, first = all;

	d->kept = s->v;
	d->n = all;
	for (i = 0; s->v && i < all; i++)
		if (memcmp((const char *)s->v + 4 * i, (const char *)v + 4 * i, 4) != 0) {
			first = first == all ? i : first;
			d->differ++;
		}
	if (first == all)
		return;
	d->row = (uint32_t)(first / s->cols);
	d->col = (uint32_t)(first % s->cols);
	d->was = value(s->v, d->whole, first);
	d->is = value(v, d->whole, first);
}

int trace_check(void *ctx, const char *name, const void *v, bool whole, uint32_t n, uint32_t cols,
	int64_t token, struct err *e)
{
	struct trace *t = ctx;
	const struct trace_step *s = t->at < t->n ? &t->steps[t->at] : NULL;
	struct xxh_digest digest = xxh_of(v, 4 * (size_t)n * cols);

	(void)e;
	t->at++;
	if (t->first.found)
		return 0;
	if (s && !strcmp(s->name, name) && s->n == n && s->cols == cols &&
		!memcmp(&s->digest, &digest, sizeof digest))
		return 0;
	t->first = (struct trace_difference){ .found = true, .whole = whole, .token = token };
	snprintf(t->first.name, sizeof t->first.name, "%s", name);
	if (s && !strcmp(s->name, name) && s->n == n && s->cols == cols)
		locate(&t->first, s, v);
	return 0;
}

void trace_clear(struct trace *t)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		free(t->steps[i].v);
	free(t->steps);
	t->steps = NULL;
	t->n = t->cap = t->at = 0;
	t->bytes = 0;
}
