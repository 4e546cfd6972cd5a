/* damage_tensors.h -- for tests: what tools and people do to tensors and config.json of a checkpoint in memory (ck.h), a
 * function for each.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_DAMAGE_TENSORS_H
#define TESTS_DAMAGE_TENSORS_H
#include "quant/num.h"
#include "tests/ck.h"
#include "verify/doctor/scan.h"

static inline void scales_as_numbers(struct ck *c)
{
	struct ck_tensor *t;
	size_t i, k;
	uint32_t b;
	float f;

	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".scale"));)
		for (k = 0; k < t->n; k += 4) {
			memcpy(&b, t->p + k, 4);
			f = (float)(b >> 23);
			memcpy(t->p + k, &f, 4);
		}
}

static inline void experts_named_fp8(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".weight"));)
		strcpy(t->type, "F8_E4M3");
}

static inline void experts_by_byte(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".scale"));)
		t->gone = true;
	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".weight"));)
		ck_retype(t, "BF16", t->dim[0], t->dim[1], 2 * t->n);
}

static inline void experts_called_fp4(struct ck *c)
{
	ck_config(c, "expert_dtype", "\"fp4\"");
}

static inline void no_expert_dtype(struct ck *c)
{
	ck_config(c, "expert_dtype", NULL);
}

static inline void scale_gone(struct ck *c)
{
	ck_get(c, "layers.1.ffn.experts.2.w1.scale")->gone = true;
}

static inline void scales_gone(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".scale"));)
		t->gone = true;
}

static inline void attention_left_out(struct ck *c)
{
	c->new_config = true;
	json_object_set_new(json_object_get(c->config, "quantization_config"), "ignore",
		json_loads("[\"lm_head\", \"re:model.layers.0.self_attn.*\"]", 0, NULL));
}

static inline void quant_stale(struct ck *c)
{
	ck_config(c, "quantization_config",
		"{\"quant_method\": \"modelopt\", \"quant_algo\": \"NVFP4\", \"group_size\": 16}");
}

static inline void nibbles_exchanged(struct ck *c)
{
	struct ck_tensor *t;
	size_t i, k;

	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".weight"));)
		for (k = 0; k < t->n; k++)
			t->p[k] = (uint8_t)(t->p[k] << 4 | t->p[k] >> 4);
}

static inline void nibbles_split(struct ck *c)
{
	struct ck_tensor *t;
	uint8_t code[32];
	size_t i, k, j;

	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".weight"));)
		for (k = 0; k < t->n; k += 16) {
			for (j = 0; j < 32; j++)
				code[j] = j & 1 ? t->p[k + j / 2] >> 4 : t->p[k + j / 2] & 15;
			for (j = 0; j < 16; j++)
				t->p[k + j] = (uint8_t)(code[j] | code[j + 16] << 4);
		}
}

static inline void sixteen_gone(struct ck *c)
{
	struct ck_tensor *t;
	size_t i, n = 0;

	nibbles_exchanged(c);
	for (i = 0; n < 16 && (t = ck_next(c, &i, ".ffn.experts.", ".scale")); n++)
		t->gone = true;
}

static inline void halve(struct ck_tensor *t)
{
	size_t i;

	for (i = 0; i < t->n / 4; i++)
		memmove(t->p + 2 * i, t->p + 4 * i + 2, 2);
	t->n /= 2;
	strcpy(t->type, "BF16");
}

static inline void fp32_as_bf16(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, NULL, "attn_sink"));)
		halve(t);
	for (i = 0; (t = ck_next(c, &i, NULL, ".ape"));)
		halve(t);
	halve(ck_get(c, "hc_head_fn"));
}

static inline void ids_as_bf16(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, "layers.0.ffn.gate.tid2eid");
	size_t i, n = t->n / 8;
	uint64_t id;
	uint16_t h;

	for (i = 0; i < n; i++) {
		memcpy(&id, t->p + 8 * i, 8);
		h = num_bf16_from((float)id);
		memcpy(t->p + 2 * i, &h, 2);
	}
	t->n = 2 * n;
	strcpy(t->type, "BF16");
}

static inline void through_bf16(struct ck *c)
{
	struct ck_tensor *t;
	size_t i, k;

	for (i = 0; (t = ck_next(c, &i, "hc_attn_fn", NULL));)
		for (k = 0; k < t->n; k += 4)
			t->p[k] = t->p[k + 1] = 0;
}

static inline void draft_head_gone(struct ck *c)
{
	ck_get(c, "mtp.0.head.weight")->gone = true;
}

static inline void draft_experts_gone(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, "mtp.0.ffn.experts.", NULL));)
		t->gone = true;
}

static inline void draft_anew(struct ck *c)
{
	struct ck_tensor *t;
	size_t i, k;

	for (i = 0; (t = ck_next(c, &i, "mtp.0.", "norm.weight"));)
		for (k = 0; k < t->n; k += 2) {
			t->p[k] = 0x80;
			t->p[k + 1] = 0x3f;
		}
}

static inline void draft_in_fp8(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, "mtp.0.ffn.experts.", ".scale"));)
		ck_retype(t, "F8_E8M0", (t->dim[0] + 127) / 128, (t->dim[1] * 32 + 127) / 128,
			(t->dim[0] + 127) / 128 * ((t->dim[1] * 32 + 127) / 128));
	for (i = 0; (t = ck_next(c, &i, "mtp.0.ffn.experts.", ".weight"));)
		ck_retype(t, "F8_E4M3", t->dim[0], t->dim[1] * 2, t->n * 2);
	for (i = 0; (t = ck_next(c, &i, "mtp.0.ffn.experts.", ".weight"));) {
		size_t k;

		for (k = 0; k < t->n; k++)
			t->p[k] &= 0xbf;
	}
}

static inline void draft_projections_gone(struct ck *c)
{
	ck_get(c, "mtp.0.e_proj.weight")->gone = true;
	ck_get(c, "mtp.0.e_proj.scale")->gone = true;
	ck_get(c, "mtp.0.h_proj.weight")->gone = true;
	ck_get(c, "mtp.0.h_proj.scale")->gone = true;
}

static inline void no_draft_said(struct ck *c)
{
	ck_config(c, "num_nextn_predict_layers", "0");
}

static inline void other_names(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, NULL, "attn.wo_a.scale"));)
		strcpy(t->name + strlen(t->name) - strlen("scale"), "weight_scale_inv");
}

static inline void scales_of_nvfp4(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".scale"));)
		ck_retype(t, "F8_E4M3", t->dim[0], t->dim[1] * 2, t->n * 2);
}

static inline void not_in_shard(struct ck *c)
{
	ck_get(c, "mtp.0.enorm.weight")->gone = true;
	c->old_index = true;
}

static inline void new_type(struct ck *c)
{
	strcpy(ck_get(c, "layers.1.attn.wq_a.scale")->type, "F8_E8M1");
}

static inline void layers_gone(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, "layers.3.", NULL));)
		t->gone = true;
}

static inline void draft_among_layers(struct ck *c)
{
	unsigned shard = ck_get(c, "layers.3.ffn_norm.weight")->shard;
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, "mtp.0.ffn_norm", NULL));)
		t->shard = shard;
}

static inline void renamed_config(struct ck *c)
{
	ck_config(c, "compress_ratios", NULL);
	ck_config(c, "layer_types", "[\"full_attention\", \"compressed_attention\"]");
	ck_config(c, "compress_rates", "{\"compressed_attention\": 4}");
}

static inline void ratios_cut(struct ck *c)
{
	ck_config(c, "compress_ratios", "[0, 4, 128, 4]");
}

static inline void wo_a_in_bf16(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, NULL, "attn.wo_a.scale"));)
		t->gone = true;
	for (i = 0; (t = ck_next(c, &i, NULL, "attn.wo_a.weight"));)
		ck_retype(t, "BF16", t->dim[0], t->dim[1], 2 * t->n);
}

static inline void sinks_whole(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, NULL, "attn_sink"));)
		ck_retype(t, "F32", 2 * t->dim[0], 0, 2 * t->n);
}

static inline void experts_twice(struct ck *c)
{
	size_t i, n = c->n;

	for (i = 0; i < n; i++)
		if (strstr(c->t[i].name, ".ffn.experts.0.") && c->t[i].shard == 0) {
			struct ck_tensor *t = &c->t[c->n++];

			*t = c->t[i];
			t->p = malloc(t->n + 1);
			memcpy(t->p, c->t[i].p, t->n);
			t->shard = 1;
			c->dirty[1] = true;
		}
}

/* beyond the cases */

