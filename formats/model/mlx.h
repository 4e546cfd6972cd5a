/* mlx.h -- what MLX has to be told about a checkpoint of this model: the member "quantization" of its config.json.
 *
 * MLX loads the packed bytes of the published checkpoint as they are, if it is told of every quantized matrix what they
 * mean: a group of columns to a scale, bits of a code, and one of its modes. Matrices have the names that mlx-vlm's
 * modules have; routed experts of a layer are one matrix for each of w1, w2 and w3. It repeats the scale of a 128 x 128
 * tile by itself. Drafts are not named: it passes over them.
 *
 * Source: mlx-vlm 0.7.10, models/deepseek_v4/language.py (make_quantization_config, sanitize); run on a CPU.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_MLX_H
#define FORMATS_MODEL_MLX_H
#include "formats/model/config.h"
#include "formats/model/role.h"

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

/* True if MLX reads matrices of that format as they lie. */
bool mlx_reads(enum codec c);
/* The member "quantization" for a model of these shapes and number formats; the caller's reference. NULL without memory,
 * or where MLX does not read one of the formats. */
json_t *mlx_quantization(const struct config *c, struct model_forms forms);

/* The same for matrices in CODEC_MXFP8_MLX, and routed experts in CODEC_MXFP4_MLX, as mlx-vlm's models/deepseek_v41 takes them:
 * what is not named is MXFP8 where it has a tensor "scales". NULL without memory. */
json_t *mlx_packed_quantization(const struct config *c);

/* Writes to out, of room bytes, what MLX calls the tensor in which a routed expert's weight or scale of that name lies with
 * those of all experts of its block: "layers.3.ffn.experts.17.w1.scale" is in "layers.3.ffn.switch_mlp.gate_proj.scales",
 * [experts][rows][columns / 8] U32 of weights and [experts][rows][columns / 32] U8 of scales, by the ids of the experts.
 * *id becomes that of the expert. Returns false where it is no such name. Source: as above, sanitize. */
bool mlx_stacked(char *out, size_t room, const char *expert, uint32_t *id);

#ifdef __cplusplus
}
#endif
#endif
