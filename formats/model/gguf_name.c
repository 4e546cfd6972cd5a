/* SPDX-License-Identifier: MIT */
#include "formats/model/gguf_name.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* clang-format off */
static const struct {
	const char *role, *leaf; /* leaf stands behind "blk.N." of what is in a layer */
	bool global;             /* it is in none */
} names[] = {
	{ "embed.weight",   "token_embd.weight", true },
	{ "head.weight",    "output.weight", true },
	{ "norm.weight",    "output_norm.weight", true },
	{ "hc_head_base",   "output_hc_base.weight", true },
	{ "hc_head_fn",     "output_hc_fn.weight", true },
	{ "hc_head_scale",  "output_hc_scale.weight", true },

	{ "hc_attn_base",   "hc_attn_base.weight", false },
	{ "hc_attn_fn",     "hc_attn_fn.weight", false },
	{ "hc_attn_scale",  "hc_attn_scale.weight", false },
	{ "hc_ffn_base",    "hc_ffn_base.weight", false },
	{ "hc_ffn_fn",      "hc_ffn_fn.weight", false },
	{ "hc_ffn_scale",   "hc_ffn_scale.weight", false },
	{ "attn_norm.weight", "attn_norm.weight", false },
	{ "ffn_norm.weight",  "ffn_norm.weight", false },

	{ "attn.attn_sink",      "attn_sinks.weight", false },
	{ "attn.q_norm.weight",  "attn_q_a_norm.weight", false },
	{ "attn.kv_norm.weight", "attn_kv_a_norm.weight", false },
	{ "attn.wq_a.weight",    "attn_q_a.weight", false },
	{ "attn.wq_b.weight",    "attn_q_b.weight", false },
	{ "attn.wkv.weight",     "attn_kv.weight", false },
	{ "attn.wo_a.weight",    "attn_output_a.weight", false },
	{ "attn.wo_b.weight",    "attn_output_b.weight", false },

	{ "attn.compressor.ape",          "attn_compressor_ape.weight", false },
	{ "attn.compressor.wkv.weight",   "attn_compressor_kv.weight", false },
	{ "attn.compressor.wgate.weight", "attn_compressor_gate.weight", false },
	{ "attn.compressor.norm.weight",  "attn_compressor_norm.weight", false },

	{ "attn.indexer.wq_b.weight",             "indexer.attn_q_b.weight", false },
	{ "attn.indexer.weights_proj.weight",     "indexer.proj.weight", false },
	{ "attn.indexer.compressor.ape",          "indexer_compressor_ape.weight", false },
	{ "attn.indexer.compressor.wkv.weight",   "indexer_compressor_kv.weight", false },
	{ "attn.indexer.compressor.wgate.weight", "indexer_compressor_gate.weight", false },
	{ "attn.indexer.compressor.norm.weight",  "indexer_compressor_norm.weight", false },

	{ "ffn.gate.weight",  "ffn_gate_inp.weight", false },
	{ "ffn.gate.bias",    "exp_probs_b.bias", false },
	{ "ffn.gate.tid2eid", "ffn_gate_tid2eid.weight", false },
	{ "ffn.shared_experts.w1.weight", "ffn_gate_shexp.weight", false },
	{ "ffn.shared_experts.w2.weight", "ffn_down_shexp.weight", false },
	{ "ffn.shared_experts.w3.weight", "ffn_up_shexp.weight", false },
	{ "ffn.experts.#.w1.weight", "ffn_gate_exps.weight", false },
	{ "ffn.experts.#.w2.weight", "ffn_down_exps.weight", false },
	{ "ffn.experts.#.w3.weight", "ffn_up_exps.weight", false },
};
/* clang-format on */

const char *const gguf_dense_names[GGUF_DENSE_COUNT] = { "bf16", "q8_0", "f32" };

/* The number that *s begins with, without leading zeros; *s moves behind it. -1: it begins with none. */
static long number(const char **s)
{
	long v = 0;
	unsigned n;

	for (n = 0; (*s)[n] >= '0' && (*s)[n] <= '9' && n < 6; n++)
		v = v * 10 + ((*s)[n] - '0');
	if (!n || (n > 1 && **s == '0'))
		return -1;
	*s += n;
	return v;
}

