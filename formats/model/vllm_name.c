/* SPDX-License-Identifier: MIT */
#include "formats/model/vllm_name.h"

#include <stdio.h>
#include <string.h>

/* A row for each tensor, or weight with its scale, that is not called as in the checkpoint or that ranks share. A stem
 * ends before ".weight" and ".scale". */
/* clang-format off */
static const struct row {
	const char *stem, *to;
	uint8_t part, parts;
	enum split split;
} rows[] = {
	{ "embed", "model.embed_tokens", 0, 1, SPLIT_ROWS },
	{ "head",  "lm_head",            0, 1, SPLIT_ROWS },
	{ "attn.attn_sink", NULL, 0, 1, SPLIT_ROWS },
	{ "attn.wq_a", "attn.fused_wqa_wkv", 0, 2, SPLIT_NONE },
	{ "attn.wkv",  "attn.fused_wqa_wkv", 1, 2, SPLIT_NONE },
	{ "attn.wq_b", NULL, 0, 1, SPLIT_ROWS },
	{ "attn.wo_a", NULL, 0, 1, SPLIT_ROWS },
	{ "attn.wo_b", NULL, 0, 1, SPLIT_COLS },
	{ "attn.compressor.wkv",           "attn.compressor.fused_wkv_wgate", 0, 2, SPLIT_NONE },
	{ "attn.compressor.wgate",         "attn.compressor.fused_wkv_wgate", 1, 2, SPLIT_NONE },
	{ "attn.indexer.compressor.wkv",   "attn.indexer.compressor.fused_wkv_wgate", 0, 2, SPLIT_NONE },
	{ "attn.indexer.compressor.wgate", "attn.indexer.compressor.fused_wkv_wgate", 1, 2, SPLIT_NONE },
	{ "ffn.gate",         "ffn.experts.gate", 0, 1, SPLIT_NONE },
	{ "ffn.gate.bias",    "ffn.experts.gate.e_score_correction_bias", 0, 1, SPLIT_NONE },
	{ "ffn.gate.tid2eid", "ffn.experts.gate.tid2eid", 0, 1, SPLIT_NONE },
	{ "ffn.shared_experts.w1", "ffn.experts._shared_experts._layer.gate_up_proj", 0, 2, SPLIT_ROWS },
	{ "ffn.shared_experts.w3", "ffn.experts._shared_experts._layer.gate_up_proj", 1, 2, SPLIT_ROWS },
	{ "ffn.shared_experts.w2", "ffn.experts._shared_experts._layer.down_proj", 0, 1, SPLIT_COLS },
	{ "ffn.experts.#.w1", "ffn.experts.routed_experts.w13", 0, 2, SPLIT_ROWS },
	{ "ffn.experts.#.w3", "ffn.experts.routed_experts.w13", 1, 2, SPLIT_ROWS },
	{ "ffn.experts.#.w2", "ffn.experts.routed_experts.w2", 0, 1, SPLIT_COLS },
};
/* clang-format on */

/* The number that s begins with, up to a dot; -1: it begins with none, or with one that no model has. */
static long number(const char *s, size_t *n)
{
	long v = 0;

	for (*n = 0; s[*n] >= '0' && s[*n] <= '9' && *n < 6; ++*n)
		v = v * 10 + (s[*n] - '0');
	return *n && s[*n] == '.' && (*n == 1 || s[0] != '0') ? v : -1;
}

bool vllm_is_stem(const char *name, size_t n, const char *stem, long *expert)
{
	const char *hash = strchr(stem, '#');
	size_t head = hash ? (size_t)(hash - stem) : 0, digits;

	*expert = -1;
	if (!hash)
		return strlen(stem) == n && !memcmp(name, stem, n);
	if (n <= head || memcmp(name, stem, head) != 0)
		return false;
	*expert = number(name + head, &digits);
	head += digits;
	return *expert >= 0 && n > head && strlen(hash + 1) == n - head &&
		!memcmp(name + head, hash + 1, n - head);
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

const char *vllm_end_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && (!strcmp(dot, ".weight") || !strcmp(dot, ".scale")) ? dot
									  : name + strlen(name);
}

/* What an end is called there. Scales of FP4 experts have no "_inv", and experts an underscore where others have a
 * dot. */
static const char *end_there(const char *end, bool experts, enum dtype dtype)
{
	if (!*end)
		return "";
	if (!strcmp(end, ".weight"))
		return experts ? "_weight" : ".weight";
	if (!experts)
		return ".weight_scale_inv";
	return dtype == DT_F8_E8M0 ? "_weight_scale" : "_weight_scale_inv";
}

/* Experts in FP4 are bytes there, scales too: a copy of E8M0 numbers would convert them. Ids have 32 bits. */
static enum dtype type_there(bool experts, enum dtype dtype)
{
	if (experts && (dtype == DT_I8 || dtype == DT_F8_E8M0))
		return DT_U8;
	return dtype == DT_I64 ? DT_I32 : dtype;
}

bool vllm_place_of(struct vllm_place *v, const char *tensor, enum dtype dtype)
{
	static const char layers[] = "layers.";
	size_t layer = 0, digits = 0, n;
	const struct row *r;
	const char *rest, *end;

	memset(v, 0, sizeof *v);
	v->expert = -1;
	v->parts = 1;
	if (!strncmp(tensor, "mtp.", 4))
		return false;
	if (!strncmp(tensor, layers, sizeof layers - 1)) {
		if (number(tensor + sizeof layers - 1, &digits) < 0)
			return false;
		layer = sizeof layers - 1 + digits + 1;
	}
	rest = tensor + layer;
	end = vllm_end_of(rest);
	r = find(rest, (size_t)(end - rest), &v->expert);
	if (r) {
		v->part = r->part;
		v->parts = r->parts;
		v->split = r->split;
	}
	v->dtype = type_there(v->expert >= 0, dtype);
	n = (size_t)snprintf(v->name, sizeof v->name, "%s%.*s%.*s%s",
		r && r->to && !layer ? "" : "model.", (int)layer, tensor,
		r && r->to ? (int)strlen(r->to) : (int)(end - rest), r && r->to ? r->to : rest,
		end_there(end, v->expert >= 0, dtype));
	return n < sizeof v->name;
}
