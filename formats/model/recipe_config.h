/* recipe_config.h -- config.json and its like, as the consumers of each recipe want them: for the rows of recipes.c.
 *
 * Each function is a recipe_small.put. Of config.json all bytes of the source stay but for the members that a consumer
 * reads of the number formats. Sources: quant-formats of ModelOpt 0.47 (exporter), compressed-tensors 0.20, and what
 * vLLM 0.33 and SGLang 0.5.23 look for (docs/quant.md).
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_RECIPE_CONFIG_H
#define FORMATS_MODEL_RECIPE_CONFIG_H
#include "formats/model/recipe.h"

#ifdef __cplusplus
extern "C" {
#endif

/* With expert_dtype as the experts are: all that a checkpoint of this model says. */
int recipe_config_native(struct text *out, const struct recipe_made *m, struct err *e);
/* Without a word of quantization. */
int recipe_config_plain(struct text *out, const struct recipe_made *m, struct err *e);
/* ModelOpt's: config.json with its members in quantization_config, and hf_quant_config.json. */
int recipe_config_nvfp4(struct text *out, const struct recipe_made *m, struct err *e);
int recipe_hf_quant_nvfp4(struct text *out, const struct recipe_made *m, struct err *e);
int recipe_config_mxfp8(struct text *out, const struct recipe_made *m, struct err *e);
int recipe_hf_quant_mxfp8(struct text *out, const struct recipe_made *m, struct err *e);
/* compressed-tensors', for every recipe with its number formats. */
int recipe_config_compressed(struct text *out, const struct recipe_made *m, struct err *e);
/* With the member "quantization" that tells MLX what the matrices are; refuses number formats that it does not read. */
int recipe_config_mlx(struct text *out, const struct recipe_made *m, struct err *e);
/* The same of matrices by MLX's own names, which are no checkpoint of this model any more: quantization_config, in which MLX
 * repeats that member, says nothing else. */
int recipe_config_mlx_packed(struct text *out, const struct recipe_made *m, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