/* Whether tensor is role, in which # stands for the id of an expert. */
static bool is_role(const char *tensor, const char *role, long *expert, bool scale)
{
	static const char weight[] = "weight";
	const char *hash = strchr(role, '#');
	size_t n = hash ? (size_t)(hash - role) : 0;

	*expert = -1;
	if (hash) {
		if (strncmp(tensor, role, n) != 0)
			return false;
		tensor += n;
		*expert = number(&tensor);
		if (*expert < 0)
			return false;
		role = hash + 1;
	}
	n = strlen(role);
	if (!scale)
		return !strcmp(tensor, role);
	if (n < sizeof weight || strcmp(role + n - (sizeof weight - 1), weight) != 0)
		return false;
	n -= sizeof weight - 1;
	return !strncmp(tensor, role, n) && !strcmp(tensor + n, "scale");
}

bool gguf_name_of(char out[GGUF_NAME_MAX + 1], long *expert, const char *tensor, bool scale)
{
	static const char layers[] = "layers.";
	long layer = -1;
	size_t i;

	*expert = -1;
	if (!strncmp(tensor, layers, sizeof layers - 1)) {
		tensor += sizeof layers - 1;
		layer = number(&tensor);
		if (layer < 0 || *tensor++ != '.')
			return false;
	}
	for (i = 0; i < sizeof names / sizeof *names; i++) {
		if ((layer >= 0) == names[i].global ||
			!is_role(tensor, names[i].role, expert, scale))
			continue;
		if (layer < 0)
			snprintf(out, GGUF_NAME_MAX + 1, "%s", names[i].leaf);
		else
			snprintf(out, GGUF_NAME_MAX + 1, "blk.%ld.%s", layer, names[i].leaf);
		return true;
	}
	return false;
}

bool gguf_name(char out[GGUF_NAME_MAX + 1], const struct want *w)
{
	long expert;

	return w->stage < 0 && !w->scale && gguf_name_of(out, &expert, w->name, false);
}

uint32_t gguf_type_of(const struct want *w, struct model_forms forms, enum gguf_dense dense)
{
	static const uint32_t type[GGUF_DENSE_COUNT] = { [GGUF_DENSE_BF16] = GGML_BF16,
		[GGUF_DENSE_Q8_0] = GGML_Q8_0,
		[GGUF_DENSE_F32] = GGML_F32 };
	bool experts = w->role->store == STORE_EXPERT;

	if (w->role->store == STORE_PLAIN) {
		if (w->role->dtype == DT_I64)
			return GGML_I32;
		/* norms and what has one dimension are F32 in every file of llama.cpp */
		return w->role->dtype == DT_BF16 && w->rank > 1 && dense != GGUF_DENSE_F32
			? GGML_BF16
			: GGML_F32;
	}
	return experts && forms.experts == CODEC_MXFP4 && dense != GGUF_DENSE_F32 ? GGML_MXFP4
										  : type[dense];
}

/* --- metadata --- */

/* llama.cpp's numbers: of the gating function sqrt(softplus(x)), of kinds of files, of the revision of block formats. */
enum { SQRT_SOFTPLUS = 4, FILE_F32 = 0, FILE_MXFP4_MOE = 38, QUANT_VERSION = 2 };

static void put_u32(struct gguf_out *o, const char *key, uint64_t v)
{
	char name[128];

	snprintf(name, sizeof name, GGUF_ARCH ".%s", key);
	gguf_put_u32(o, name, (uint32_t)v);
}

static void put_f32(struct gguf_out *o, const char *key, double v)
{
	char name[128];

	snprintf(name, sizeof name, GGUF_ARCH ".%s", key);
	gguf_put_f32(o, name, (float)v);
}

