/* v4.c -- DeepSeek-V4: Flash and Pro, the -Base variants (FP8 experts, F32 scales, copies of embedding and head under
 * mtp.), those with a DSpark drafter in place of MTP blocks (0731, -DSpark), and Vision-Exp, which sees images.
 *
 * Source: index and headers of deepseek-ai/DeepSeek-V4-Flash and -Pro; the counts and bytes that the table yields for
 * them are tested (tests/test_model.c).
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/decoder.h"
#include "formats/model/family.h"
#include "formats/model/vision.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const struct config_field fields[] = {
	DECODER_FIELDS,
	{ "num_hash_layers",       "n_hash", offsetof(struct config, n_hash), 0, BLOCKS_MAX, FIELD_ALL },
	VISION_FIELDS,
};
/* clang-format on */
enum { FIELDS = sizeof fields / sizeof *fields };

/* clang-format off */
static const struct role roles[] = {
	DECODER_ENDS,
	{ "norm.weight",    IN_GLOBAL | IN_MTP | IN_SPARK_LAST, STORE_PLAIN, DT_BF16, "D", SPLIT_NONE, NULL, "final norm" },
	{ "hc_head_base",   IN_GLOBAL | IN_MTP | IN_SPARK_LAST, STORE_PLAIN, DT_F32, "hc", SPLIT_NONE, NULL, "head mix, offset" },
	{ "hc_head_fn",     IN_GLOBAL | IN_MTP | IN_SPARK_LAST, STORE_PLAIN, DT_F32, "hc,hc*D", SPLIT_NONE, NULL, "head mix, matrix" },
	{ "hc_head_scale",  IN_GLOBAL | IN_MTP | IN_SPARK_LAST, STORE_PLAIN, DT_F32, "1", SPLIT_NONE, NULL, "head mix, gain" },

	DECODER_BLOCK,

	{ "attn.compressor.ape",          IN_COMPRESS, STORE_PLAIN, DT_F32, "ratio,lap*hd", SPLIT_NONE, NULL, "compressor, position bias" },
	{ "attn.compressor.wkv.weight",   IN_COMPRESS, STORE_PLAIN, DT_BF16, "lap*hd,D", SPLIT_NONE, NULL, "compressor, key-value" },
	{ "attn.compressor.wgate.weight", IN_COMPRESS, STORE_PLAIN, DT_BF16, "lap*hd,D", SPLIT_NONE, NULL, "compressor, gate" },
	{ "attn.compressor.norm.weight",  IN_COMPRESS, STORE_PLAIN, DT_BF16, "hd", SPLIT_NONE, NULL, "compressor, norm" },

	{ "attn.indexer.wq_b.weight",             IN_INDEX, STORE_DENSE, DT_F8_E4M3, "IH*IHD,QL", SPLIT_ROWS, "IH", "indexer, query" },
	{ "attn.indexer.weights_proj.weight",     IN_INDEX, STORE_PLAIN, DT_BF16, "IH,D", SPLIT_ROWS, "IH", "indexer, head weights" },
	{ "attn.indexer.compressor.ape",          IN_INDEX, STORE_PLAIN, DT_F32, "ratio,lap*IHD", SPLIT_NONE, NULL, "indexer, position bias" },
	{ "attn.indexer.compressor.wkv.weight",   IN_INDEX, STORE_PLAIN, DT_BF16, "lap*IHD,D", SPLIT_NONE, NULL, "indexer, key" },
	{ "attn.indexer.compressor.wgate.weight", IN_INDEX, STORE_PLAIN, DT_BF16, "lap*IHD,D", SPLIT_NONE, NULL, "indexer, gate" },
	{ "attn.indexer.compressor.norm.weight",  IN_INDEX, STORE_PLAIN, DT_BF16, "IHD", SPLIT_NONE, NULL, "indexer, norm" },

	DECODER_ROUTER,
	{ "ffn.gate.tid2eid", IN_HASH, STORE_PLAIN, DT_I64, "V,K", SPLIT_NONE, NULL, "router, token id to expert ids" },
	DECODER_EXPERTS,

	{ "e_proj.weight",  IN_MTP, STORE_DENSE, DT_F8_E4M3, "D,D", SPLIT_NONE, NULL, "MTP, embedding projection" },
	{ "h_proj.weight",  IN_MTP, STORE_DENSE, DT_F8_E4M3, "D,D", SPLIT_NONE, NULL, "MTP, hidden projection" },
	{ "enorm.weight",   IN_MTP, STORE_PLAIN, DT_BF16, "D", SPLIT_NONE, NULL, "MTP, embedding norm" },
	{ "hnorm.weight",   IN_MTP, STORE_PLAIN, DT_BF16, "D", SPLIT_NONE, NULL, "MTP, hidden norm" },
	{ "emb.tok_emb.weight", IN_MTP_EXTRA, STORE_PLAIN, DT_BF16, "V,D", SPLIT_NONE, NULL, "MTP, copy of the embedding" },
	{ "head.weight",        IN_MTP_EXTRA, STORE_PLAIN, DT_BF16, "V,D", SPLIT_NONE, NULL, "MTP, copy of the head" },

	DECODER_SPARK,
	{ "markov_head.markov_w1.weight", IN_SPARK_LAST, STORE_PLAIN, DT_BF16, "V,MR", SPLIT_NONE, NULL, "DSpark, Markov head" },
	{ "markov_head.markov_w2.weight", IN_SPARK_LAST, STORE_PLAIN, DT_BF16, "V,MR", SPLIT_NONE, NULL, "DSpark, Markov head" },
	{ "confidence_head.proj.weight",  IN_SPARK_LAST, STORE_PLAIN, DT_BF16, "1,D+MR", SPLIT_NONE, NULL, "DSpark, confidence head" },

	VISION_ROLES,
	{ "image_pad", IN_VISION, STORE_PLAIN, DT_BF16, "D", SPLIT_NONE, NULL, "vector where an image is padded" },
};
/* clang-format on */

