/* SPDX-License-Identifier: MIT */
#include "verify/doctor/reads.h"

#include "formats/model/mlx.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const struct report_place config_json = { .file = "config.json" };

/* --- who loads what --- */

/* clang-format off */
static const struct reads {
	const char *engine;
	enum codec experts, dense[2]; /* the other matrices beside them; CODEC_NONE: no second */
	bool yes;
	const char *why; /* of a no, which holds whatever the other matrices are */
} table[] = {
	{ "vllm",         CODEC_NVFP4,    { CODEC_FP8, CODEC_NONE },      true,  NULL }, /* read: models/deepseek_v4/quant_config.py of 0.33 */
	{ "vllm",         CODEC_NVFP4_CT, { CODEC_FP8_CT, CODEC_NONE },   true,  NULL }, /* recipes of third parties that name it */
	{ "vllm",         CODEC_MXFP4_CT, { CODEC_FP8_CT, CODEC_NONE },   true,  NULL },
	{ "vllm",         CODEC_MXFP8,    { CODEC_MXFP8, CODEC_FP8_CT },  true,  NULL },
	{ "sglang",       CODEC_NVFP4,    { CODEC_FP8, CODEC_NONE },      true,  NULL }, /* its pull request 25820 */
	{ "tensorrt-llm", CODEC_NVFP4,    { CODEC_FP8, CODEC_NONE },      true,  NULL }, /* its pull request 16433 */
	{ "transformers", CODEC_BF16,     { CODEC_BF16, CODEC_NONE },     true,  NULL }, /* run, 5.23.0 */
	{ "transformers", CODEC_NVFP4_CT, { CODEC_NONE, CODEC_NONE },     false, "it passes over the scales under these names (run, 5.23.0)" },
	{ "transformers", CODEC_MXFP4_CT, { CODEC_NONE, CODEC_NONE },     false, "it passes over the scales under these names (run, 5.23.0)" },
	{ "transformers", CODEC_MXFP8,    { CODEC_NONE, CODEC_NONE },     false, "it passes over the scales, or stops (run, 5.23.0)" },
	{ "llama.cpp",    CODEC_COUNT,    { CODEC_NONE, CODEC_NONE },     false, "it loads GGUF alone, and its converter starts from the download" },
	{ "mlx",          CODEC_COUNT,    { CODEC_NONE, CODEC_NONE },     false, "it loads the bytes of the download (dsv4-quant run --to mlx)" },
	{ "official",     CODEC_COUNT,    { CODEC_NONE, CODEC_NONE },     false, "its converter starts from the download" },
	{ "official-fp8", CODEC_COUNT,    { CODEC_NONE, CODEC_NONE },     false, "its converter starts from the download" },
};
/* clang-format on */

static const struct reads *find(const char *engine, enum codec experts)
{
	size_t i;

	for (i = 0; i < sizeof table / sizeof *table; i++)
		if (!strcmp(table[i].engine, engine) &&
			(table[i].experts == experts || table[i].experts == CODEC_COUNT))
			return &table[i];
	return NULL;
}

static void loads(const struct formed *f, const struct consumer *who, struct report *r)
{
	enum codec c = f->form[FORMED_EXPERTS], dense = f->form[FORMED_DENSE];
	const struct reads *t = find(who->name, c);

	if (c == CODEC_NONE)
		return;
	if (f->stacked) {
		if (strcmp(who->name, "mlx") != 0)
			report_add(r, RULE_ENGINE_FORM, NULL,
				"%s does not load experts of which a layer has one tensor under MLX's names",
				who->name);
		return;
	}
	if (who->fp4_only)
		report_add(r, RULE_ENGINE_FORM, NULL,
			"%s takes FP4 experts of a download, these are %s", who->name,
			codecs[c].name);
	else if (!t)
		report_add(r, RULE_ENGINE_UNKNOWN, NULL,
			"whether %s loads experts in %s was not looked at", who->name,
			codecs[c].name);
	else if (!t->yes)
		report_add(r, RULE_ENGINE_FORM, NULL, "%s does not load experts in %s: %s",
			who->name, codecs[c].name, t->why);
	else if (dense != CODEC_NONE && dense != t->dense[0] && dense != t->dense[1])
		report_add(r, RULE_ENGINE_UNKNOWN, NULL,
			"whether %s loads dense matrices in %s beside experts in %s was not looked at",
			who->name, codecs[dense].name, codecs[c].name);
}

