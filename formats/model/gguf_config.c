/* SPDX-License-Identifier: MIT */
#include "formats/model/gguf_config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct maker {
	const struct gguf_meta *m;
	const char *name; /* of the file */
	bool drafts;      /* it is of the MTP block */
	uint64_t stages;  /* blocks of those, of which config.json tells */
	struct text t;
	struct findings *f;
};

const char *gguf_config_arch(const struct gguf_meta *m)
{
	const struct gguf_entry *x = gguf_meta_find(m, "general.architecture");

	return x && x->text ? x->text : "";
}

const struct gguf_entry *gguf_config_entry(const struct gguf_meta *m, const char *leaf)
{
	char key[GGUF_META_TEXT + 80];

	snprintf(key, sizeof key, "%s.%s", gguf_config_arch(m), leaf);
	return gguf_meta_find(m, key);
}

static int say(struct maker *k, const char *leaf, const char *what)
{
	return finding_add(k->f, RULE_GGUF_KEYS, k->name, "%s: key " GGUF_ARCH ".%s %s", k->name,
		leaf, what);
}

/* A number with as few digits as say which FP32 it is. */
static void put_number(struct text *t, double v)
{
	char s[40];
	int n;

	if (v == rint(v) && fabs(v) < 1e15) {
		text_fmt(t, "%.0f", v);
		return;
	}
	for (n = 1; n < 17; n++) {
		snprintf(s, sizeof s, "%.*g", n, v);
		if (n >= 9 ? strtod(s, NULL) == v : strtof(s, NULL) == (float)v)
			break;
	}
	text_str(t, s);
}

/* Members that are numbers of the metadata under other names. */
static const struct {
	const char *member, *leaf;
	bool whole; /* of an integer type, not negative */
} numbers[] = {
	{ "hidden_size", "embedding_length", true },
	{ "num_attention_heads", "attention.head_count", true },
	{ "num_key_value_heads", "attention.head_count_kv", true },
	{ "head_dim", "attention.key_length", true },
	{ "q_lora_rank", "attention.q_lora_rank", true },
	{ "o_groups", "attention.output_group_count", true },
	{ "o_lora_rank", "attention.output_lora_rank", true },
	{ "index_n_heads", "attention.indexer.head_count", true },
	{ "index_head_dim", "attention.indexer.key_length", true },
	{ "index_topk", "attention.indexer.top_k", true },
	{ "sliding_window", "attention.sliding_window", true },
	{ "rms_norm_eps", "attention.layer_norm_rms_epsilon", false },
	{ "compress_rope_theta", "attention.compress_rope_freq_base", false },
	{ "moe_intermediate_size", "expert_feed_forward_length", true },
	{ "n_routed_experts", "expert_count", true },
	{ "n_shared_experts", "expert_shared_count", true },
	{ "num_experts_per_tok", "expert_used_count", true },
	{ "routed_scaling_factor", "expert_weights_scale", false },
	{ "hc_mult", "hyper_connection.count", true },
	{ "hc_sinkhorn_iters", "hyper_connection.sinkhorn_iterations", true },
	{ "hc_eps", "hyper_connection.epsilon", false },
	{ "num_hash_layers", "hash_layer_count", true },
	{ "max_position_embeddings", "context_length", true },
	{ "qk_rope_head_dim", "rope.dimension_count", true },
	{ "rope_theta", "rope.freq_base", false },
};
static const struct {
	const char *member, *leaf;
} yarn[] = {
	{ "factor", "rope.scaling.factor" },
	{ "original_max_position_embeddings", "rope.scaling.original_context_length" },
	{ "beta_fast", "rope.scaling.yarn_beta_fast" },
	{ "beta_slow", "rope.scaling.yarn_beta_slow" },
};

/* The number of a key; *there is whether it is one. */
static int number_of(struct maker *k, const char *leaf, bool whole, double *v, bool *there)
{
	const struct gguf_entry *x = gguf_config_entry(k->m, leaf);
	bool real = x && (x->type == GGUF_F32 || x->type == GGUF_F64);

	*v = x ? x->number : 0;
	*there = gguf_entry_number(x) && isfinite(*v) && x->type != GGUF_BOOL &&
		(whole ? !real && *v >= 0 : real);
	if (*there)
		return 0;
	return say(k, leaf,
		!x              ? "is missing"
			: whole ? "is no integer from 0 on"
				: "is no number in F32");
}

static int put_members(struct maker *k)
{
	bool there;
	double v;
	size_t i;

	for (i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		if (number_of(k, numbers[i].leaf, numbers[i].whole, &v, &there))
			return -1;
		if (!there)
			continue;
		text_fmt(&k->t, "\"%s\": ", numbers[i].member);
		put_number(&k->t, v);
		text_str(&k->t, ", ");
	}
	return 0;
}

/* The vocabulary: of its own key, or as many as there are tokens; converters write the one, the other or both. */
static int put_vocab(struct maker *k)
{
	const struct gguf_entry *said = gguf_config_entry(k->m, "vocab_size"),
				*tokens = gguf_meta_find(k->m, "tokenizer.ggml.tokens");
	bool there = !said && tokens && tokens->type == GGUF_ARRAY;
	double v = there ? (double)tokens->count : 0;

	if (!there && number_of(k, "vocab_size", true, &v, &there))
		return -1;
	if (there)
		text_fmt(&k->t, "\"vocab_size\": %.0f, ", v);
	return 0;
}

