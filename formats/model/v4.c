/* v4.c -- DeepSeek-V4: Flash and Pro, the -Base variants (FP8 experts, F32 scales, copies of embedding and head under
 * mtp.), those with a DSpark drafter in place of MTP blocks (0731, -DSpark), and Vision-Exp, which sees images.
 *
 * Source: index and headers of deepseek-ai/DeepSeek-V4-Flash and -Pro; the counts and bytes that the table yields for
 * them are tested (tests/test_model.c).
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/family.h"
#include "formats/model/vision.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS_MAX = 4096, TENSORS_MAX = 1 << 20 };

/* clang-format off */
static const struct config_field fields[] = {
	{ "num_hidden_layers",     "L",      offsetof(struct config, L),      1, BLOCKS_MAX, FIELD_ALL },
	{ "hidden_size",           "D",      offsetof(struct config, D),      1, 1 << 20, FIELD_ALL },
	{ "num_attention_heads",   "H",      offsetof(struct config, H),      1, 1 << 16, FIELD_ALL },
	{ "head_dim",              "hd",     offsetof(struct config, hd),     1, 1 << 16, FIELD_ALL },
	{ "q_lora_rank",           "QL",     offsetof(struct config, QL),     1, 1 << 20, FIELD_ALL },
	{ "o_groups",              "G",      offsetof(struct config, G),      1, 1 << 16, FIELD_ALL },
	{ "o_lora_rank",           "R",      offsetof(struct config, R),      1, 1 << 20, FIELD_ALL },
	{ "moe_intermediate_size", "I",      offsetof(struct config, I),      1, 1 << 20, FIELD_ALL },
	{ "n_routed_experts",      "E",      offsetof(struct config, E),      1, 1 << 16, FIELD_ALL },
	{ "n_shared_experts",      "S",      offsetof(struct config, S),      1, 64, FIELD_ALL },
	{ "num_experts_per_tok",   "K",      offsetof(struct config, K),      1, 1 << 10, FIELD_ALL },
	{ "vocab_size",            "V",      offsetof(struct config, V),      1, 1 << 24, FIELD_ALL },
	{ "hc_mult",               "hc",     offsetof(struct config, hc),     1, 64, FIELD_ALL },
	{ "num_hash_layers",       "n_hash", offsetof(struct config, n_hash), 0, BLOCKS_MAX, FIELD_ALL },
	{ "index_n_heads",         "IH",     offsetof(struct config, IH),     1, 1 << 16, FIELD_ALL },
	{ "index_head_dim",        "IHD",    offsetof(struct config, IHD),    1, 1 << 16, FIELD_ALL },
	{ "num_nextn_predict_layers", "n_mtp", offsetof(struct config, n_mtp), 0, BLOCKS_MAX, FIELD_ALL },
	{ "dspark_markov_rank",    "MR",     offsetof(struct config, MR),     1, 1 << 20, FIELD_SPARK },
	VISION_FIELDS,
};
/* clang-format on */
enum { FIELDS = sizeof fields / sizeof *fields };

