/* SPDX-License-Identifier: MIT */
#include "verify/doctor/consumer.h"

#include "core/near.h"
#include "formats/layout/engine.h"

#include <string.h>

static const char takes_e8m0[] =
	"dense scales are F32 beside FP4 experts; it expects E8M0 there, as the official files have it";

/* transformers, mlx: 5.23.0 and mlx-vlm 0.7.10 were run on the CPU (docs/engines.md). tensorrt-llm: of its pull requests only.
 * vllm: 0.32.0 was run on the CPU, the same code of 0.33.0 was read: parameters for the scales of FP8 experts are F32,
 * and E8M0 bytes are copied into them as numbers (116.0 for 2^-11). sglang: FP8 folders that it publishes have F32
 * scales; E8M0 was not tried. */
/* clang-format off */
static const struct consumer consumers[] = {
	{ "vllm",         CODEC_MXFP4,    NULL, takes_e8m0,
		"the scales of FP8 experts are E8M0, and it copies their bytes as numbers (seen in vLLM 0.32 and 0.33): convert with --scale-dtype f32, which --target hf --experts fp8 does by itself",
		true, false, false, 0, 254 },
	{ "sglang",       CODEC_MXFP4,    "experts are FP8: set SGLANG_DSV4_FP4_EXPERTS=0 in its environment", takes_e8m0,
		"the scales of FP8 experts are E8M0; the FP8 folders that are published for it have F32 (--scale-dtype f32)",
		false, false, false, 0, 254 },
	{ "llama.cpp",    CODEC_NONE, "experts are FP8: its converter dequantizes them, MXFP4 needs the FP4 checkpoint",
		"scales are FP32; its converter expects E8M0", NULL, false, false, false, 0, 254 },
	{ "transformers", CODEC_NONE, NULL, NULL, NULL, false, false, false, 0, 254 },
	{ "mlx",          CODEC_NONE, NULL, NULL, NULL, false, false, false, 0, 254 },
	{ "tensorrt-llm", CODEC_NONE, NULL, NULL, NULL, false, false, false, 0, 254 },
	{ "official",     CODEC_MXFP4,    "experts are FP8: say --expert-dtype fp8 and take expert_dtype out of inference/config.json",
		NULL, NULL, false, false, false, 0, 254 },
	{ "official-fp8", CODEC_MXFP4,    "experts are FP8: there is nothing to cast", NULL, NULL, false, true, false, 0, 254 },
};
/* clang-format on */
enum { CONSUMERS = sizeof consumers / sizeof *consumers };

const char *consumer_name(unsigned i)
{
	if (i < CONSUMERS)
		return consumers[i].name;
	return i - CONSUMERS < n_engines ? engines[i - CONSUMERS].name : NULL;
}

bool consumer_find(const char *name, struct consumer *c, struct text *names)
{
	const struct engine *g = engine_find(name);
	struct near near = { .typed = name };
	unsigned i;

	for (i = 0; i < CONSUMERS; i++)
		if (!strcmp(consumers[i].name, name)) {
			*c = consumers[i];
			return true;
		}
	if (g) {
		*c = (struct consumer){
			.name = g->name, .fp4_only = true, .e_min = g->e_min, .e_max = g->e_max
		};
		return true;
	}
	for (i = 0; consumer_name(i); i++) {
		near_try(&near, consumer_name(i));
		text_fmt(names, "%s%s", i ? ", " : "", consumer_name(i));
	}
	if (near.word)
		text_fmt(names, "; did you mean %s?", near.word);
	return false;
}

/* Who reads the folders of a target besides its own layout's engine, and what it needs for that; NULL: nothing. */
static const struct {
	const char *target, *who, *needs;
} readers[] = {
	{ "vllm-sharded", "vllm", NULL },
	{ "sglang-presharded", "sglang",
		"the launch that --shard-config was made with, SGLANG_OPT_FP8_WO_A_GEMM=0 and --load-format presharded" },
	{ "marlin-mxfp4", "vllm", "the plug-in loaders/vllm, and --load-format dsv4" },
	{ "trtllm-mxfp4", "vllm", "the plug-in loaders/vllm, and --load-format dsv4" },
};

void consumer_reads(const struct consumer *c, const char *target, struct report *r)
{
	size_t i;

	if (!*target || !strcmp(target, c->name))
		return;
	for (i = 0; i < sizeof readers / sizeof *readers; i++)
		if (!strcmp(readers[i].target, target) && !strcmp(readers[i].who, c->name))
			break;
	if (i == sizeof readers / sizeof *readers)
		report_add(r, RULE_ENGINE_FORM, NULL,
			"the folder is laid out for %s, and %s reads no such files", target,
			c->name);
	else if (readers[i].needs)
		report_add(r, RULE_ENGINE_SETTING, NULL, "%s needs %s to read a folder of %s",
			c->name, readers[i].needs, target);
}

void consumer_judge(const struct consumer *c, const struct audit *a, bool unsaid, struct report *r)
{
	const struct report_place at = { .file = "config.json" };
	const char *form = codec_expert(a->experts);

	if (unsaid && c->unsaid != CODEC_NONE && c->unsaid != a->experts)
		report_add(r, RULE_ENGINE_DEFAULT, &at,
			"config.json has no \"expert_dtype\": %s takes the experts for %s, they are %s",
			c->name, codec_expert(c->unsaid), form);
	if (c->fp4_only && a->experts != CODEC_MXFP4)
		report_add(r, RULE_PLAN_ENGINE_FORM, NULL, "%s takes FP4 experts, these are %s",
			c->name, form);
	if (c->fp8 && a->experts == CODEC_FP8)
		report_add(r, RULE_ENGINE_SETTING, NULL, "%s: %s", c->name, c->fp8);
	if (c->f32_dense && a->experts == CODEC_MXFP4 && a->forms.dense == CODEC_FP8_F32)
		report_add(r, RULE_ENGINE_SETTING, NULL, "%s: %s", c->name, c->f32_dense);
	if (c->e8m0_fp8 && a->forms.experts == CODEC_FP8)
		report_add(r, c->e8m0_breaks ? RULE_ENGINE_SCALES : RULE_ENGINE_SETTING, &at,
			"%s: %s", c->name, c->e8m0_fp8);
	if (a->ckpt->respelled)
		report_add(r, RULE_ENGINE_TYPES, NULL,
			"%s: %zu tensors are declared under other types than in the official files",
			c->name, a->ckpt->respelled);
}
