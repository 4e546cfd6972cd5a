/* SPDX-License-Identifier: MIT */
#include "formats/model/gguf_keys.h"

#include "formats/gguf/vocab.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* llama.cpp's numbers: of the gating function sqrt(softplus(x)), of kinds of files, of the revision of block formats. */
enum { SQRT_SOFTPLUS = 4, FILE_F32 = 0, FILE_MXFP4_MOE = 38, QUANT_VERSION = 2 };

struct keys {
	struct gguf_out *o;
	const struct config *c;
	const struct params *p;
	enum gguf_file_of of;
	const char *arch;
	uint64_t blocks; /* that the file says it has */
	char name[128];  /* of the key that was made last */
};

static const char *key(struct keys *k, const char *leaf)
{
	snprintf(k->name, sizeof k->name, "%s.%s", k->arch, leaf);
	return k->name;
}

static void put_u32(struct keys *k, const char *leaf, uint64_t v)
{
	gguf_put_u32(k->o, key(k, leaf), (uint32_t)v);
}

static void put_f32(struct keys *k, const char *leaf, double v)
{
	gguf_put_f32(k->o, key(k, leaf), (float)v);
}

/* Numbers that are fields of config.json under other names. */
static void put_shape(struct keys *k)
{
	const struct config *c = k->c;
	const struct {
		const char *leaf;
		uint64_t v;
	} row[] = {
		{ "block_count", k->blocks },
		{ "embedding_length", c->D },
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
		{ "hash_layer_count", k->of == GGUF_OF_DSPARK ? 0 : c->n_hash },
	};
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++)
		put_u32(k, row[i].leaf, row[i].v);
	if (k->of != GGUF_OF_DSPARK)
		put_u32(k, "embedding_length_out", c->D * c->hc);
	if (k->of == GGUF_OF_MTP)
		put_u32(k, "nextn_predict_layers", c->stages);
}

static void put_params(struct keys *k)
{
	const struct params *p = k->p;

	put_u32(k, "attention.sliding_window", p->window);
	put_u32(k, "attention.indexer.top_k", p->topk);
	put_u32(k, "rope.dimension_count", p->rope_dim);
	put_u32(k, "hyper_connection.sinkhorn_iterations", p->hc_iters);
	put_u32(k, "rope.scaling.original_context_length", (uint64_t)p->yarn_original);
	put_f32(k, "rope.scaling.factor", p->yarn_factor);
	put_f32(k, "rope.scaling.yarn_beta_fast", p->beta_fast);
	put_f32(k, "rope.scaling.yarn_beta_slow", p->beta_slow);
	put_f32(k, "rope.freq_base", p->theta);
	put_f32(k, "attention.compress_rope_freq_base", p->theta_compress);
	put_f32(k, "attention.layer_norm_rms_epsilon", (double)p->eps);
	put_f32(k, "hyper_connection.epsilon", (double)p->hc_eps);
	put_f32(k, "expert_weights_scale", (double)p->route_scale);
	gguf_put_string(k->o, key(k, "rope.scaling.type"), "yarn", 4);
	gguf_put_bool(k->o, key(k, "expert_weights_norm"),
		true); /* params_read takes nothing else */
}

static void put_by_block(struct keys *k)
{
	static const char *const clamp[] = { "swiglu_clamp_exp", "swiglu_clamp_shexp" };
	uint64_t n = k->of == GGUF_OF_DSPARK ? k->blocks : k->c->L + k->c->stages, i;
	size_t j;

	gguf_put_array(k->o, key(k, "attention.compress_ratios"), GGUF_I32, n);
	for (i = 0; i < n; i++)
		gguf_put_item_i32(k->o, k->of == GGUF_OF_DSPARK ? 0 : (int32_t)k->c->ratio[i]);
	for (j = 0; j < 2; j++) {
		gguf_put_array(k->o, key(k, clamp[j]), GGUF_F32, k->blocks);
		for (i = 0; i < k->blocks; i++)
			gguf_put_item_f32(k->o, k->p->swiglu_limit);
	}
}

/* A whole number of config.json that fits into u32. */
static int number(const struct config_doc *doc, const char *field, uint64_t min, uint64_t *v,
	struct err *e)
{
	const json_t *x = json_object_get(doc->o, field);

