/* v41.c -- DeepSeek-V4.1: Flash, with Engram tables, a vision tower and a DSpark drafter that has experts of its own number.
 *
 * config.json has the fields of the text under text_config and those of the tower under vision_config; inference/config.json
 * spells the same fields in another way. Both spellings are brought to one flat object first, and everything is read from that.
 *
 * Source: header audits and index of deepseek-ai/DeepSeek-V4.1-Flash (96,085 tensors, 510,286,023,000 bytes); the totals that
 * the table yields are tested (tests/test_model.c).
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/decoder.h"
#include "formats/model/engram.h"
#include "formats/model/family.h"
#include "formats/model/params.h"
#include "formats/model/vision.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const struct config_field fields[] = {
	DECODER_FIELDS,
	{ "dspark_n_routed_experts", "DE",   offsetof(struct config, DE),     1, 1 << 16, FIELD_SPARK },
	{ "engram_max_ngram_size", "EG",     offsetof(struct config, EG),     2, 16, FIELD_ENGRAM },
	{ "engram_n_heads",        "EN",     offsetof(struct config, EN),     1, 64, FIELD_ENGRAM },
	{ "engram_head_dim",       "EH",     offsetof(struct config, EH),     32, 1 << 14, FIELD_ENGRAM },
	{ "engram_vocab_size",     "EV",     offsetof(struct config, EV),     2, 1 << 26, FIELD_ENGRAM },
	VISION_FIELDS,
};

static const struct role roles[] = {
	DECODER_ENDS,
	{ "norm.weight",    IN_GLOBAL | IN_SPARK_LAST, STORE_PLAIN, DT_BF16, "D", SPLIT_NONE, NULL, "final norm" },

	DECODER_BLOCK,

	{ "attn.compressor.wkv.weight",   IN_COMPRESS, STORE_PLAIN, DT_BF16, "hd,D", SPLIT_NONE, NULL, "compressor, key-value" },
	{ "attn.compressor.wgate.weight", IN_COMPRESS_GATE, STORE_PLAIN, DT_BF16, "hd,D", SPLIT_NONE, NULL, "compressor, gate" },
	{ "attn.compressor.norm.weight",  IN_COMPRESS, STORE_PLAIN, DT_BF16, "hd", SPLIT_NONE, NULL, "compressor, norm" },
	{ "attn.indexer.wk.weight",           IN_COMPRESS, STORE_PLAIN, DT_BF16, "IHD,hd", SPLIT_NONE, NULL, "indexer, key" },
	{ "attn.indexer.k_norm.weight",       IN_COMPRESS, STORE_PLAIN, DT_BF16, "IHD", SPLIT_NONE, NULL, "indexer, key norm" },
	{ "attn.indexer.wq_b.weight",         IN_INDEX, STORE_DENSE, DT_F8_E4M3, "IH*IHD,QL", SPLIT_ROWS, "IH", "indexer, query" },
	{ "attn.indexer.weights_proj.weight", IN_INDEX, STORE_PLAIN, DT_BF16, "IH,D", SPLIT_ROWS, "IH", "indexer, head weights" },

	DECODER_ROUTER,
	DECODER_EXPERTS,

	{ "engram.embed.weight", IN_ENGRAM, STORE_TABLE, DT_F8_E4M3, "ER,EH", SPLIT_NONE, NULL, "Engram, table of rows" },
	{ "engram.wkv.weight",   IN_ENGRAM, STORE_DENSE, DT_F8_E4M3, "hc*D+D,EC", SPLIT_NONE, NULL, "Engram, key and value" },
	{ "engram.q_weight",     IN_ENGRAM, STORE_PLAIN, DT_BF16, "hc,D", SPLIT_NONE, NULL, "Engram, query norms" },
	{ "engram.k_weight",     IN_ENGRAM, STORE_PLAIN, DT_BF16, "hc,D", SPLIT_NONE, NULL, "Engram, key norms" },

	DECODER_SPARK,
	{ "markov_head.embed.weight",    IN_SPARK_LAST, STORE_PLAIN, DT_BF16, "V,MR", SPLIT_NONE, NULL, "DSpark, Markov embedding" },
	{ "markov_head.head.weight",     IN_SPARK_LAST, STORE_PLAIN, DT_BF16, "V,MR", SPLIT_NONE, NULL, "DSpark, Markov head" },
	{ "confidence_head.proj.weight", IN_SPARK_LAST, STORE_PLAIN, DT_BF16, "1,D+MR", SPLIT_NONE, NULL, "DSpark, confidence head" },

	VISION_ROLES,
};

/* The spelling of inference/config.json, and of vision_config, beside that of the table. */
static const struct alias {
	const char *other, *key;
} text_alias[] = {
	{ "n_layers", "num_hidden_layers" }, { "dim", "hidden_size" }, { "n_heads", "num_attention_heads" },
	{ "moe_inter_dim", "moe_intermediate_size" }, { "n_activated_experts", "num_experts_per_tok" },
	{ "n_mtp_layers", "num_nextn_predict_layers" }, { "kv_source_layers", "kv_source_layer_ids" },
	{ "index_source_layers", "index_source_layer_ids" }, { "engram_layers", "engram_layer_ids" },
	{ "dspark_target_layers", "dspark_target_layer_ids" },
}, vision_alias[] = {
	{ "num_hidden_layers", "vision_n_layers" }, { "hidden_size", "vision_dim" },
	{ "intermediate_size", "vision_inter_dim" }, { "patch_size", "vision_patch_size" },
	{ "downsample_ratio", "vision_downsample_ratio" }, { "num_attention_heads", "vision_n_heads" },
};
/* clang-format on */
enum { FIELDS = sizeof fields / sizeof *fields };
#define COUNT(a) (sizeof(a) / sizeof *(a))

