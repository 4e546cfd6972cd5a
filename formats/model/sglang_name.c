/* SPDX-License-Identifier: MIT */
#include "formats/model/sglang_name.h"

#include <stdio.h>
#include <string.h>

/* A row for each tensor, or weight with its scale, that is not called as in the checkpoint, that ranks share, or that
 * has another form. A stem ends before ".weight" and ".scale"; blocks of layers have "ffn" as "mlp" and "attn" as
 * "self_attn" besides. */
/* clang-format off */
static const struct row {
	const char *stem, *to;
	uint8_t part, parts;
	enum split split;
	enum place_form form;
} rows[] = {
	{ "embed", "model.embed_tokens", 0, 1, SPLIT_ROWS, FORM_SAME },
	{ "head",  "lm_head",            0, 1, SPLIT_ROWS, FORM_SAME },
	{ "attn_norm", "input_layernorm",         0, 1, SPLIT_NONE, FORM_SAME },
	{ "ffn_norm",  "post_attention_layernorm", 0, 1, SPLIT_NONE, FORM_SAME },
	{ "attn.wq_a", "self_attn.wqkv_a", 0, 2, SPLIT_NONE, FORM_SAME },
	{ "attn.wkv",  "self_attn.wqkv_a", 1, 2, SPLIT_NONE, FORM_SAME },
	{ "attn.wq_b", "self_attn.wq_b", 0, 1, SPLIT_ROWS, FORM_SAME },
	{ "attn.wo_a", "self_attn.wo_a", 0, 1, SPLIT_ROWS, FORM_BF16 },
	{ "attn.wo_b", "self_attn.wo_b", 0, 1, SPLIT_COLS, FORM_SAME },
	{ "attn.compressor.ape",           "self_attn.compressor.ape",               0, 1, SPLIT_NONE, FORM_HALVES },
	{ "attn.compressor.norm",          "self_attn.compressor.norm",              0, 1, SPLIT_NONE, FORM_F32 },
	{ "attn.compressor.wkv",           "self_attn.compressor.wkv_gate",          0, 2, SPLIT_NONE, FORM_SAME },
	{ "attn.compressor.wgate",         "self_attn.compressor.wkv_gate",          1, 2, SPLIT_NONE, FORM_SAME },
	{ "attn.indexer.compressor.ape",   "self_attn.indexer.compressor.ape",       0, 1, SPLIT_NONE, FORM_HALVES },
	{ "attn.indexer.compressor.norm",  "self_attn.indexer.compressor.norm",      0, 1, SPLIT_NONE, FORM_F32 },
	{ "attn.indexer.compressor.wkv",   "self_attn.indexer.compressor.wkv_gate",  0, 2, SPLIT_NONE, FORM_SAME },
	{ "attn.indexer.compressor.wgate", "self_attn.indexer.compressor.wkv_gate",  1, 2, SPLIT_NONE, FORM_SAME },
	{ "ffn.gate",         "mlp.gate",                         0, 1, SPLIT_NONE, FORM_SAME },
	{ "ffn.gate.bias",    "mlp.gate.e_score_correction_bias", 0, 1, SPLIT_NONE, FORM_SAME },
	{ "ffn.gate.tid2eid", "mlp.topk.tid2eid",                 0, 1, SPLIT_NONE, FORM_SAME },
	{ "ffn.shared_experts.w1", "mlp.shared_experts.gate_up_proj", 0, 2, SPLIT_ROWS, FORM_SAME },
	{ "ffn.shared_experts.w3", "mlp.shared_experts.gate_up_proj", 1, 2, SPLIT_ROWS, FORM_SAME },
	{ "ffn.shared_experts.w2", "mlp.shared_experts.down_proj",    0, 1, SPLIT_COLS, FORM_SAME },
	{ "ffn.experts.#.w1", "mlp.experts.w13", 0, 2, SPLIT_ROWS, FORM_SAME },
	{ "ffn.experts.#.w3", "mlp.experts.w13", 1, 2, SPLIT_ROWS, FORM_SAME },
	{ "ffn.experts.#.w2", "mlp.experts.w2",  0, 1, SPLIT_COLS, FORM_SAME },
};
/* clang-format on */

