/* recipes.h -- the table of what dsv4-quant can make: a row for each name that its option --to takes.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_RECIPES_H
#define FORMATS_MODEL_RECIPES_H
#include "formats/model/recipe.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const struct recipe recipes[];

/* Returns the row of that name, or NULL. */
const struct recipe *recipe_find(const char *name);

#ifdef __cplusplus
}
#endif
#endif