/* --- one spelling --- */

/* Sets the member key of to. The file may say a thing twice if it says the same; it is an error (-1) where it does not. */
static int put(json_t *to, const char *key, json_t *v, struct err *e)
{
	const json_t *was = json_object_get(to, key);

	if (was && !json_equal(was, v))
		return config_bad(e, RULE_CONFIG_FIELD_RANGE, key,
			"is said twice, with two values");
	return json_object_set(to, key, v) ? err_nomem(e) : 0;
}

/* The key that the table has for another spelling; NULL: there is none. */
static const char *spelled(const struct alias *a, size_t n, const char *key)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!strcmp(a[i].other, key))
			return a[i].key;
	return NULL;
}

static const char *v41_canonical(const char *key)
{
	const char *as = spelled(text_alias, COUNT(text_alias), key);

	return as ? as : key;
}

/* Adds the members of from, an object or NULL, to o. */
static int put_text(json_t *o, const json_t *from, struct err *e)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)from, key, v)
	{
		if (!strcmp(key, "text_config") || !strcmp(key, "vision_config") ||
			!strcmp(key, "model_type") || !strcmp(key, "architectures"))
			continue;
		if (put(o, v41_canonical(key), v, e))
			return -1;
	}
	return 0;
}

/* Adds the members of vision_config that the table knows. */
static int put_vision(json_t *o, const json_t *from, struct err *e)
{
	const char *key, *as;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)from, key, v)
	{
		as = spelled(vision_alias, COUNT(vision_alias), key);
		if (as && put(o, as, v, e))
			return -1;
	}
	return 0;
}

/* *flat, which the caller frees, says everything that d says, in one spelling. V4.1 has expert_dtype in
 * quantization_config; where V4 has it, the file may repeat the value. */
static int flatten(json_t **flat, const struct config_doc *d, struct err *e)
{
	const json_t *text = json_object_get(d->o, "text_config"),
		     *vision = json_object_get(d->o, "vision_config");
	const char *type;
	json_t *said;

	*flat = json_object();
	if (!*flat)
		return err_nomem(e);
	if (text && !json_is_object(text))
		return config_bad(e, RULE_CONFIG_FIELD_TYPE, "text_config", "is not an object");
	if (vision && !json_is_object(vision))
		return config_bad(e, RULE_CONFIG_FIELD_TYPE, "vision_config", "is not an object");
	type = json_string_value(json_object_get(text, "model_type"));
	if (type && strcmp(type, family_v41.name) != 0 && family_knows(type))
		return config_bad(e, RULE_CONFIG_FIELD_RANGE, "text_config.model_type",
			"names another model than the model_type above it");
	if (put_text(*flat, text, e) || put_text(*flat, d->o, e) || put_vision(*flat, vision, e))
		return -1;
	said = json_object_get(json_object_get(*flat, "quantization_config"), "expert_dtype");
	return said ? put(*flat, "expert_dtype", said, e) : 0;
}

