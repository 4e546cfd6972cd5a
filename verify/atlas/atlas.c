/* SPDX-License-Identifier: MIT */
#include "verify/atlas/atlas.h"

#include "core/pattern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct atlas_entry *atlas_add(struct atlas *a, const char *tensor)
{
	char role[256];
	struct atlas_entry *x;

	if (mem_grow(&a->v, &a->cap, a->n + 1, sizeof *a->v))
		return NULL;
	x = &a->v[a->n];
	memset(x, 0, sizeof *x);
	pattern_of(tensor, role, sizeof role);
	x->tensor = arena_strndup(&a->arena, tensor, strlen(tensor));
	/* roles are few, and tensors of one follow one another: the one before has it, mostly */
	x->role = a->n && !strcmp(a->v[a->n - 1].role, role)
		? a->v[a->n - 1].role
		: arena_strndup(&a->arena, role, strlen(role));
	x->use = -1;
	if (!x->tensor || !x->role)
		return NULL;
	a->n++;
	return x;
}

int atlas_seal(struct atlas *a, struct err *e)
{
	struct xxh *of[2] = { xxh_new(), xxh_new() };
	size_t i, len;

	if (!of[0] || !of[1]) {
		xxh_free(of[0]);
		xxh_free(of[1]);
		return err_nomem(e);
	}
	for (i = 0; i < a->n; i++) {
		if (!a->v[i].s.n)
			continue;
		len = strlen(a->v[i].tensor) + 1;
		xxh_update(of[0], a->v[i].tensor, len);
		xxh_update(of[0], &a->v[i].source, sizeof a->v[i].source);
		xxh_update(of[1], a->v[i].tensor, len);
		xxh_update(of[1], &a->v[i].out, sizeof a->v[i].out);
	}
	a->source = xxh_final(of[0]);
	a->out = xxh_final(of[1]);
	xxh_free(of[0]);
	xxh_free(of[1]);
	return 0;
}

void atlas_free(struct atlas *a)
{
	free(a->v);
	arena_free(&a->arena);
	memset(a, 0, sizeof *a);
}

/* The digits behind prefix, where s begins with it: how long both are together; 0: it does not. */
static size_t numbered(const char *s, const char *prefix)
{
	size_t n = strlen(prefix), digits;

	if (strncmp(s, prefix, n) != 0)
		return 0;
	digits = strspn(s + n, "0123456789");
	return digits && digits < 8 ? n + digits : 0;
}

/* The number of the at most seven digits at s. */
static long number(const char *s)
{
	long v = 0;

	for (; *s >= '0' && *s <= '9'; s++)
		v = v * 10 + (*s - '0');
	return v;
}

long atlas_place(const char *block)
{
	const char *dot = strchr(block, '.');

	return !dot ? -1 : number(dot + 1) + (*block == 'm' ? 1L << 24 : 0);
}

void atlas_block(const char *tensor, char block[ATLAS_WORD])
{
	size_t n = numbered(tensor, "layers.");

	n = n ? n : numbered(tensor, "mtp.");
	if (n && tensor[n] == '.')
		snprintf(block, ATLAS_WORD, "%.*s", (int)n, tensor);
	else
		snprintf(block, ATLAS_WORD, "model");
}

long atlas_expert(const char *tensor)
{
	static const char mark[] = ".ffn.experts.";
	const char *at = strstr(tensor, mark);

	return at && numbered(at, mark) ? number(at + sizeof mark - 1) : -1;
}

double atlas_bits(uint64_t bytes, uint64_t values)
{
	return values ? 8 * (double)bytes / (double)values : 0;
}