/* --- what config.json has to say --- */

#define Q "quantization_config."
/* clang-format off */
static const struct need {
	const char *engine; /* NULL: whoever loads it */
	enum codec experts, dense; /* dense CODEC_COUNT: whatever the other matrices are */
	const char *member, *value; /* JSON; NULL: it must not be there */
	const char *why;
} needs[] = {
	{ NULL,     CODEC_NVFP4,    CODEC_COUNT,  Q "moe_quant_algo", "\"NVFP4\"",              "engines take the experts for MXFP4 without it" },
	{ NULL,     CODEC_NVFP4,    CODEC_COUNT,  Q "quant_method",   "\"fp8\"",                "the other matrices are FP8" },
	{ "vllm",   CODEC_NVFP4,    CODEC_COUNT,  "expert_dtype",     "\"fp4\"",                "vLLM chooses the class of the experts by it" },
	{ "sglang", CODEC_NVFP4,    CODEC_COUNT,  Q "quant_algo",     "\"MIXED_PRECISION\"",    "SGLang asks for it" },
	{ "sglang", CODEC_NVFP4,    CODEC_COUNT,  Q "group_size",     "16",                     "SGLang asks for it" },
	{ NULL,     CODEC_NVFP4_CT, CODEC_COUNT,  Q "quant_method",   "\"compressed-tensors\"", "the tensors have its names" },
	{ NULL,     CODEC_MXFP4_CT, CODEC_COUNT,  Q "quant_method",   "\"compressed-tensors\"", "the tensors have its names" },
	{ "vllm",   CODEC_NVFP4_CT, CODEC_COUNT,  Q "scale_fmt",      "\"ue8m0\"",              "vLLM reads it without asking whether it is there" },
	{ "vllm",   CODEC_MXFP4_CT, CODEC_COUNT,  Q "scale_fmt",      "\"ue8m0\"",              "vLLM reads it without asking whether it is there" },
	{ NULL,     CODEC_MXFP8,    CODEC_FP8_CT, Q "quant_method",   "\"compressed-tensors\"", "the tensors have its names" },
	{ "vllm",   CODEC_MXFP8,    CODEC_FP8_CT, Q "scale_fmt",      "\"ue8m0\"",              "vLLM reads it without asking whether it is there" },
	{ NULL,     CODEC_MXFP8,    CODEC_MXFP8,  Q "quant_algo",     "\"MXFP8\"",              "engines take all matrices for FP8 with other scales without it" },
	{ NULL,     CODEC_MXFP8,    CODEC_COUNT,  "expert_dtype",     NULL,                     "its values name other forms than this one" },
	{ NULL,     CODEC_BF16,     CODEC_COUNT,  "expert_dtype",     NULL,                     "the experts are not quantized" },
	{ NULL,     CODEC_BF16,     CODEC_BF16,   "quantization_config", NULL,                  "nothing is quantized" },
};
/* clang-format on */

/* The member "a.b" of o; NULL: it is not there, or null. */
static const json_t *member(const json_t *o, const char *path)
{
	const char *dot = strchr(path, '.');
	const json_t *x;
	char first[64];

	if (dot) {
		snprintf(first, sizeof first, "%.*s", (int)(dot - path), path);
		x = json_object_get(json_object_get(o, first), dot + 1);
	} else {
		x = json_object_get(o, path);
	}
	return json_is_null(x) ? NULL : x;
}

static void need(const struct need *n, const json_t *o, struct report *r)
{
	json_t *want = n->value ? json_loads(n->value, JSON_DECODE_ANY, NULL) : NULL;
	const json_t *is = member(o, n->member);

	if (!n->value && is)
		report_add(r, RULE_ENGINE_FIELD, &config_json,
			"config.json: \"%s\" must not be there: %s", n->member, n->why);
	else if (n->value && !json_equal(is, want))
		report_add(r, RULE_ENGINE_FIELD, &config_json,
			"config.json: \"%s\" is %s, and not %s: %s", n->member,
			is ? "something else" : "missing", n->value, n->why);
	json_decref(want);
}

/* --- drafts --- */