	if (json_is_integer(x) && json_integer_value(x) >= (json_int_t)min &&
		json_integer_value(x) <= UINT32_MAX) {
		*v = (uint64_t)json_integer_value(x);
		return 0;
	}
	return err_rule(e, RULE_CONFIG_FORWARD, ERR_NOPOS, "config.json: \"%s\" is %s", field,
		x ? "out of range" : "missing");
}

/* What a DSpark drafter is told. Its targets are inputs of layers there, outputs in config.json. */
static int put_dspark(struct keys *k, const struct config_doc *doc, struct err *e)
{
	const json_t *a = json_object_get(doc->o, "dspark_target_layer_ids"), *x;
	uint64_t size, noise;
	size_t i;

	if (number(doc, "dspark_block_size", 1, &size, e) ||
		number(doc, "dspark_noise_token_id", 0, &noise, e))
		return -1;
	put_u32(k, "block_size", size);
	gguf_put_array(k->o, key(k, "target_layers"), GGUF_I32, json_array_size(a));
	for (i = 0; i < json_array_size(a); i++) {
		x = json_array_get(a, i);
		if (!json_is_integer(x) || json_integer_value(x) < 0 ||
			(uint64_t)json_integer_value(x) >= k->c->L)
			return err_rule(e, RULE_CONFIG_FORWARD, ERR_NOPOS,
				"config.json: \"dspark_target_layer_ids\" entry %zu is no layer",
				i);
		gguf_put_item_i32(k->o, (int32_t)json_integer_value(x) + 1);
	}
	gguf_put_u32(k->o, "tokenizer.ggml.mask_token_id", (uint32_t)noise);
	return 0;
}

uint32_t gguf_file_type(enum gguf_dense dense)
{
	return dense == GGUF_DENSE_F32 ? FILE_F32 : FILE_MXFP4_MOE;
}

uint32_t gguf_file_type_of(uint32_t experts)
{
	/* enum llama_ftype of llama.cpp 0c1e570, of each type the plainest mix */
	static const struct {
		uint32_t type, file;
	} rows[] = { { 0, 0 }, { 1, 1 }, { 2, 2 }, { 3, 3 }, { 8, 7 }, { 6, 8 }, { 7, 9 },
		{ 10, 10 }, { 11, 12 }, { 12, 15 }, { 13, 17 }, { 14, 18 }, { 16, 19 }, { 17, 20 },
		{ 18, 23 }, { 19, 24 }, { 20, 25 }, { 21, 26 }, { 22, 28 }, { 23, 30 }, { 29, 31 },
		{ 30, 32 } };
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].type == experts)
			return rows[i].file;
	return FILE_MXFP4_MOE;
}

int gguf_keys_put(struct gguf_out *o, const struct config *c, const struct params *p,
	const struct config_doc *doc, uint32_t file_type, enum gguf_file_of of, struct err *e)
{
	static const char name[] = "DeepSeek-V4";
	struct keys k = { .o = o,
		.c = c,
		.p = p,
		.of = of,
		.arch = of == GGUF_OF_DSPARK ? "dflash" : "deepseek4" };
	uint64_t context;

	k.blocks = of == GGUF_OF_MODEL ? c->L : of == GGUF_OF_MTP ? c->L + c->stages : c->stages;
	if (number(doc, "max_position_embeddings", 1, &context, e))
		return -1;
	gguf_put_string(o, "general.architecture", k.arch, strlen(k.arch));
	gguf_put_string(o, "general.type", "model", 5);
	gguf_put_string(o, "general.name", name, strlen(name));
	gguf_put_u32(o, "general.file_type", file_type);
	gguf_put_u32(o, "general.quantization_version", QUANT_VERSION);
	put_u32(&k, "context_length", context);
	put_shape(&k);
	put_params(&k);
	put_by_block(&k);
	return of == GGUF_OF_DSPARK ? put_dspark(&k, doc, e) : 0;
}

int gguf_metadata_put(struct gguf_out *o, const struct ckpt *c, uint32_t file_type,
	enum gguf_file_of of, struct err *e)
{
	const struct link_dir dir = ckpt_links(c);
	struct findings f = { 0 };
	struct params p;
	struct vocab v;
	bool there;
	int rc = params_read(&p, &c->doc, &f, e);

	rc = rc ? rc : finding_first(&f, e);
	finding_free(&f);
	if (rc || gguf_keys_put(o, &c->config, &p, &c->doc, file_type, of, e) ||
		vocab_read(&v, &dir, (size_t)c->config.V, c->doc.o, &there, e))
		return -1;
	vocab_put(&v, o);
	vocab_free(&v);
	return 0;
}
