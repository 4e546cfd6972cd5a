/* SPDX-License-Identifier: MIT */
#include "quant/cli/formats.h"

#include "formats/format_id.h"
#include "formats/json/jwrite.h"
#include "formats/model/recipes.h"

static const char *const container_names[] = { [CONTAINER_SHARDS] = "safetensors" };

/* What the matrices of a class are; CODEC_NONE: as the source has them. */
static const char *codec_word(enum codec c)
{
	return c == CODEC_NONE ? "as they are" : codecs[c].name;
}

void formats_text(struct text *out)
{
	const struct recipe *r;

	for (r = recipes; r->name; r++)
		text_fmt(out,
			"%-14s %s\n%-14s experts %s, dense %s, %s\n%-14s loaded by %s\n%-14s checked: %s\n",
			r->name, r->what, "", codec_word(r->forms.experts),
			codec_word(r->forms.dense), container_names[r->container], "", r->loaders,
			"", r->checked);
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
		jwrite_str(&o, "container", container_names[r->container]);
		jwrite_str(&o, "dense", codec_word(r->forms.dense));
		jwrite_str(&o, "experts", codec_word(r->forms.experts));
		jwrite_str(&o, "loaded_by", r->loaders);
		jwrite_str(&o, "meaning", r->what);
		jwrite_str(&o, "name", r->name);
		jwrite_close(&o, '}');
	}
	jwrite_close(&o, ']');
	jwrite_close(&o, '}');
}