static int put_yarn(struct maker *k)
{
	bool there;
	double v;
	size_t i;

	text_str(&k->t, "\"rope_scaling\": {\"type\": \"yarn\"");
	for (i = 0; i < sizeof yarn / sizeof *yarn; i++) {
		if (number_of(k, yarn[i].leaf, i == 1, &v, &there))
			return -1;
		if (!there)
			continue;
		text_fmt(&k->t, ", \"%s\": ", yarn[i].member);
		put_number(&k->t, v);
	}
	text_str(&k->t, "}, ");
	return 0;
}

/* Layers: blocks but for those of drafts that lie in the same file. *l is 0 where that is not said. */
static int put_layers(struct maker *k, uint64_t *l)
{
	const struct gguf_entry *x = gguf_config_entry(k->m, "nextn_predict_layers");
	double v, drafts = gguf_entry_number(x) && x->number > 0 ? x->number : 0;
	bool there;

	*l = 0;
	if (number_of(k, "block_count", true, &v, &there))
		return -1;
	if (!there)
		return 0;
	if (v <= drafts || v > 4096)
		return say(k, "block_count", "has no room for layers beside drafts, or is absurd");
	*l = (uint64_t)(v - drafts);
	k->stages = k->drafts ? (uint64_t)drafts : 0;
	text_fmt(&k->t, "\"num_hidden_layers\": %llu, \"num_nextn_predict_layers\": %llu, ",
		(unsigned long long)*l, (unsigned long long)k->stages);
	return 0;
}

static int put_ratios(struct maker *k, uint64_t l)
{
	static const char leaf[] = "attention.compress_ratios";
	const struct gguf_entry *x = gguf_config_entry(k->m, leaf);
	uint64_t i;

	l += k->stages;
	if (!x || x->type != GGUF_ARRAY || (x->item != GGUF_I32 && x->item != GGUF_U32) || !x->v ||
		x->count < l)
		return say(k, leaf,
			x ? "is no array of integers, one for each layer" : "is missing");
	text_str(&k->t, "\"compress_ratios\": [");
	for (i = 0; i < l; i++)
		text_fmt(&k->t, "%s%.0f", i ? ", " : "", x->v[i]);
	text_str(&k->t, "], ");
	return 0;
}

/* One limit for all layers, routed and shared experts: the model has no other. */
static int put_swiglu(struct maker *k, uint64_t l)
{
	static const char *const leaf[] = { "swiglu_clamp_exp", "swiglu_clamp_shexp" };
	double limit = 0;
	uint64_t i;
	size_t j;

	for (j = 0; j < 2; j++) {
		const struct gguf_entry *x = gguf_config_entry(k->m, leaf[j]);

		if (!x && j) /* it may be left out, and then is the same */
			continue;
		if (!x || x->type != GGUF_ARRAY || x->item != GGUF_F32 || !x->v || x->count < l ||
			!l)
			return say(k, leaf[j],
				x ? "is no array of F32, one for each layer" : "is missing");
		limit = j ? limit : x->v[0];
		for (i = 0; i < l; i++)
			if (x->v[i] != limit)
				return say(k, leaf[j],
					"has more than one limit: nothing else is a DeepSeek-V4");
	}
	text_str(&k->t, "\"swiglu_limit\": ");
	put_number(&k->t, limit);
	text_str(&k->t, limit == rint(limit) ? ".0, " : ", ");
	return 0;
}

/* What is computed, and in no other way. */
static int put_words(struct maker *k)
{
	const struct gguf_entry *gate = gguf_config_entry(k->m, "expert_gating_func"),
				*norm = gguf_config_entry(k->m, "expert_weights_norm"),
				*rope = gguf_config_entry(k->m, "rope.scaling.type"),
				*value = gguf_config_entry(k->m, "attention.value_length"),
				*key = gguf_config_entry(k->m, "attention.key_length");

	text_str(&k->t,
		"\"scoring_func\": \"sqrtsoftplus\", \"norm_topk_prob\": true, \"hidden_act\": \"silu\", "
		"\"topk_method\": \"noaux_tc\", \"quantization_config\": {\"quant_method\": \"fp8\", "
		"\"fmt\": \"e4m3\", \"weight_block_size\": [128, 128]}, ");
	if ((!gguf_entry_number(gate) || gate->number != 4) &&
		say(k, "expert_gating_func", "is not 4, the square root of softplus"))
		return -1;
	if ((!norm || norm->type != GGUF_BOOL || norm->number == 0) &&
		say(k, "expert_weights_norm", "is not true"))
		return -1;
	if ((!rope || !rope->text || strcmp(rope->text, "yarn") != 0) &&
		say(k, "rope.scaling.type", "is not yarn"))
		return -1;
	if (gguf_entry_number(value) && gguf_entry_number(key) && value->number != key->number)
		return say(k, "attention.value_length", "is another than that of keys");
	return 0;
}

int gguf_config_make(struct config_doc *d, const struct gguf_meta *m, const char *name,
	enum codec experts, bool drafts, struct findings *f, struct err *e)
{
	struct maker k = { .m = m, .name = name, .drafts = drafts, .f = f };
	uint64_t l;
	int rc;

	text_str(&k.t, "{\"model_type\": \"deepseek_v4\", ");
	rc = put_layers(&k, &l) || put_ratios(&k, l) || put_members(&k) || put_vocab(&k) ||
			put_yarn(&k) || put_swiglu(&k, l) || put_words(&k)
		? err_nomem(e)
		: 0;
	text_fmt(&k.t, "\"expert_dtype\": \"%s\"}\n", codec_expert(experts));
	if (!rc)
		rc = k.t.failed ? err_nomem(e) : config_doc_parse(d, k.t.s, k.t.n, e);
	text_free(&k.t);
	return rc;
}
