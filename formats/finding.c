/* SPDX-License-Identifier: MIT */
#include "formats/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int put(struct findings *f, enum err_kind kind, const char *rule, uint64_t pos,
	const char *file, const char *text)
{
	struct finding *v;

	f->total++;
	f->warnings += kind == ERR_NONE;
	if (f->n == FINDINGS_KEPT)
		return 0;
	if (mem_grow(&f->v, &f->cap, f->n + 1, sizeof *v))
		return -1;
	v = &f->v[f->n];
	memset(v, 0, sizeof *v);
	v->kind = kind;
	v->rule = rule;
	v->pos = pos;
	v->text = arena_strndup(&f->arena, text, strlen(text));
	if (file)
		v->file = arena_strndup(&f->arena, file, strlen(file));
	if (!v->text || (file && !v->file))
		return -1;
	f->n++;
	return 0;
}

int finding_take(struct findings *f, const char *file, struct err *e)
{
	struct err was = *e;

	memset(e, 0, sizeof *e);
	if (put(f, was.kind, was.rule, was.pos, file, was.text))
		return err_nomem(e);
	return 0;
}

int finding_add(struct findings *f, enum rule_id rule, const char *file, const char *fmt, ...)
{
	const struct rule *broken = rule_broken(rule);
	char text[640];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return put(f, broken->kind, broken->id, ERR_NOPOS, file, text);
}

int finding_copy(struct findings *f, const struct finding *v)
{
	return put(f, v->kind, v->rule, v->pos, v->file, v->text);
}

int finding_first(const struct findings *f, struct err *e)
{
	const struct finding *v = f->v;
	uint64_t n = f->total - f->warnings;
	struct err first = { 0 };
	size_t i = 0;

	if (!n)
		return 0;
	while (i < f->n && v[i].kind == ERR_NONE)
		i++;
	if (i == f->n)
		return err_nomem(e);
	v += i;
	first.kind = v->kind;
	first.rule = v->rule;
	first.pos = v->pos;
	snprintf(first.text, sizeof first.text,
		n > 1 ? "%s (and %llu more: see dsv4-convert inspect)" : "%s", v->text,
		(unsigned long long)(n - 1));
	return err_move(e, &first);
}

int finding_first_but(const struct findings *f, const char *prefix, struct err *e)
{
	const struct finding *v;
	size_t i, n = strlen(prefix);
	int rc = 0;

	for (i = 0; !rc && i < f->n; i++) {
		v = &f->v[i];
		if (v->kind != ERR_NONE && (!v->rule || strncmp(v->rule, prefix, n) != 0))
			rc = finding_first(&(struct findings){ .v = f->v + i, .n = 1, .total = 1 },
				e);
	}
	return rc;
}

void finding_free(struct findings *f)
{
	free(f->v);
	arena_free(&f->arena);
	memset(f, 0, sizeof *f);
}