/* Numbers that are fields of config.json under other names. */
static void put_shape(struct gguf_out *o, const struct config *c)
{
	const struct {
		const char *key;
		uint64_t v;
	} row[] = {
		{ "block_count", c->L },
		{ "embedding_length", c->D },
		{ "embedding_length_out", c->D * c->hc },
		{ "vocab_size", c->V },
		{ "attention.head_count", c->H },
		{ "attention.head_count_kv", 1 },
		{ "attention.key_length", c->hd },
		{ "attention.value_length", c->hd },
		{ "attention.q_lora_rank", c->QL },
		{ "attention.output_group_count", c->G },
		{ "attention.output_lora_rank", c->R },
		{ "attention.indexer.head_count", c->IH },
		{ "attention.indexer.key_length", c->IHD },
		{ "expert_count", c->E },
		{ "expert_used_count", c->K },
		{ "expert_shared_count", c->S },
		{ "expert_feed_forward_length", c->I },
		{ "expert_gating_func", SQRT_SOFTPLUS },
		{ "hyper_connection.count", c->hc },
		{ "hash_layer_count", c->n_hash },
	};
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++)
		put_u32(o, row[i].key, row[i].v);
}

static void put_params(struct gguf_out *o, const struct params *p)
{
	put_u32(o, "attention.sliding_window", p->window);
	put_u32(o, "attention.indexer.top_k", p->topk);
	put_u32(o, "rope.dimension_count", p->rope_dim);
	put_u32(o, "hyper_connection.sinkhorn_iterations", p->hc_iters);
	put_u32(o, "rope.scaling.original_context_length", (uint64_t)p->yarn_original);
	put_f32(o, "rope.scaling.factor", p->yarn_factor);
	put_f32(o, "rope.scaling.yarn_beta_fast", p->beta_fast);
	put_f32(o, "rope.scaling.yarn_beta_slow", p->beta_slow);
	put_f32(o, "rope.freq_base", p->theta);
	put_f32(o, "attention.compress_rope_freq_base", p->theta_compress);
	put_f32(o, "attention.layer_norm_rms_epsilon", (double)p->eps);
	put_f32(o, "hyper_connection.epsilon", (double)p->hc_eps);
	put_f32(o, "expert_weights_scale", (double)p->route_scale);
	gguf_put_string(o, GGUF_ARCH ".rope.scaling.type", "yarn", 4);
	gguf_put_bool(o, GGUF_ARCH ".expert_weights_norm",
		true); /* params_read takes nothing else */
}

static void put_by_layer(struct gguf_out *o, const struct config *c, const struct params *p)
{
	static const char *const clamp[] = { GGUF_ARCH ".swiglu_clamp_exp",
		GGUF_ARCH ".swiglu_clamp_shexp" };
	size_t i, k;

	gguf_put_array(o, GGUF_ARCH ".attention.compress_ratios", GGUF_I32, c->L + c->stages);
	for (i = 0; i < c->L + c->stages; i++)
		gguf_put_item_i32(o, (int32_t)c->ratio[i]);
	for (k = 0; k < 2; k++) {
		gguf_put_array(o, clamp[k], GGUF_F32, c->L);
		for (i = 0; i < c->L; i++)
			gguf_put_item_f32(o, p->swiglu_limit);
	}
}

int gguf_keys_put(struct gguf_out *o, const struct config *c, const struct params *p,
	const struct config_doc *doc, enum gguf_dense dense, struct err *e)
{
	const json_t *context = json_object_get(doc->o, "max_position_embeddings");
	static const char name[] = "DeepSeek-V4";

	if (!json_is_integer(context) || json_integer_value(context) < 1 ||
		json_integer_value(context) > UINT32_MAX)
		return err_rule(e, RULE_CONFIG_FORWARD, ERR_NOPOS,
			"config.json: \"max_position_embeddings\" is %s",
			context ? "no length" : "missing");
	gguf_put_string(o, "general.architecture", GGUF_ARCH, strlen(GGUF_ARCH));
	gguf_put_string(o, "general.type", "model", 5);
	gguf_put_string(o, "general.name", name, strlen(name));
	gguf_put_u32(o, "general.file_type", dense == GGUF_DENSE_F32 ? FILE_F32 : FILE_MXFP4_MOE);
	gguf_put_u32(o, "general.quantization_version", QUANT_VERSION);
	put_u32(o, "context_length", (uint64_t)json_integer_value(context));
	put_shape(o, c);
	put_params(o, p);
	put_by_layer(o, c, p);
	return 0;
}