static inline void tied(struct ck *c)
{
	ck_config(c, "tie_word_embeddings", "true");
}

static inline void heads_wrong(struct ck *c)
{
	ck_config(c, "index_n_heads", "8");
}

static inline void hash_wrong(struct ck *c)
{
	ck_config(c, "num_hash_layers", "1");
}

static inline void norm_nan(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, "layers.2.ffn_norm.weight");

	t->p[10] = 0xc0;
	t->p[11] = 0x7f;
}

static inline void scale_255(struct ck *c)
{
	ck_get(c, "layers.2.ffn.experts.3.w2.scale")->p[77] = 255;
}

static inline void scale_0(struct ck *c)
{
	ck_get(c, "layers.2.ffn.experts.3.w2.scale")->p[77] = 0;
}

static inline void code_nan(struct ck *c)
{
	ck_get(c, "layers.2.attn.wq_b.weight")->p[5] = 0xff;
}

static inline void id_wrong(struct ck *c)
{
	ck_get(c, "layers.1.ffn.gate.tid2eid")->p[8 * 31] = 8;
}

static inline void id_twice(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, "layers.1.ffn.gate.tid2eid");

	memcpy(t->p + 8, t->p, 8);
}

static inline void embed_zeros(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, "embed.weight");

	memset(t->p, 0, SCAN_ZEROS);
}