/* Whether o, an object or NULL, has a member that is called key, or as key is spelled otherwise: that spelling, or NULL. */
static const char *says(const json_t *o, const struct alias *a, size_t n, const char *key)
{
	size_t i;

	if (json_object_get(o, key))
		return key;
	for (i = 0; i < n; i++)
		if (!strcmp(a[i].key, key) && json_object_get(o, a[i].other))
			return a[i].other;
	return NULL;
}

static struct config_place v41_place(const struct config_doc *d, const char *key)
{
	const json_t *q = json_object_get(d->o, "quantization_config"),
		     *text = json_object_get(d->o, "text_config"),
		     *vision = json_object_get(d->o, "vision_config");
	const char *as = says(d->o, text_alias, COUNT(text_alias), key);
	bool tower = !strncmp(key, "vision_", 7);

	if (as)
		return (struct config_place){ NULL, as };
	if (!strcmp(key, "expert_dtype"))
		return json_is_object(q) ? (struct config_place){ "quantization_config", key }
					 : (struct config_place){ NULL, key };
	as = tower ? says(vision, vision_alias, COUNT(vision_alias), key)
		   : says(text, text_alias, COUNT(text_alias), key);
	if (as)
		return (struct config_place){ tower ? "vision_config" : "text_config", as };
	return (struct config_place){ json_is_object(text) && !tower &&
				strcmp(key, "quantization_config") != 0
			? "text_config"
			: NULL,
		key };
}

/* --- lists of layers --- */

/* Marks the layers that the list of o names with the bits is. */
static int mark_layers(struct config *c, const json_t *o, const char *key, unsigned is,
	struct err *e)
{
	const json_t *a = json_object_get(o, key), *x;
	size_t i;

	if (!json_is_array(a))
		return config_bad(e, a ? RULE_CONFIG_FIELD_TYPE : RULE_CONFIG_FIELD_MISSING, key,
			a ? "is not an array" : "is missing");
	for (i = 0; i < json_array_size(a); i++) {
		x = json_array_get(a, i);
		if (!json_is_integer(x) || json_integer_value(x) < 0 ||
			(uint64_t)json_integer_value(x) >= c->L)
			return config_bad(e, RULE_CONFIG_FIELD_RANGE, key,
				"names something that is no layer");
		if (c->layer[json_integer_value(x)].is & is)
			return config_bad(e, RULE_CONFIG_FIELD_RANGE, key, "names a layer twice");
		c->layer[json_integer_value(x)].is |= is;
	}
	return 0;
}

static int get_ratios(struct config *c, const json_t *o, struct err *e)
{
	const json_t *a = json_object_get(o, "compress_ratios"), *x;
	size_t n = json_array_size(a), i;

	if (!json_is_array(a))
		return config_bad(e, a ? RULE_CONFIG_FIELD_TYPE : RULE_CONFIG_FIELD_MISSING,
			"compress_ratios", a ? "is not an array" : "is missing");
	if (n != c->L + (c->spark ? c->n_mtp : 0))
		return err_rule(e, RULE_CONFIG_RATIOS, ERR_NOPOS,
			"config.json: \"compress_ratios\" has %zu entries for %llu layers and %llu stages",
			n, (unsigned long long)c->L, (unsigned long long)(c->spark ? c->n_mtp : 0));
	c->ratio = calloc(n, sizeof *c->ratio);
	c->layer = calloc((size_t)c->L, sizeof *c->layer);
	if (!c->ratio || !c->layer)
		return err_nomem(e);
	for (i = 0; i < n; i++) {
		x = json_array_get(a, i);
		if (!json_is_integer(x) || json_integer_value(x) < 0 || json_integer_value(x) > 2 ||
			(i >= c->L && json_integer_value(x)))
			return err_rule(e, RULE_CONFIG_RATIOS, ERR_NOPOS,
				"config.json: \"compress_ratios\" entry %zu is none of 0, 1, 2, or is of a stage and not 0",
				i);
		c->ratio[i] = (uint64_t)json_integer_value(x);
	}
	c->stages = n - c->L;
	return 0;
}