static int get_ratios(struct config *c, const json_t *o, struct err *e)
{
	const json_t *a = json_object_get(o, "compress_ratios"), *x;
	size_t n = json_array_size(a), i;

	if (!a)
		return config_bad(e, RULE_CONFIG_FIELD_MISSING, "compress_ratios",
			json_object_get(o, "layer_types")
				? "is missing (transformers wrote layer_types in its place; take the original file)"
				: "is missing");
	if (!json_is_array(a))
		return config_bad(e, RULE_CONFIG_FIELD_TYPE, "compress_ratios", "is not an array");
	if (n < c->L || n > BLOCKS_MAX)
		return err_rule(e, RULE_CONFIG_RATIOS, ERR_NOPOS,
			"config.json: \"compress_ratios\" has %zu entries for %llu layers", n,
			(unsigned long long)c->L);
	c->ratio = calloc(n, sizeof *c->ratio);
	if (!c->ratio)
		return err_nomem(e);
	for (i = 0; i < n; i++) {
		x = json_array_get(a, i);
		c->ratio[i] = json_is_integer(x) ? (uint64_t)json_integer_value(x) : 1;
		if (!ratio_known(c->ratio[i]))
			return err_rule(e, RULE_CONFIG_RATIOS, ERR_NOPOS,
				"config.json: \"compress_ratios\" entry %zu is none of 0, 4, 128",
				i);
		if (i >= c->L && c->ratio[i] != 0)
			return err_rule(e, RULE_CONFIG_RATIOS, ERR_NOPOS,
				"config.json: \"compress_ratios\" entry %zu belongs to mtp.%zu and is not 0",
				i, i - (size_t)c->L);
	}
	c->stages = n - c->L;
	return 0;
}

/* The entries of compress_ratios beyond the layers are the stages; who they are, the rest says. */
static int get_stages(struct config *c, const json_t *o, struct err *e)
{
	if (c->spark)
		return config_spark(c, o, true, e);
	if (c->stages != c->n_mtp)
		return err_rule(e, RULE_CONFIG_STAGES, ERR_NOPOS,
			"config.json: \"num_nextn_predict_layers\" is %llu, \"compress_ratios\" has %llu "
			"entries beyond the layers",
			(unsigned long long)c->n_mtp, (unsigned long long)c->stages);
	return 0;
}

/* V4 has its fields at the top. Engines that look into text_config first would take what stands there. */
static int hold_nested(const json_t *o, struct err *e)
{
	json_t *text = json_object_get(o, "text_config"), *x;
	const char *key;

	json_object_foreach(text, key, x)
	{
		if (json_object_get(o, key) && strcmp(key, "model_type") != 0 &&
			strcmp(key, "architectures") != 0 &&
			!json_equal(json_object_get(o, key), x))
			return config_bad(e, RULE_CONFIG_FIELD_RANGE, key,
				"is said twice, with two values: at the top and in text_config");
	}
	return 0;
}

static int v4_config_read(struct config *c, const struct config_doc *d, struct err *e)
{
	const json_t *o = d->o;

	if (hold_nested(o, e))
		return -1;

	c->spark = config_says(o, "dspark_block_size");
	c->vision = config_says(o, "vision_n_layers");
	if (config_fields(c, o, fields, FIELDS, e) || get_ratios(c, o, e) || get_stages(c, o, e) ||
		config_vision(c, o, true, e) || decoder_quant(c, o, e) || config_experts(c, o, e))
		return -1;
	return decoder_divides(c, e);
}

static const struct family_gap gaps[] = {
	{ NEED_OFFICIAL, true, "Target official is",
		"what the converter of Vision-Exp does with the tensors of its vision tower, its aligner and image_* was never published where it could be read; target hf, the engines' targets and dsv4-quant carry them as they are" },
	{ NEED_VLLM, true, "Target vllm-sharded is",
		"the names that vLLM's parameters of the vision tower have were not read; target hf carries the tensors as they are" },
	{ NEED_SGLANG, true, "Target sglang-presharded is",
		"the names that SGLang's parameters of the vision tower have were not read; target hf carries the tensors as they are" },
	{ NEED_GGUF, true, "GGUF is",
		"llama.cpp has no names for the vision tower of this model; every other name of dsv4-quant carries it as it is" },
	{ NEED_MLX_NAMES, false, "The form by MLX's own names is",
		"mlx-vlm 0.7.10 takes the published bytes of V4 packed as they are: --to mlx" },
	{ NEED_OFFICIAL, false, NULL, NULL },
};

const struct family family_v4 = { .name = "deepseek_v4",
	.what = "DeepSeek-V4",
	.architecture = "DeepseekV4ForCausalLM",
	.dense = CODEC_FP8,
	.config_read = v4_config_read,
	.fields = fields,
	.n_fields = FIELDS,
	.roles = roles,
	.n_roles = sizeof roles / sizeof *roles,
	.gaps = gaps };