/* clang-format off */
static const struct role roles[] = {
	{ "embed.weight",   IN_GLOBAL, STORE_PLAIN, DT_BF16, "V,D", SPLIT_ROWS, NULL, "token embedding" },
	{ "head.weight",    IN_GLOBAL, STORE_PLAIN, DT_BF16, "V,D", SPLIT_ROWS, NULL, "output projection" },
	{ "norm.weight",    IN_GLOBAL | IN_MTP | IN_SPARK_LAST, STORE_PLAIN, DT_BF16, "D", SPLIT_NONE, NULL, "final norm" },
	{ "hc_head_base",   IN_GLOBAL | IN_MTP | IN_SPARK_LAST, STORE_PLAIN, DT_F32, "hc", SPLIT_NONE, NULL, "head mix, offset" },
	{ "hc_head_fn",     IN_GLOBAL | IN_MTP | IN_SPARK_LAST, STORE_PLAIN, DT_F32, "hc,hc*D", SPLIT_NONE, NULL, "head mix, matrix" },
	{ "hc_head_scale",  IN_GLOBAL | IN_MTP | IN_SPARK_LAST, STORE_PLAIN, DT_F32, "1", SPLIT_NONE, NULL, "head mix, gain" },

	{ "hc_attn_base",   IN_BLOCK, STORE_PLAIN, DT_F32, "hc*hc+2*hc", SPLIT_NONE, NULL, "attention mix, offset" },
	{ "hc_attn_fn",     IN_BLOCK, STORE_PLAIN, DT_F32, "hc*hc+2*hc,hc*D", SPLIT_NONE, NULL, "attention mix, matrix" },
	{ "hc_attn_scale",  IN_BLOCK, STORE_PLAIN, DT_F32, "3", SPLIT_NONE, NULL, "attention mix, gains" },
	{ "hc_ffn_base",    IN_BLOCK, STORE_PLAIN, DT_F32, "hc*hc+2*hc", SPLIT_NONE, NULL, "feed-forward mix, offset" },
	{ "hc_ffn_fn",      IN_BLOCK, STORE_PLAIN, DT_F32, "hc*hc+2*hc,hc*D", SPLIT_NONE, NULL, "feed-forward mix, matrix" },
	{ "hc_ffn_scale",   IN_BLOCK, STORE_PLAIN, DT_F32, "3", SPLIT_NONE, NULL, "feed-forward mix, gains" },
	{ "attn_norm.weight", IN_BLOCK, STORE_PLAIN, DT_BF16, "D", SPLIT_NONE, NULL, "norm before attention" },
	{ "ffn_norm.weight",  IN_BLOCK, STORE_PLAIN, DT_BF16, "D", SPLIT_NONE, NULL, "norm before feed-forward" },

	{ "attn.attn_sink",      IN_BLOCK, STORE_PLAIN, DT_F32, "H", SPLIT_ROWS, "H", "attention sink, by head" },
	{ "attn.q_norm.weight",  IN_BLOCK, STORE_PLAIN, DT_BF16, "QL", SPLIT_NONE, NULL, "query norm" },
	{ "attn.kv_norm.weight", IN_BLOCK, STORE_PLAIN, DT_BF16, "hd", SPLIT_NONE, NULL, "key-value norm" },
	{ "attn.wq_a.weight",    IN_BLOCK, STORE_DENSE, DT_F8_E4M3, "QL,D", SPLIT_NONE, NULL, "query, down" },
	{ "attn.wq_b.weight",    IN_BLOCK, STORE_DENSE, DT_F8_E4M3, "H*hd,QL", SPLIT_ROWS, "H", "query, up" },
	{ "attn.wkv.weight",     IN_BLOCK, STORE_DENSE, DT_F8_E4M3, "hd,D", SPLIT_NONE, NULL, "key-value" },
	{ "attn.wo_a.weight",    IN_BLOCK, STORE_DENSE, DT_F8_E4M3, "G*R,H*hd/G", SPLIT_ROWS, "G", "output, down, by group" },
	{ "attn.wo_b.weight",    IN_BLOCK, STORE_DENSE, DT_F8_E4M3, "D,G*R", SPLIT_COLS, "G", "output, up" },

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

	{ "ffn.gate.weight",  IN_BLOCK, STORE_PLAIN, DT_BF16, "E,D", SPLIT_NONE, NULL, "router" },
	{ "ffn.gate.bias",    IN_SCORE, STORE_PLAIN, DT_F32, "E", SPLIT_NONE, NULL, "router, selection bias" },
	{ "ffn.gate.tid2eid", IN_HASH, STORE_PLAIN, DT_I64, "V,K", SPLIT_NONE, NULL, "router, token id to expert ids" },
	{ "ffn.shared_experts.w1.weight", IN_BLOCK, STORE_DENSE, DT_F8_E4M3, "S*I,D", SPLIT_NONE, NULL, "shared expert, gate" },
	{ "ffn.shared_experts.w2.weight", IN_BLOCK, STORE_DENSE, DT_F8_E4M3, "D,S*I", SPLIT_NONE, NULL, "shared expert, down" },
	{ "ffn.shared_experts.w3.weight", IN_BLOCK, STORE_DENSE, DT_F8_E4M3, "S*I,D", SPLIT_NONE, NULL, "shared expert, up" },
	{ "ffn.experts.#.w1.weight", IN_BLOCK, STORE_EXPERT, DT_I8, "I,D", SPLIT_EXPERTS, "E", "routed expert, gate" },
	{ "ffn.experts.#.w2.weight", IN_BLOCK, STORE_EXPERT, DT_I8, "D,I", SPLIT_EXPERTS, "E", "routed expert, down" },
	{ "ffn.experts.#.w3.weight", IN_BLOCK, STORE_EXPERT, DT_I8, "I,D", SPLIT_EXPERTS, "E", "routed expert, up" },

	{ "e_proj.weight",  IN_MTP, STORE_DENSE, DT_F8_E4M3, "D,D", SPLIT_NONE, NULL, "MTP, embedding projection" },
	{ "h_proj.weight",  IN_MTP, STORE_DENSE, DT_F8_E4M3, "D,D", SPLIT_NONE, NULL, "MTP, hidden projection" },
	{ "enorm.weight",   IN_MTP, STORE_PLAIN, DT_BF16, "D", SPLIT_NONE, NULL, "MTP, embedding norm" },
	{ "hnorm.weight",   IN_MTP, STORE_PLAIN, DT_BF16, "D", SPLIT_NONE, NULL, "MTP, hidden norm" },
	{ "emb.tok_emb.weight", IN_MTP_EXTRA, STORE_PLAIN, DT_BF16, "V,D", SPLIT_NONE, NULL, "MTP, copy of the embedding" },
	{ "head.weight",        IN_MTP_EXTRA, STORE_PLAIN, DT_BF16, "V,D", SPLIT_NONE, NULL, "MTP, copy of the head" },

	{ "main_proj.weight", IN_SPARK_FIRST, STORE_DENSE, DT_F8_E4M3, "D,NT*D", SPLIT_NONE, NULL, "DSpark, target projection" },
	{ "main_norm.weight", IN_SPARK_FIRST, STORE_PLAIN, DT_BF16, "D", SPLIT_NONE, NULL, "DSpark, target norm" },
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

/* The blocks of FP8 weights are what every shape is computed with. */
static int get_quant(const json_t *o, struct err *e)
{
	const json_t *q = json_object_get(o, "quantization_config");
	const json_t *b = json_object_get(q, "weight_block_size"),
		     *m = json_object_get(q, "quant_method");

	if (!q)
		return config_bad(e, RULE_CONFIG_FIELD_MISSING, "quantization_config",
			"is missing");
	if (!json_is_string(m) || strcmp(json_string_value(m), "fp8"))
		return config_bad(e, RULE_CONFIG_QUANT, "quantization_config",
			"does not say quant_method fp8");
	if (json_array_size(b) != 2 ||
		json_integer_value(json_array_get(b, 0)) != codecs[CODEC_FP8].rows ||
		json_integer_value(json_array_get(b, 1)) != codecs[CODEC_FP8].cols)
		return err_rule(e, RULE_CONFIG_QUANT, ERR_NOPOS,
			"config.json: \"quantization_config\" does not say weight_block_size [%u, %u]",
			codecs[CODEC_FP8].rows, codecs[CODEC_FP8].cols);
	return 0;
}

/* What the shapes divide by. */
static int check_divides(const struct config *c, struct err *e)
{
	const struct codec_form *fp4 = &codecs[CODEC_MXFP4];

	if (c->H * c->hd % c->G)
		return err_rule(e, RULE_CONFIG_FIELD_RANGE, ERR_NOPOS,
			"config.json: %llu heads of %llu do not divide into %llu o_groups",
			(unsigned long long)c->H, (unsigned long long)c->hd,
			(unsigned long long)c->G);
	if (c->D % fp4->cols || c->I % fp4->cols)
		return err_rule(e, RULE_CONFIG_FIELD_RANGE, ERR_NOPOS,
			"config.json: hidden_size %llu and moe_intermediate_size %llu must be multiples of %u",
			(unsigned long long)c->D, (unsigned long long)c->I, fp4->cols);
	if ((c->L + c->stages) * c->E > TENSORS_MAX / 6)
		return config_bad(e, RULE_CONFIG_FIELD_RANGE, "n_routed_experts",
			"times the layers is absurd");
	if (c->K > c->E)
		return config_bad(e, RULE_CONFIG_FIELD_RANGE, "num_experts_per_tok",
			"exceeds n_routed_experts");
	if (c->n_hash > c->L)
		return config_bad(e, RULE_CONFIG_FIELD_RANGE, "num_hash_layers",
			"exceeds num_hidden_layers");
	return 0;
}

static int v4_config_read(struct config *c, const struct config_doc *d, struct err *e)
{
	const json_t *o = d->o;

	c->dense = CODEC_FP8;
	c->spark = config_says(o, "dspark_block_size");
	c->vision = config_says(o, "vision_n_layers");
	if (config_fields(c, o, fields, FIELDS, e) || get_ratios(c, o, e) || get_stages(c, o, e) ||
		config_vision(c, o, true, e) || get_quant(o, e) || config_experts(c, o, e))
		return -1;
	return check_divides(c, e);
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
	{ NEED_OFFICIAL, false, NULL, NULL },
};

const struct family family_v4 = { .name = "deepseek_v4",
	.what = "DeepSeek-V4",
	.config_read = v4_config_read,
	.fields = fields,
	.n_fields = FIELDS,
	.roles = roles,
	.n_roles = sizeof roles / sizeof *roles,
	.gaps = gaps };