/* The layer whose candidates later ones read; -1: there is none, as in a slice without it. */
static int hold_candidates(const struct config *c, const json_t *o, struct err *e)
{
	static const char key[] = "candidate_source_layer_id";
	const json_t *x = json_object_get(o, key);

	if (!config_says(o, key))
		return 0;
	if (!json_is_integer(x))
		return config_bad(e, RULE_CONFIG_FIELD_TYPE, key, "is no layer");
	return json_integer_value(x) < -1 || json_integer_value(x) >= (json_int_t)c->L
		? config_bad(e, RULE_CONFIG_FIELD_RANGE, key, "is none of the layers, and not -1")
		: 0;
}

/* A source of keys has a compressor and the key side of an indexer; a gate where it joins more than one. */
static int get_layers(struct config *c, const json_t *o, struct err *e)
{
	uint64_t i;

	if (get_ratios(c, o, e) || mark_layers(c, o, "kv_source_layer_ids", IN_COMPRESS, e) ||
		mark_layers(c, o, "index_source_layer_ids", IN_INDEX, e))
		return -1;
	for (i = 0; i < c->L; i++) {
		if (!(c->layer[i].is & IN_COMPRESS))
			continue;
		if (!c->ratio[i])
			return config_bad(e, RULE_CONFIG_RATIOS, "kv_source_layer_ids",
				"names a layer whose compress_ratios entry is 0");
		c->layer[i].is |= c->ratio[i] > 1 ? IN_COMPRESS_GATE : 0u;
	}
	return 0;
}

/* --- Engram --- */

static int get_engram(struct config *c, const json_t *o, struct err *e)
{
	const json_t *said = json_object_get(o, "engram_num_embeddings"),
		     *ids = json_object_get(o, "engram_layer_ids");
	uint64_t rows, v;
	size_t i, n = json_array_size(ids);

	if (!n)
		return 0;
	/* Ids of tokens are made fewer ids, with which rows are found. */
	if (config_hold(o, false, "engram_compressed_vocab_size", 1, c->V, &v, e) ||
		config_hold(o, false, "engram_pad_token_id", 0, c->V - 1, &v, e))
		return -1;
	c->EC = (c->EG - 1) * c->EN * c->EH;
	if (n * (c->EG - 1) * c->EN > ENGRAM_COLUMNS || c->EC > 1 << 20)
		return config_bad(e, RULE_CONFIG_FIELD_RANGE, "engram_n_heads", "is absurd");
	if (mark_layers(c, o, "engram_layer_ids", IN_ENGRAM, e))
		return -1;
	if (json_array_size(said) != n)
		return config_bad(e, said ? RULE_CONFIG_FIELD_RANGE : RULE_CONFIG_FIELD_MISSING,
			"engram_num_embeddings",
			"has no number of rows for each of engram_layer_ids");
	for (i = 0; i < n; i++) {
		rows = engram_bounds(c, (uint32_t)i, NULL);
		if ((uint64_t)json_integer_value(json_array_get(said, i)) != rows)
			return err_rule(e, RULE_CONFIG_FIELD_RANGE, ERR_NOPOS,
				"config.json: \"engram_num_embeddings\" entry %zu is %lld; the primes from engram_vocab_size %llu on sum up to %llu rows",
				i, (long long)json_integer_value(json_array_get(said, i)),
				(unsigned long long)c->EV, (unsigned long long)rows);
		c->layer[json_integer_value(json_array_get(ids, i))].rows = rows;
		c->layer[json_integer_value(json_array_get(ids, i))].table = (uint32_t)i;
	}
	return 0;
}

