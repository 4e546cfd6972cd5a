/* recipes.h -- the table of what dsv4-quant can make: a row for each name that its option --to takes.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_RECIPES_H
#define FORMATS_MODEL_RECIPES_H
#include "formats/model/family.h"
#include "formats/model/recipe.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const struct recipe recipes[];

/* Returns the row of that name, or NULL. */
const struct recipe *recipe_find(const char *name);

/* The number formats of what r makes of models of f, CODEC_NONE where they stay: those of its row, with FP8 in the blocks
 * that f has it in, where scales are E8M0. e8m0: what --scale-dtype e8m0 asks for. */
struct model_forms recipe_forms(const struct recipe *r, const struct family *f, bool e8m0);

/* Appends the text of a small file of the recipe to out, which is empty: what its row makes, without the drafts where
 * they are dropped. Returns -1 with an error where it cannot be made. */
int recipe_small_put(const struct recipe_small *s, struct text *out, const struct recipe_made *m,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
