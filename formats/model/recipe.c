/* SPDX-License-Identifier: MIT */
#include "formats/model/recipe.h"

#include <string.h>

/* config.json with another expert_dtype: all that a checkpoint of this model says of its number formats. */
static int put_config(struct text *out, const struct recipe_made *m, struct err *e)
{
	return config_put(out, m->doc, m->forms.experts == CODEC_MXFP4 ? CODEC_MXFP4 : CODEC_FP8,
		e);
}

static const struct recipe_small native[] = { { "config.json", put_config }, { NULL, NULL } };

/* clang-format off */
const struct recipe recipes[] = {
	{ "fp8", "all quantized matrices in E4M3 with a scale for 128 x 128: F32 scales, or E8M0 with --scale-dtype e8m0",
		{ .dense = CODEC_FP8_F32, .experts = CODEC_FP8_F32 }, { .dense = CODEC_FP8, .experts = CODEC_FP8 },
		CONTAINER_SHARDS, true, native,
		"vLLM, SGLang, the official code (e8m0), transformers",
		"parameters in vLLM 0.32 (run), its loader in 0.33 (read); transformers 5.23 (run)" },
	{ .name = NULL },
};
/* clang-format on */

const struct recipe *recipe_find(const char *name)
{
	const struct recipe *r;

	for (r = recipes; r->name; r++)
		if (!strcmp(r->name, name))
			return r;
	return NULL;
}
