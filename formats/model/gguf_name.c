/* SPDX-License-Identifier: MIT */
#include "formats/model/gguf_name.h"

#include "core/text.h"
#include "formats/gguf/gguf_set.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
static const struct name {
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
	{ NULL, NULL, false },
};
/* Of the one MTP block that llama.cpp takes. */
static const struct name mtp_names[] = {
	{ "hc_head_base",  "output_hc_base.weight", true },
	{ "hc_head_fn",    "output_hc_fn.weight", true },
	{ "hc_head_scale", "output_hc_scale.weight", true },
	{ "e_proj.weight", "nextn.eh_proj.weight", false },
	{ "h_proj.weight", "nextn.eh_proj.weight", false },
	{ "enorm.weight",  "nextn.enorm.weight", false },
	{ "hnorm.weight",  "nextn.hnorm.weight", false },
	{ "norm.weight",   "nextn.shared_head_norm.weight", false },
	{ NULL, NULL, false },
};
static const struct name dspark_names[] = {
	{ "hc_head_base",  "output_hc_base.weight", true },
	{ "hc_head_fn",    "output_hc_fn.weight", true },
	{ "hc_head_scale", "output_hc_scale.weight", true },
	{ "norm.weight",   "output_norm.weight", true },
	{ "main_proj.weight", "fc.weight", true },
	{ "main_norm.weight", "enc.output_norm.weight", true },
	{ "markov_head.markov_w1.weight", "markov_w1.weight", true },
	{ "markov_head.markov_w2.weight", "markov_w2.weight", true },
	{ "confidence_head.proj.weight",  "conf_proj.weight", true },
	{ NULL, NULL, false },
};
/* clang-format on */

const char *const gguf_stems[] = {
	[GGUF_OF_MODEL] = "model", [GGUF_OF_MTP] = "mtp-model", [GGUF_OF_DSPARK] = "dspark-model"
};

enum gguf_file_of gguf_of_file(const char *name)
{
	return !strncmp(name, "mtp-", 4)       ? GGUF_OF_MTP
		: !strncmp(name, "dspark-", 7) ? GGUF_OF_DSPARK
					       : GGUF_OF_MODEL;
}

bool gguf_of_other(const char *name, const char *before)
{
	return before && gguf_named(name) && gguf_of_file(name) != gguf_of_file(before);
}

bool gguf_name_beside(const char *name)
{
	return text_stem(name, ".nextn.eh_proj.weight") > 1;
}

int gguf_side_of(const struct role *role)
{
	return !strcmp(role->name, "e_proj.weight")    ? 0
		: !strcmp(role->name, "h_proj.weight") ? 1
						       : -1;
}

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
	if (!scale)
		return !strcmp(tensor, role);
	n = text_stem(role, "weight");
	if (!n)
		return false;
	return !strncmp(tensor, role, n) && !strcmp(tensor + n, "scale");
}

/* Looks the rest of a name up in a table; *leaf is set where it is there. */
static bool find(const struct name *n, const char *rest, bool global, bool scale, long *expert,
	const char **leaf)
{
	for (; n->role; n++)
		if (n->global == global && is_role(rest, n->role, expert, scale)) {
			*leaf = n->leaf;
			return true;
		}
	return false;
}

/* A tensor of stage s of the drafts: *global where it is called without the number of a block. */
static bool find_draft(enum gguf_file_of of, const char *rest, bool scale, long *expert,
	const char **leaf, bool *global)
{
	const struct name *own = of == GGUF_OF_MTP ? mtp_names : dspark_names;

	*global = find(own, rest, true, scale, expert, leaf);
	return *global || find(own, rest, false, scale, expert, leaf) ||
		find(names, rest, false, scale, expert, leaf);
}

bool gguf_name_of(char out[GGUF_NAME_MAX + 1], long *expert, const char *tensor, bool scale,
	enum gguf_file_of of, const struct config *c)
{
	static const char layers[] = "layers.", mtp[] = "mtp.";
	bool layer = !strncmp(tensor, layers, sizeof layers - 1),
	     stage = !strncmp(tensor, mtp, sizeof mtp - 1), global = false;
	const char *leaf = NULL;
	long block = -1;

	*expert = -1;
	if (layer || stage) {
		tensor += layer ? sizeof layers - 1 : sizeof mtp - 1;
		block = number(&tensor);
		if (block < 0 || *tensor++ != '.')
			return false;
	}
	if (stage && of == GGUF_OF_MODEL)
		return false;
	if (stage ? !find_draft(of, tensor, scale, expert, &leaf, &global)
		  : !find(names, tensor, !layer, scale, expert, &leaf))
		return false;
	/* of the model itself a file of MTP has a copy of what both need */
	if (!stage && of != GGUF_OF_MODEL &&
		(of == GGUF_OF_DSPARK || layer || !strncmp(tensor, "hc_", 3)))
		return false;
	if (stage && of == GGUF_OF_MTP)
		block += (long)c->L;
	if (global || (!layer && !stage))
		snprintf(out, GGUF_NAME_MAX + 1, "%s", leaf);
	else
		snprintf(out, GGUF_NAME_MAX + 1, "blk.%ld.%s", block, leaf);
	return true;
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
