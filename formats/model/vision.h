/* vision.h -- the part of a model that sees images, as rows for a family's tables: a vision transformer, the aligner that
 * brings its patches to the width of the text, and the vectors that stand around an image.
 *
 * Fields and names are those of V4-Flash-Vision-Exp and V4.1-Flash, which have the same blocks (sizes of both are tested,
 * tests/test_model.c). Nothing here is quantized: every target passes these tensors through as they are.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_VISION_H
#define FORMATS_MODEL_VISION_H
#include "formats/model/config.h"
#include "formats/model/role.h"

/* clang-format off */
/* Rows of struct config_field; only models that see have them. */
#define VISION_FIELDS \
	{ "vision_n_layers",         "VL", offsetof(struct config, VL), 1, 1024, FIELD_VISION }, \
	{ "vision_dim",              "VD", offsetof(struct config, VD), 1, 1 << 16, FIELD_VISION }, \
	{ "vision_inter_dim",        "VI", offsetof(struct config, VI), 1, 1 << 18, FIELD_VISION }, \
	{ "vision_patch_size",       "VP", offsetof(struct config, VP), 1, 1 << 10, FIELD_VISION }, \
	{ "vision_downsample_ratio", "VS", offsetof(struct config, VS), 1, 64, FIELD_VISION }

/* Rows of struct role. */
#define VISION_ROLES \
	{ "vision.patch_embed.proj.weight", IN_VISION, STORE_PLAIN, DT_BF16, "VD,3*VP*VP", SPLIT_NONE, NULL, "vision, patch embedding" }, \
	{ "vision.patch_embed.proj.bias",   IN_VISION, STORE_PLAIN, DT_BF16, "VD", SPLIT_NONE, NULL, "vision, patch embedding, offset" }, \
	{ "vision.norm.weight",             IN_VISION, STORE_PLAIN, DT_BF16, "VD", SPLIT_NONE, NULL, "vision, final norm" }, \
	{ "vision.blocks.@.attn.wqkv.weight", IN_VISION, STORE_PLAIN, DT_BF16, "3*VD,VD", SPLIT_NONE, NULL, "vision, query, key and value" }, \
	{ "vision.blocks.@.attn.wqkv.bias",   IN_VISION, STORE_PLAIN, DT_BF16, "3*VD", SPLIT_NONE, NULL, "vision, query, key and value, offset" }, \
	{ "vision.blocks.@.attn.wo.weight",   IN_VISION, STORE_PLAIN, DT_BF16, "VD,VD", SPLIT_NONE, NULL, "vision, attention output" }, \
	{ "vision.blocks.@.attn.wo.bias",     IN_VISION, STORE_PLAIN, DT_BF16, "VD", SPLIT_NONE, NULL, "vision, attention output, offset" }, \
	{ "vision.blocks.@.mlp.w1.weight",    IN_VISION, STORE_PLAIN, DT_BF16, "2*VI,VD", SPLIT_NONE, NULL, "vision, gate and up" }, \
	{ "vision.blocks.@.mlp.w2.weight",    IN_VISION, STORE_PLAIN, DT_BF16, "VD,VI", SPLIT_NONE, NULL, "vision, down" }, \
	{ "vision.blocks.@.norm1.weight",     IN_VISION, STORE_PLAIN, DT_BF16, "VD", SPLIT_NONE, NULL, "vision, norm before attention" }, \
	{ "vision.blocks.@.norm2.weight",     IN_VISION, STORE_PLAIN, DT_BF16, "VD", SPLIT_NONE, NULL, "vision, norm before feed-forward" }, \
	{ "aligner.w1.weight", IN_VISION, STORE_PLAIN, DT_BF16, "D,VD*VS*VS", SPLIT_NONE, NULL, "aligner, patches to the width of the text" }, \
	{ "aligner.w1.bias",   IN_VISION, STORE_PLAIN, DT_BF16, "D", SPLIT_NONE, NULL, "aligner, patches to the width of the text, offset" }, \
	{ "aligner.w2.weight", IN_VISION, STORE_PLAIN, DT_BF16, "D,D", SPLIT_NONE, NULL, "aligner, second matrix" }, \
	{ "aligner.w2.bias",   IN_VISION, STORE_PLAIN, DT_BF16, "D", SPLIT_NONE, NULL, "aligner, second matrix, offset" }, \
	{ "image_start",       IN_VISION, STORE_PLAIN, DT_BF16, "D", SPLIT_NONE, NULL, "vector where an image begins" }, \
	{ "image_end",         IN_VISION, STORE_PLAIN, DT_BF16, "D", SPLIT_NONE, NULL, "vector where an image ends" }, \
	{ "image_newline",     IN_VISION, STORE_PLAIN, DT_BF16, "D", SPLIT_NONE, NULL, "vector where a row of patches ends" }, \
	{ "ffn.gate.bias_vl",  IN_BLOCK_VL, STORE_PLAIN, DT_F32, "E", SPLIT_NONE, NULL, "router, selection bias of image tokens" }
/* clang-format on */

/* Returns whether a tensor of that name belongs to the part that sees, the biases of the routers aside. */
bool vision_has(const char *name);
#endif
