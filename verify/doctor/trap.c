/* SPDX-License-Identifier: MIT */
#include "verify/doctor/trap.h"

#include "formats/model/family.h"
#include "formats/model/mlx.h"

#include <string.h>

static const struct report_place config_json = { .file = "config.json" };

/* --- transformers --- */

/* Its class of this model's config declares these as float and refuses integers (tried field by field, 5.23.0). */
static const char *const floats[] = { "attention_dropout", "hc_eps", "initializer_range",
	"rms_norm_eps", "routed_scaling_factor", "swiglu_limit" };

static void spelled_as_integers(const struct trap_view *v)
{
	size_t i;

	for (i = 0; i < sizeof floats / sizeof *floats; i++) {
		const json_t *x = json_object_get(v->o, floats[i]);

		if (json_is_integer(x))
			report_add(v->r, RULE_ENGINE_FIELD, &config_json,
				"config.json: \"%s\" is spelled %lld, and transformers refuses it: it wants %lld.0",
				floats[i], (long long)json_integer_value(x),
				(long long)json_integer_value(x));
	}
}

/* --- llama.cpp --- */

static void equal_heads(const struct trap_view *v)
{
	const struct config *c = &v->a->ckpt->config;

	if (c->hd == c->IHD)
		report_add(v->r, RULE_ENGINE_SHAPE, &config_json,
			"head_dim and index_head_dim are both %llu: llama.cpp divides by zero where they are equal",
			(unsigned long long)c->hd);
}

/* --- MLX --- */

/* Its arithmetic on packed weights takes scales as bytes. */
static void scales_as_numbers(const struct trap_view *v)
{
	if (v->a->forms.dense == CODEC_FP8_F32 || v->a->forms.experts == CODEC_FP8_F32)
		report_add(v->r, RULE_ENGINE_SCALES, &config_json,
			"scales are F32, and MLX refuses them (\"Scale type must be uint8\"): it takes E8M0");
}

/* What "quantization" says of each matrix; the first that is missing or otherwise speaks for all. */
static void quantization(const struct trap_view *v)
{
	const json_t *said = json_object_get(v->o, "quantization");
	json_t *meant = mlx_quantization(&v->a->ckpt->config, v->a->forms), *x;
	const char *first = NULL, *key;
	size_t n = 0;

	if (meant && !said)
		report_add(v->r, RULE_ENGINE_FIELD, &config_json,
			"config.json has no \"quantization\": MLX then takes packed weights for numbers (dsv4-quant run --to mlx writes it)");
	json_object_foreach(meant, key, x) if (said && json_is_object(x) &&
		!json_equal(x, json_object_get(said, key)) && !n++) first = key;
	if (n)
		report_add(v->r, RULE_ENGINE_FIELD, &config_json,
			"config.json: \"quantization\" says of %zu matrices something else than they are, or nothing; the first is %s",
			n, first);
	json_decref(meant);
}

/* Of V4.1 mlx-vlm has its own names for what stays packed. */
static void multiplied_out(const struct trap_view *v)
{
	if (v->a->ckpt->config.family == &family_v41)
		report_add(v->r, RULE_ENGINE_SETTING, &config_json,
			"mlx-vlm multiplies all of it but the tables of Engram out to BF16 while it loads, which is up to four times the memory: dsv4-quant run --to mlx-packed makes what it keeps packed; mlx-lm refuses a model with Engram");
}

/* --- vLLM --- */

/* Its classes for FP8 experts have F32 scales, and its attention of V4.1 takes blocks of 32 beside FP4 experts alone. */
static void fp8_experts(const struct trap_view *v)
{
	if (v->a->forms.experts == CODEC_FP8_32)
		report_add(v->r, RULE_ENGINE_FORM, NULL,
			"experts are FP8: vLLM 0.33 has no attention of %s beside those, and copies their E8M0 scales as numbers; it takes the published FP4 experts",
			v->a->ckpt->config.family->what);
}

/* --- TensorRT-LLM --- */

static void not_looked_at(const struct trap_view *v)
{
	report_add(v->r, RULE_ENGINE_UNKNOWN, NULL,
		"whether TensorRT-LLM loads experts in %s was not looked at: what is published for it is NVFP4",
		codecs[v->a->forms.experts].name);
}

/* --- every engine --- */

/* An engine that nobody has seen to have the family: nothing is known of it, and that is said. Returns whether it is one. */
static bool unknown_family(const struct trap_view *v)
{
	const struct family *f = v->a->ckpt->config.family;
	const char *const *e = f->read_by;

	while (e && *e && strcmp(*e, v->who->name) != 0)
		e++;
	if (!e || *e)
		return false;
	report_add(v->r, RULE_ENGINE_UNKNOWN, &config_json,
		"whether %s loads %s (model_type %s) was not looked at, or it does not",
		v->who->name, f->what, f->name);
	return true;
}

/* --- */

static const struct trap {
	const char *engine;
	void (*check)(const struct trap_view *v);
} traps[] = {
	{ "transformers", spelled_as_integers },
	{ "llama.cpp", equal_heads },
	{ "mlx", scales_as_numbers },
	{ "mlx", quantization },
	{ "mlx", multiplied_out },
	{ "vllm", fp8_experts },
	{ "tensorrt-llm", not_looked_at },
};

void trap_judge(const struct trap_view *v)
{
	size_t i;

	if (unknown_family(v))
		return;
	for (i = 0; i < sizeof traps / sizeof *traps; i++)
		if (!strcmp(traps[i].engine, v->who->name))
			traps[i].check(v);
}