static inline void reciprocals(struct ck *c)
{
	struct ck_tensor *t;
	size_t i, k;

	for (i = 0; (t = ck_next(c, &i, NULL, ".scale"));)
		for (k = 0; k < t->n && !strcmp(t->type, "F8_E8M0"); k++)
			t->p[k] = (uint8_t)(254 - t->p[k]);
}

static inline void folded(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, "layers.2.ffn.experts.3.w2.scale");
	size_t k;

	for (k = 0; k < t->n; k++)
		t->p[k] = (uint8_t)(t->p[k] - 24);
}

static inline void far_apart(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, "layers.2.ffn.experts.3.w2.scale");

	t->p[3] = (uint8_t)(t->p[0] - 40);
}

/* Dense scales as FP32 numbers beside FP4 experts. */
static inline void dense_in_f32(struct ck *c)
{
	struct ck_tensor *t;
	uint8_t was[4096];
	size_t i, k, n;
	float v;

	for (i = 0; (t = ck_next(c, &i, NULL, ".scale"));) {
		n = t->n;
		if (strstr(t->name, ".ffn.experts.") || n > sizeof was)
			continue;
		memcpy(was, t->p, n);
		ck_retype(t, "F32", t->dim[0], t->dim[1], 4 * n);
		for (k = 0; k < n; k++) {
			v = num_e8m0(was[k]);
			memcpy(t->p + 4 * k, &v, sizeof v);
		}
	}
}

/* FP8 experts with F32 scales, dense weights with E8M0: what some converters make. */
static inline void dense_in_e8m0(struct ck *c)
{
	struct ck_tensor *t;
	size_t i, k, n;
	uint32_t bits;

	for (i = 0; (t = ck_next(c, &i, NULL, ".scale"));) {
		if (strstr(t->name, ".ffn.experts."))
			continue;
		for (k = 0, n = t->n / 4; k < n; k++) {
			memcpy(&bits, t->p + 4 * k, sizeof bits);
			t->p[k] = (uint8_t)(bits >> 23);
		}
		ck_retype(t, "F8_E8M0", t->dim[0], t->dim[1], n);
	}
}

static inline void uneven(struct ck *c)
{
	size_t i;

	for (i = 0; i < c->n; i++)
		if (c->t[i].shard == 1 && !strcmp(c->t[i].name, "layers.1.ffn_norm.weight")) {
			c->t[i].gone = true;
			c->dirty[1] = true;
		}
}
#endif
