/* SPDX-License-Identifier: MIT */
#include "quant/cli/formats.h"

#include "formats/format_id.h"
#include "formats/json/jwrite.h"
#include "formats/layout/rowrec.h"
#include "formats/model/recipes.h"

#include <stdio.h>

/* What files there are, and what matrices are where the row of a recipe leaves it to the container. */
static const struct {
	const char *name, *experts, *dense;
} containers[CONTAINER_COUNT] = {
	[CONTAINER_SHARDS] = { "safetensors", "as they are", "as they are" },
	[CONTAINER_GGUF] = { "GGUF", "mxfp4", "bf16" },
};

static const char *experts_word(const struct recipe *r)
{
	return r->forms.experts == CODEC_NONE ? containers[r->container].experts
					      : codecs[r->forms.experts].name;
}

static const char *dense_word(const struct recipe *r)
{
	return r->forms.dense == CODEC_NONE ? containers[r->container].dense
					    : codecs[r->forms.dense].name;
}

/* Of the names that round tables of Engram. */
static const char *const table_what[] = {
	[ROWREC_KEPT] = "",
	[ROWREC_MXFP4] =
		"the tables of Engram (V4.1) rounded to MXFP4, a row after a row in engram-LAYER.safetensors; the rest as it is",
	[ROWREC_CB4] =
		"the same, rounded to 16 levels that each table has for itself, with E5M3 scales",
};
static const char table_loaders[] = "nobody: for a loader of its own (docs/layouts.md)";
static const char table_checked[] = "its bytes, by two derivations; no model was run with it";

void formats_text(struct text *out)
{
	const struct recipe *r;
	const struct rowrec *t;

	for (r = recipes; r->name; r++)
		text_fmt(out,
			"%-14s %s\n%-14s experts %s, dense %s, %s\n%-14s loaded by %s\n%-14s checked: %s\n",
			r->name, r->what, "", experts_word(r), dense_word(r),
			containers[r->container].name, "", r->loaders, "", r->checked);
	for (t = rowrecs; t < rowrecs + n_rowrecs; t++)
		if (t->bits < 8)
			text_fmt(out,
				"engram-%-7s %s\n%-14s experts as they are, dense as they are, safetensors\n%-14s loaded by %s\n%-14s checked: %s\n",
				t->name, table_what[t->form], "", "", table_loaders, "",
				table_checked);
}

void formats_json(struct text *out)
{
	const struct recipe *r;
	const struct rowrec *t;
	char name[64];
	struct jwrite o;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "format", FORMAT_FORMATS_JSON);
	jwrite_open(&o, "formats", '[');
	for (r = recipes; r->name; r++) {
		jwrite_open(&o, NULL, '{');
		jwrite_str(&o, "checked", r->checked);
		jwrite_str(&o, "container", containers[r->container].name);
		jwrite_str(&o, "dense", dense_word(r));
		jwrite_str(&o, "experts", experts_word(r));
		jwrite_str(&o, "loaded_by", r->loaders);
		jwrite_str(&o, "meaning", r->what);
		jwrite_str(&o, "name", r->name);
		jwrite_close(&o, '}');
	}
	for (t = rowrecs; t < rowrecs + n_rowrecs; t++) {
		if (t->bits == 8)
			continue;
		snprintf(name, sizeof name, "engram-%s", t->name);
		jwrite_open(&o, NULL, '{');
		jwrite_str(&o, "checked", table_checked);
		jwrite_str(&o, "container", containers[CONTAINER_SHARDS].name);
		jwrite_str(&o, "dense", containers[CONTAINER_SHARDS].dense);
		jwrite_str(&o, "experts", containers[CONTAINER_SHARDS].experts);
		jwrite_str(&o, "loaded_by", table_loaders);
		jwrite_str(&o, "meaning", table_what[t->form]);
		jwrite_str(&o, "name", name);
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, ']');
	jwrite_close(&o, '}');
}
