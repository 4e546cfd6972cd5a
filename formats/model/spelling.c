/* SPDX-License-Identifier: MIT */
#include "formats/model/spelling.h"

#include "core/text.h"
#include "formats/model/family.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct row {
	enum dtype declared, official;
	unsigned per; /* declared elements in an official one */
} rows[] = {
	{ DT_F4, DT_I8, 2 },
	{ DT_U8, DT_I8, 1 },
	{ DT_U8, DT_F8_E4M3, 1 },
	{ DT_U8, DT_F8_E8M0, 1 },
};

/* The type that the published files give a quantized weight or its scale; DT_COUNT where the name is of neither. */
static enum dtype official(const struct config *c, const char *name)
{
	bool scale = text_stem(name, ".scale") > 0;
	const struct role *r = family_role(c->family, name, scale);
	enum codec form;

	if (!r || r->store == STORE_PLAIN)
		return DT_COUNT;
	form = r->store != STORE_EXPERT || c->experts == CODEC_FP8 || c->experts == CODEC_FP8_F32
		? CODEC_FP8
		: CODEC_MXFP4;
	return scale ? codecs[form].scale : codecs[form].code;
}

static int by_name(const void *name, const void *t)
{
	return strcmp(name, ((const struct tensor *)t)->name);
}

/* True of a scale, and of a weight that has one under the published name. Without it the bytes are another number
 * format's (NVFP4 has U8 too). t is sorted by name. */
static bool is_published(const struct tensor *t, size_t n, const char *name)
{
	char scale[ST_NAME_MAX + 8];

	if (!text_ends(name, ".weight"))
		return true;
	snprintf(scale, sizeof scale, "%.*s.scale", (int)text_stem(name, ".weight"), name);
	return bsearch(scale, t, n, sizeof *t, by_name);
}

static void describe(const struct tensor *t, char text[64])
{
	snprintf(text, 64, "%s [%llu,%llu]", dtypes[t->dtype].name,
		(unsigned long long)(t->rank ? t->dim[0] : 0),
		(unsigned long long)(t->rank > 1 ? t->dim[1] : 0));
}

static int respell(struct tensor *t, const struct row *r, struct spellings *s, struct arena *arena)
{
	uint64_t *dim;

	if (t->rank != 2 || t->dim[1] % r->per)
		return 0;
	dim = arena_alloc(arena, 2 * sizeof *dim);
	if (!dim)
		return -1;
	dim[0] = t->dim[0];
	dim[1] = t->dim[1] / r->per;
	if (!s->n)
		describe(t, s->was);
	t->dim = dim;
	t->dtype = (uint8_t)r->official;
	if (!s->n) {
		describe(t, s->is);
		s->first = t;
	}
	s->n++;
	return 0;
}

int spellings_settle(struct spellings *s, struct tensor *t, size_t n, const struct config *c,
	struct arena *arena)
{
	const struct row *r, *end = rows + sizeof rows / sizeof *rows;
	enum dtype want;
	size_t i;

	memset(s, 0, sizeof *s);
	for (i = 0; c->family && i < n; i++) {
		if (t[i].dtype != DT_F4 && t[i].dtype != DT_U8)
			continue;
		want = official(c, t[i].name);
		for (r = rows; r < end && (r->declared != t[i].dtype || r->official != want); r++)
			;
		if (r < end && is_published(t, n, t[i].name) && respell(&t[i], r, s, arena))
			return -1;
	}
	return 0;
}