bool rank_target(const char *target)
{
	return !strcmp(target, VLLM_TARGET) || !strcmp(target, SGLANG_TARGET);
}

bool rank_place_of(const char *target, struct vllm_place *v, const struct tensor *t)
{
	return strcmp(target, SGLANG_TARGET) != 0 ? vllm_place_of(v, t->name, (enum dtype)t->dtype)
						  : sglang_place_of(v, t);
}

const char *rank_kept_file(const char *target)
{
	return strcmp(target, SGLANG_TARGET) != 0 ? VLLM_DRAFTS : SGLANG_KEPT;
}

static const struct row *find(const char *name, size_t n, long *expert)
{
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++)
		if (vllm_is_stem(name, n, rows[i].stem, expert))
			return &rows[i];
	*expert = -1;
	return NULL;
}

/* The form of the parameter, and its type. */
static void settle_form(struct vllm_place *v, const struct row *r, const struct tensor *t,
	bool scale)
{
	bool experts = v->expert >= 0;

	v->form = r ? r->form : FORM_SAME;
	v->dtype = (enum dtype)t->dtype;
	if (experts && (t->dtype == DT_I8 || t->dtype == DT_F8_E8M0)) {
		v->form = FORM_TILE;
		v->dtype = scale ? DT_F8_E8M0 : DT_I32;
	} else if (v->form == FORM_BF16) {
		v->dtype = DT_BF16;
		v->parts = 2; /* codes and scales */
		v->part = scale;
	} else if (v->form == FORM_HALVES) {
		/* Blocks of 4 tokens overlap, and only those are of two halves. */
		v->form = t->rank == 2 && t->dim[0] == 4 ? FORM_HALVES : FORM_SAME;
	} else if (v->form == FORM_F32 || (scale && t->dtype == DT_F8_E8M0)) {
		v->form = t->dtype == DT_F32 ? FORM_SAME : FORM_F32;
		v->dtype = DT_F32;
	} else if (t->dtype == DT_I64) {
		v->dtype = DT_I32;
	}
	v->kept = v->form == FORM_BF16 || v->form == FORM_HALVES || v->form == FORM_F32;
}

static const char *end_there(const struct vllm_place *v, const char *end)
{
	if (!*end || v->form == FORM_BF16)
		return *end ? ".weight" : "";
	if (!strcmp(end, ".weight"))
		return v->expert >= 0 ? "_weight" : ".weight";
	if (v->expert < 0)
		return ".weight_scale_inv";
	return v->form == FORM_TILE ? "_weight_scale" : "_weight_scale_inv";
}

bool sglang_place_of(struct vllm_place *v, const struct tensor *t)
{
	static const char layers[] = "layers.", attn[] = "attn.";
	size_t layer = 0, n;
	const struct row *r;
	const char *rest, *end, *to;
	bool moved;

	memset(v, 0, sizeof *v);
	v->expert = -1;
	v->parts = 1;
	if (!strncmp(t->name, "mtp.", 4))
		return false;
	if (!strncmp(t->name, layers, sizeof layers - 1)) {
		layer = sizeof layers - 1;
		n = strspn(t->name + layer, "0123456789");
		if (!n || n > 6 || t->name[layer + n] != '.' || (n > 1 && t->name[layer] == '0'))
			return false;
		layer += n + 1;
	}
	rest = t->name + layer;
	end = vllm_end_of(rest);
	r = find(rest, (size_t)(end - rest), &v->expert);
	if (r) {
		v->part = r->part;
		v->parts = r->parts;
		v->split = r->split;
	}
	settle_form(v, r, t, !strcmp(end, ".scale"));
	to = r ? r->to : rest;
	moved = !r && layer && !strncmp(rest, attn, sizeof attn - 1);
	n = (size_t)snprintf(v->name, sizeof v->name, "%s%.*s%s%.*s%s", r && !layer ? "" : "model.",
		(int)layer, t->name, moved ? "self_" : "",
		r ? (int)strlen(r->to) : (int)(end - rest), to, end_there(v, end));
	return n < sizeof v->name;
}
