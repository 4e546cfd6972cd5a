/* choice_lines.c -- a choice of types as lines of a recipe: a line for each role and type, with the blocks that have it.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/format_id.h"
#include "quant/cli/choice.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Letters of a list of blocks in one line; mix_read takes words of 127. */
enum { LIST = 100 };

static bool is_recipe(const struct io *io, int fd, uint64_t size)
{
	return dest_begins(io, fd, size, FORMAT_RECIPE " ", sizeof FORMAT_RECIPE);
}

const struct dest_kind choice_recipe_kind = { "a recipe file", is_recipe };

/* How many tensors of the model have the role, each block counted once. */
static size_t blocks_of(const struct audit *a, uint16_t nth)
{
	const struct want *w;
	size_t n = 0;

	for (w = a->inv.wants; w < a->inv.wants + a->inv.n; w++)
		n += w->nth == nth && !w->scale && !w->optional && w->expert <= 0;
	return n;
}

static void put_line(struct text *t, const struct unit *u, const char *blocks, uint32_t type)
{
	char name[32];
	size_t i;

	snprintf(name, sizeof name, "%s", ggml_type_name(type));
	for (i = 0; name[i]; i++)
		name[i] = (char)tolower((unsigned char)name[i]);
	text_fmt(t, "%-26s %-16s *  %s\n", u->role, blocks, name);
}

/* Whether unit b is of the same role and type as a, in the layer behind that of prev. */
static bool follows(const struct units *u, const uint32_t *types, size_t a, size_t prev, size_t b)
{
	return u->v[b].nth == u->v[a].nth && types[b] == types[a] &&
		u->v[b].place == u->v[prev].place + 1 &&
		isdigit((unsigned char)u->v[prev].block[0]) &&
		isdigit((unsigned char)u->v[b].block[0]);
}

/* Appends the blocks from unit i on that have its role and type to list, as --layers has them. Returns the last unit that is in it. */
static size_t put_range(const struct units *u, const uint32_t *types, size_t i,
	char list[LIST + 64])
{
	size_t n = strlen(list), last = i, k;

	for (k = i + 1; k < u->n; k++)
		if (follows(u, types, i, last, k))
			last = k;
	snprintf(list + n, LIST + 64 - n, last > i ? "%s%s-%s" : "%s%s", n ? "," : "",
		u->v[i].block, u->v[last].block);
	return last;
}

/* Lines of the role and type of unit i, which is the first that has both. */
static void put_role(struct text *t, const struct units *u, const uint32_t *types, size_t i,
	const struct audit *a)
{
	char list[LIST + 64] = "";
	int64_t upto = -1; /* blocks before it are in a line already */
	size_t k, n = 0;

	for (k = i; k < u->n; k++)
		n += u->v[k].nth == u->v[i].nth && types[k] == types[i];
	if (n == blocks_of(a, u->v[i].nth)) {
		put_line(t, &u->v[i], "*", types[i]);
		return;
	}
	for (k = i; k < u->n; k++) {
		if (u->v[k].nth != u->v[i].nth || types[k] != types[i] || u->v[k].place <= upto)
			continue;
		upto = u->v[put_range(u, types, k, list)].place;
		if (strlen(list) > LIST) {
			put_line(t, &u->v[i], list, types[i]);
			list[0] = '\0';
		}
	}
	if (list[0])
		put_line(t, &u->v[i], list, types[i]);
}

/* Whether a unit before i has its role and type: the lines of both are there. */
static bool is_put(const struct units *u, const uint32_t *types, size_t i)
{
	size_t k;

	for (k = 0; k < i && (u->v[k].nth != u->v[i].nth || types[k] != types[i]); k++)
		;
	return k < i;
}

void choice_put_lines(struct text *t, const struct units *u, const uint32_t *types,
	const struct audit *a)
{
	uint16_t nth;
	size_t i;

	for (nth = 0; nth < MIX_ROLES; nth++)
		for (i = 0; i < u->n; i++)
			if (u->v[i].nth == nth && types[i] != UINT32_MAX && !is_put(u, types, i))
				put_role(t, u, types, i, a);
}
