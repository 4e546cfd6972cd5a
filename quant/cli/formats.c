/* SPDX-License-Identifier: MIT */
#include "quant/cli/formats.h"

#include "formats/format_id.h"
#include "formats/json/jwrite.h"
#include "formats/model/recipes.h"

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

void formats_text(struct text *out)
{
	const struct recipe *r;

	for (r = recipes; r->name; r++)
		text_fmt(out,
			"%-14s %s\n%-14s experts %s, dense %s, %s\n%-14s loaded by %s\n%-14s checked: %s\n",
			r->name, r->what, "", experts_word(r), dense_word(r),
			containers[r->container].name, "", r->loaders, "", r->checked);
}

void formats_json(struct text *out)
{
	const struct recipe *r;
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
	jwrite_close(&o, ']');
	jwrite_close(&o, '}');
}
