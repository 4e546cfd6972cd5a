/* SPDX-License-Identifier: MIT */
#include "formats/model/mlx.h"

#include <stdio.h>
#include <string.h>

/* What MLX calls the formats that it reads; its mxfp8 has a scale for 32 columns, of which a tile's scale becomes. */
static const struct mode {
	enum codec codec;
	int group, bits;
	const char *name;
} modes[] = {
	{ CODEC_MXFP4, 32, 4, "mxfp4" },
	{ CODEC_FP8, 32, 8, "mxfp8" },
	{ CODEC_MXFP8_MLX, 32, 8, "mxfp8" },
	{ CODEC_MXFP4_MLX, 32, 4, "mxfp4" },
};
enum { MODES = sizeof modes / sizeof *modes };

static const struct mode *mode_of(enum codec c)
{
	size_t i;

	for (i = 0; i < MODES; i++)
		if (modes[i].codec == c)
			return &modes[i];
	return NULL;
}

bool mlx_reads(enum codec c)
{
	return mode_of(c);
}

static json_t *put_mode(const struct mode *m)
{
	return json_pack("{s:i,s:i,s:s}", "group_size", m->group, "bits", m->bits, "mode", m->name);
}

/* The quantized modules of a layer. */
static const struct module {
	const char *name;
	bool expert;  /* of the routed experts, all of a layer together */
	bool indexer; /* only in layers that have an indexer */
} modules[] = {
	{ "ffn.switch_mlp.gate_proj", true, false },
	{ "ffn.switch_mlp.up_proj", true, false },
	{ "ffn.switch_mlp.down_proj", true, false },
	{ "ffn.shared_experts.gate_proj", false, false },
	{ "ffn.shared_experts.up_proj", false, false },
	{ "ffn.shared_experts.down_proj", false, false },
	{ "attn.wq_a", false, false },
	{ "attn.wq_b", false, false },
	{ "attn.wkv", false, false },
	{ "attn.wo_a", false, false },
	{ "attn.wo_b", false, false },
	{ "attn.indexer.wq_b", false, true },
};
enum { MODULES = sizeof modules / sizeof *modules };

static int put_layer(json_t *o, const struct config *c, uint64_t layer, struct model_forms forms)
{
	char name[96];
	size_t i;

	for (i = 0; i < MODULES; i++) {
		const struct module *m = &modules[i];

		if (m->indexer && c->ratio[layer] != RATIO_INDEXED)
			continue;
		snprintf(name, sizeof name, "language_model.model.layers.%llu.%s",
			(unsigned long long)layer, m->name);
		if (json_object_set_new(o, name,
			    put_mode(mode_of(m->expert ? forms.experts : forms.dense))))
			return -1;
	}
	return 0;
}

json_t *mlx_quantization(const struct config *c, struct model_forms forms)
{
	/* What is not named has this form, which MLX gives only to what has tensors of scales. */
	json_t *o = mlx_reads(forms.dense) && mlx_reads(forms.experts)
		? json_pack("{s:i,s:i,s:s}", "group_size", 64, "bits", 8, "mode", "affine")
		: NULL;
	uint64_t i;

	for (i = 0; o && i < c->L; i++)
		if (put_layer(o, c, i, forms)) {
			json_decref(o);
			o = NULL;
		}
	return o;
}

json_t *mlx_packed_quantization(const struct config *c)
{
	static const char *const parts[] = { "gate", "up", "down" };
	json_t *o = put_mode(mode_of(CODEC_MXFP8_MLX)),
	       *experts = put_mode(mode_of(CODEC_MXFP4_MLX));
	char name[96];
	uint64_t i;
	size_t k;
	int rc = o && experts ? 0 : -1;

	for (i = 0; i < c->L; i++)
		for (k = 0; !rc && k < sizeof parts / sizeof *parts; k++) {
			snprintf(name, sizeof name,
				"language_model.layers.%llu.ffn.switch_mlp.%s_proj",
				(unsigned long long)i, parts[k]);
			rc = json_object_set(o, name, experts);
		}
	json_decref(experts);
	if (!rc)
		return o;
	json_decref(o);
	return NULL;
}

bool mlx_stacked(char *out, size_t room, const char *expert, uint32_t *id)
{
	static const char mid[] = ".ffn.experts.";
	static const char *const ends[][2] = { { ".w1.weight", "gate_proj.weight" },
		{ ".w1.scale", "gate_proj.scales" }, { ".w2.weight", "down_proj.weight" },
		{ ".w2.scale", "down_proj.scales" }, { ".w3.weight", "up_proj.weight" },
		{ ".w3.scale", "up_proj.scales" } };
	const char *at = strstr(expert, mid), *s = at ? at + sizeof mid - 1 : "";
	size_t digits = strspn(s, "0123456789"), i;
	int n;

	if (!digits || digits > 6)
		return false;
	for (*id = 0; digits--; s++)
		*id = 10 * *id + (uint32_t)(*s - '0');
	for (i = 0; i < sizeof ends / sizeof *ends; i++) {
		if (strcmp(s, ends[i][0]) != 0)
			continue;
		n = snprintf(out, room, "%.*s.ffn.switch_mlp.%s", (int)(at - expert), expert,
			ends[i][1]);
		return n > 0 && (size_t)n < room;
	}
	return false;
}