/* Whether a list of exceptions has a pattern about the stages. */
static bool leaves_out_drafts(const json_t *o)
{
	static const char *const keys[] = { "ignore", "exclude_modules" };
	const json_t *q = json_object_get(o, "quantization_config"), *x;
	const char *s;
	size_t k, i;

	for (k = 0; k < sizeof keys / sizeof *keys; k++) {
		json_array_foreach(json_object_get(q, keys[k]), i, x)
		{
			s = json_string_value(x);
			if (s &&
				(!strncmp(s, "mtp", 3) || !strncmp(s, "re:mtp", 6) ||
					!strncmp(s, "re:^mtp", 7)))
				return true;
		}
	}
	return false;
}

/* Engines that take the experts of drafts for what the download has, where config.json leaves the drafts out. */
static const struct {
	const char *engine;
	enum codec experts;
} told[] = {
	{ "sglang", CODEC_NVFP4 },      /* its pull request 25820 */
	{ "tensorrt-llm", CODEC_NVFP4 } /* what NVIDIA publishes leaves them out */
};

static bool can_be_told(const char *engine, enum codec experts)
{
	size_t i;

	for (i = 0; i < sizeof told / sizeof *told; i++)
		if (!strcmp(told[i].engine, engine) && told[i].experts == experts)
			return true;
	return false;
}

/* Why the engine reads drafts of another number format than the layers' as what they are not; NULL: it does not, or that
 * is not known. */
static const char *misread(const struct consumer *who, enum codec layers)
{
	const struct reads *t = who ? find(who->name, layers) : NULL;

	if (!t || !t->yes || can_be_told(who->name, layers) || !strcmp(who->name, "transformers"))
		return NULL; /* transformers passes over drafts */
	return layers == CODEC_NVFP4
		? ": vLLM reads all routed experts as NVFP4, whatever \"ignore\" says, and accepts hardly a draft"
		: ": config.json has no word for that, and what it leaves out is taken for unquantized";
}

static void drafts(const struct formed *f, const struct consumer *who, struct report *r)
{
	enum codec layers = f->form[FORMED_EXPERTS], stages = f->form[FORMED_DRAFTS];
	const char *why = misread(who, layers);

	if (stages == CODEC_NONE || layers == CODEC_NONE)
		return;
	if (stages != layers)
		report_add(r, why ? RULE_ENGINE_DRAFTS : RULE_FORM_DRAFTS, NULL,
			"routed experts of drafts are %s, those of layers %s%s",
			codecs[stages].name, codecs[layers].name, why ? why : "");
	else if (f->form[FORMED_DENSE_DRAFTS] != f->form[FORMED_DENSE])
		report_add(r, why ? RULE_ENGINE_DRAFTS : RULE_FORM_DRAFTS, NULL,
			"dense matrices of drafts are %s, those of layers %s%s",
			codecs[f->form[FORMED_DENSE_DRAFTS]].name,
			codecs[f->form[FORMED_DENSE]].name, why ? why : "");
	else if (leaves_out_drafts(f->c->doc.o))
		report_add(r, RULE_CONFIG_QUANT_EXCLUDED, &config_json,
			"config.json leaves out mtp., but the routed experts of drafts are %s",
			codecs[stages].name);
}

/* What "quantization" says of the matrices, which MLX has no other way to know. */
static void told_mlx(const struct formed *f, struct report *r)
{
	const json_t *said = json_object_get(f->c->doc.o, "quantization");
	json_t *meant = mlx_quantization(&f->config,
		(struct model_forms){ f->form[FORMED_DENSE], f->form[FORMED_EXPERTS] });

	if (!meant)
		report_add(r, RULE_ENGINE_SCALES, &config_json,
			"MLX takes dense matrices in FP8 with E8M0 scales, these are %s",
			codecs[f->form[FORMED_DENSE]].name);
	else if (!json_equal(said, meant))
		report_add(r, RULE_ENGINE_FIELD, &config_json,
			"config.json: \"quantization\" is missing, or says something else of the matrices than they are");
	json_decref(meant);
}

void reads_judge(const struct formed *f, const struct consumer *who, struct report *r)
{
	enum codec c = f->form[FORMED_EXPERTS];
	size_t i;

	for (i = 0; i < sizeof needs / sizeof *needs; i++)
		if (needs[i].experts == c &&
			(needs[i].dense == CODEC_COUNT ||
				needs[i].dense == f->form[FORMED_DENSE]) &&
			(!needs[i].engine || (who && !strcmp(who->name, needs[i].engine))))
			need(&needs[i], f->c->doc.o, r);
	drafts(f, who, r);
	if (f->stacked)
		told_mlx(f, r);
	if (who)
		loads(f, who, r);
}