/* --- config.json --- */

static int v41_config_read(struct config *c, const struct config_doc *d, struct err *e)
{
	json_t *o;
	uint64_t v;
	int rc = flatten(&o, d, e);

	if (!rc) {
		c->spark = config_says(o, "dspark_block_size") ||
			config_says(o, "dspark_target_layer_ids");
		c->vision = config_says(o, "vision_n_layers");
		c->engram = json_array_size(json_object_get(o, "engram_layer_ids")) > 0;
		rc = config_fields(c, o, fields, FIELDS, e) || get_layers(c, o, e) ||
				hold_candidates(c, o, e) ||
				config_hold(o, false, "index_topk", 1, PARAMS_TOPK_MAX, &v, e) ||
				config_spark(c, o, false, e) || config_vision(c, o, false, e) ||
				get_engram(c, o, e) || decoder_quant(c, o, e) ||
				config_experts(c, o, e) || decoder_divides(c, e)
			? -1
			: 0;
	}
	json_decref(o);
	return rc;
}

/* What is not known of V4.1, or not built. */
static const struct family_gap gaps[] = {
	{ NEED_OFFICIAL, false, "Target official is",
		"the converter of V4.1 was read in parts only (it works on blocks of 32 x 32 and expands wo_a); what it does with Engram tables and the vision tower is not known. Target hf works" },
	{ NEED_VLLM, false, "Target vllm-sharded is",
		"the names that vLLM's parameters of V4.1 have were not read. Target hf works" },
	{ NEED_SGLANG, false, "Target sglang-presharded is",
		"the names and forms that SGLang's parameters of V4.1 have were not read. Target hf works" },
	{ NEED_GGUF, false, "GGUF is",
		"llama.cpp of October 2026 (build 11549) has no architecture for it: its deepseek4 takes compress ratios 0, 4 and 128, V4.1 has 1 and 2, and there are no names for Engram and for layers that share keys. --to bf16 is what a converter would begin with" },
	{ NEED_COMPRESSED, false, "A name of compressed-tensors is",
		"vLLM 0.33, which these are for, takes wo_a of V4.1 in blocks of 32 from the published form and from ModelOpt's MXFP8 alone: with compressed-tensors its attention expects blocks of 128. --to mxfp8 and --to nvfp4 work" },
	{ NEED_MLX, false, "The published bytes beside a word to MLX (--to mlx, --stack) are",
		"mlx-vlm 0.7.10 multiplies those of V4.1 out to BF16 while it loads them, whatever config.json says. --to mlx-packed has them under the names that stay packed" },
	{ NEED_FORWARD, false, "The forward pass (logits, record, replay, imatrix) is",
		"no public text fixes where it rounds: the sum of the two halves of a compressed key and its E4M3 scales for 16, the single-pass mix of the streams, the order of Engram's sums, and a decode that does not reproduce its own prefill. compare is the proof of a conversion" },
	{ NEED_TOKENS, false, "tokens --chat is", "how V4.1 writes conversations was not read" },
	{ NEED_OFFICIAL, false, NULL, NULL },
};

/* vLLM 0.33.0 (models/deepseek_v41) and SGLang 0.5.23 (models/deepseek_v4.py, configs/deepseek_v41.py) have it, and mlx-vlm
 * 0.7.10 (models/deepseek_v41, run on a CPU). mlx-lm 0.32.2 has the text, and refuses a model with Engram. transformers 5.23.0
 * has V4 only. */
static const char *const read_by[] = { "vllm", "sglang", "mlx", NULL };

const struct family family_v41 = { .name = "deepseek_v41",
	.what = "DeepSeek-V4.1",
	.architecture = "DeepseekV41ForCausalLM",
	.dense = CODEC_FP8_32,
	.config_read = v41_config_read,
	.flatten = flatten,
	.place = v41_place,
	.canonical = v41_canonical,
	.fields = fields,
	.n_fields = FIELDS,
	.roles = roles,
	.n_roles = sizeof roles / sizeof *roles,
	.gaps = gaps,
	.read_by = read_by };
