/* test_family_doctor.c -- doctor judges what config.json of V4.1 says of the arithmetic, and the number formats that dsv4-quant writes:
 * sound folders are true for the engines that are known to load them, and each folder with one thing wrong is named.
 *
 * NVFP4 is judged as others may have made it, without manifests and source/; the other forms are told by the manifest alone
 * (docs/kinds.md).
 *
 * SPDX-License-Identifier: MIT */
#include "tests/ck.h"
#include "tests/shell.h"
#include "tests/verify.h"

static const char *const forms[] = { "bf16", "mxfp8", "nvfp4", "mlx-packed" };
enum { FORMS = sizeof forms / sizeof *forms };

/* The small model in that form; of NVFP4 without what says who made it. */
static const char *formed(const char *name)
{
	static struct path dir[FORMS];
	struct path m = dirs_path("v41");
	char line[1300];
	size_t i;

	for (i = 0; strcmp(forms[i], name) != 0; i++)
		;
	if (dir[i].s[0])
		return dir[i].s;
	snprintf(line, sizeof line, "%s --config tests/configs/small-v41.json --seed 7", m.s);
	if (!is_file(m.s))
		CHECK(!model_tool("mkmodel", line));
	dir[i] = dirs_path(name);
	CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s --to %s -q%s", m.s, dir[i].s, name,
		strcmp(name, "nvfp4") ? "" : " --input-scale 1"));
	CHECK(ends(0, "doctor: true", "dsv4-verify", "doctor %s --full", dir[i].s));
	if (!strcmp(name, "nvfp4")) {
		snprintf(line, sizeof line,
			"cd %s && rm -rf manifest.json ./*.manifest.json source .dsv4*", dir[i].s);
		CHECK(system(line) == 0);
	}
	return dir[i].s;
}

static void expect(const char *what, const char *dir, const char *engine, int status,
	const char *rule)
{
	struct report r;

	if (ck_doctor(&r, dir, engine, NULL, false) != status ||
		(rule ? !verify_find(&r, rule, NULL) : r.n > 0)) {
		fprintf(stderr, "%s: %s\n", what, rule ? rule : "sound");
		verify_print(&r);
		FAILED(what);
	}
	report_free(&r);
}

static const struct loader {
	const char *form, *engine;
	int status;
	const char *rule; /* NULL: nothing is found */
} loaders[] = {
	{ "bf16", NULL, 0, NULL },
	{ "bf16", "mlx", 0, NULL },
	{ "bf16", "vllm", 2, "engine.unknown" },
	{ "bf16", "transformers", 2, "engine.unknown" },
	{ "mxfp8", NULL, 0, NULL },
	{ "mxfp8", "vllm", 0, NULL },
	{ "mxfp8", "sglang", 2, "engine.unknown" },
	{ "mxfp8", "transformers", 2, "engine.unknown" },
	{ "nvfp4", NULL, 0, NULL },
	{ "nvfp4", "vllm", 0, NULL },
	{ "nvfp4", "sglang", 2, "engine.unknown" },
	{ "nvfp4", "tensorrt-llm", 2, "engine.unknown" },
	{ "nvfp4", "llama.cpp", 1, "engine.form" },
	{ "nvfp4", "marlin-mxfp4", 1, "engine.form" },
	{ "mlx-packed", NULL, 0, NULL },
	{ "mlx-packed", "mlx", 0, NULL },
	{ "mlx-packed", "vllm", 2, "engine.unknown" },
	{ "mlx-packed", "official", 1, "engine.form" },
};

static void sound(void)
{
	size_t i;

	for (i = 0; i < sizeof loaders / sizeof *loaders; i++)
		expect(loaders[i].form, formed(loaders[i].form), loaders[i].engine,
			loaders[i].status, loaders[i].rule);
}

/* --- one thing wrong --- */

static json_t *quantization(struct ck *c)
{
	c->new_config = true;
	return json_object_get(c->config, "quantization_config");
}

static void cut_rows(struct ck *c, const char *name)
{
	struct ck_tensor *t = ck_get(c, name);

	ck_retype(t, NULL, t->dim[0] - 1, t->dim[1], t->n / t->dim[0] * (t->dim[0] - 1));
}

static void table_short(struct ck *c)
{
	cut_rows(c, "layers.1.engram.embed.weight");
	cut_rows(c, "layers.1.engram.embed.scale");
}

static void table_scales_short(struct ck *c)
{
	cut_rows(c, "layers.3.engram.embed.scale");
}

static void tables_swapped(struct ck *c)
{
	struct ck_tensor *a = ck_get(c, "layers.1.engram.embed.weight"),
			 *b = ck_get(c, "layers.3.engram.embed.weight");

	strcpy(a->name, "layers.3.engram.embed.weight");
	strcpy(b->name, "layers.1.engram.embed.weight");
}

static void table_gone(struct ck *c)
{
	ck_get(c, "layers.1.engram.embed.weight")->gone = true;
}

static void table_scales_gone(struct ck *c)
{
	ck_get(c, "layers.1.engram.embed.scale")->gone = true;
}

static void table_nan(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, "layers.1.engram.embed.scale");

	memset(t->p, 0xff, t->n);
}

static void table_in_bf16(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, "layers.1.engram.embed.weight");

	ck_retype(t, "BF16", t->dim[0], t->dim[1], 2 * t->n);
	ck_get(c, "layers.1.engram.embed.scale")->gone = true;
}

/* As an engine's converter would that takes V4.1 for V4: one scale for 128 x 128, and config.json says so. */
static void blocks_of_128(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, NULL, ".scale"));) {
		uint64_t a = (t->dim[0] + 3) / 4, b = (t->dim[1] + 3) / 4;

		if (!strstr(t->name, ".engram.embed."))
			ck_retype(t, NULL, a, b, a * b);
	}
	json_object_set_new(quantization(c), "weight_block_size", json_pack("[i,i]", 128, 128));
}

static void said_128(struct ck *c)
{
	json_object_set_new(quantization(c), "weight_block_size", json_pack("[i,i]", 128, 128));
}

static void bias_vl_gone(struct ck *c)
{
	ck_get(c, "layers.2.ffn.gate.bias_vl")->gone = true;
}

static void vision_of_another(struct ck *c)
{
	cut_rows(c, "vision.blocks.0.mlp.w1.weight");
}

static void draft_experts(struct ck *c)
{
	cut_rows(c, "mtp.0.ffn.gate.weight");
}

static void stranger(struct ck *c)
{
	strcpy(ck_get(c, "norm.weight")->name, "layers.0.attn.compressor.ape");
}

static void leaves_out_wkv(struct ck *c)
{
	json_array_append_new(json_object_get(quantization(c), "ignore"),
		json_string("*.engram.*"));
}

static void no_algo(struct ck *c)
{
	json_object_del(quantization(c), "quant_algo");
}

static void expert_dtype(struct ck *c)
{
	json_object_set_new(quantization(c), "expert_dtype", json_string("fp4"));
}

static void no_expert_dtype(struct ck *c)
{
	json_object_del(quantization(c), "expert_dtype");
}

static void quantized_said(struct ck *c)
{
	json_object_set_new(c->config, "quantization_config",
		json_pack("{s:s,s:[i,i]}", "quant_method", "fp8", "weight_block_size", 32, 32));
	c->new_config = true;
}

static void no_quantization(struct ck *c)
{
	json_object_del(c->config, "quantization");
	c->new_config = true;
}

static void mode_of_experts(struct ck *c)
{
	json_t *o = json_object_get(json_object_get(c->config, "quantization"),
		"language_model.layers.5.ffn.switch_mlp.down_proj");

	json_object_set_new(o, "bits", json_integer(8));
	c->new_config = true;
}

static void mode_of_dense(struct ck *c)
{
	json_object_set_new(json_object_get(c->config, "quantization"),
		"language_model.model.layers.2.attn.wq_b", json_false());
	c->new_config = true;
}

static void one_scale_gone(struct ck *c)
{
	size_t i = 0;

	ck_next(c, &i, "layers.2.attn.wq_b.", "scales")->gone = true;
}

static const struct wrong {
	const char *what, *form, *engine;
	void (*change)(struct ck *c);
	const char *rule;
} wrongs[] = {
	{ "a table is truncated", "bf16", NULL, table_short, "model.shape" },
	{ "a table is truncated", "nvfp4", NULL, table_short, "model.shape" },
	{ "scales of a table are truncated", "mxfp8", NULL, table_scales_short, "model.shape" },
	{ "tables are swapped", "mlx-packed", NULL, tables_swapped, "model.shape" },
	{ "a table is gone", "mxfp8", NULL, table_gone, "model.missing" },
	{ "scales of a table are gone", "bf16", NULL, table_scales_gone, "model.missing" },
	{ "scales of a table are NaN", "mlx-packed", NULL, table_nan, "data.scale-nan" },
	{ "a table is BF16", "bf16", NULL, table_in_bf16, "model.dtype" },
	{ "blocks of 128", "nvfp4", NULL, blocks_of_128, "form.matrix" },
	{ "128 is said", "nvfp4", NULL, said_128, "config.field-tensors" },
	{ "bias_vl is gone", "nvfp4", NULL, bias_vl_gone, "model.missing" },
	{ "the tower is another", "mxfp8", NULL, vision_of_another, "model.shape" },
	{ "a draft has other experts", "bf16", NULL, draft_experts, "model.shape" },
	{ "a tensor of V4", "mlx-packed", NULL, stranger, "model.unexpected" },
	{ "a quantized matrix is left out", "mxfp8", NULL, leaves_out_wkv,
		"config.quant-excluded" },
	{ "quant_algo is gone", "mxfp8", NULL, no_algo, "engine.field" },
	{ "expert_dtype is there", "mxfp8", NULL, expert_dtype, "engine.field" },
	{ "expert_dtype is gone", "nvfp4", "vllm", no_expert_dtype, "engine.field" },
	{ "BF16 is said to be quantized", "bf16", NULL, quantized_said, "engine.field" },
	{ "quantization is gone", "mlx-packed", NULL, no_quantization, "engine.field" },
	{ "experts have another mode", "mlx-packed", NULL, mode_of_experts, "engine.field" },
	{ "a matrix is said to be none", "mlx-packed", NULL, mode_of_dense, "engine.field" },
	{ "scales of a matrix are gone", "mlx-packed", NULL, one_scale_gone, "form.matrix" },
};

static void wrong(void)
{
	struct path dir;
	size_t i;

	for (i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
		dir = ck_changed(formed(wrongs[i].form), wrongs[i].change, "wrong");
		expect(wrongs[i].what, dir.s, wrongs[i].engine, 1, wrongs[i].rule);
		dirs_remove(dir.s);
	}
}

/* Drafts that stay as they are: vLLM goes by "ignore" (docs/quant.md, section V4.1). */
static void drafts(void)
{
	struct path out = dirs_path("kept");

	(void)formed("nvfp4");
	CHECK(ends(0, NULL, "dsv4-quant",
		"run %s -o %s --to nvfp4 --drafts keep --input-scale 1 -q", dirs_path("v41").s,
		out.s));
	CHECK(ends(0, "form.drafts", "dsv4-verify", "doctor %s --for vllm", out.s));
}

/* Of a checkpoint: what decides what is computed, and which model an engine takes it for. */
static void config_said(void)
{
	static const struct {
		const char *member, *in, *key,
			*value; /* in: an object of config.json; NULL: the file */
		int status;
		const char *rule;
	} row[] = {
		{ "v41", "text_config", "rope_theta", "-1", 1, "config.forward" },
		{ "v41", "text_config", "rope_theta", NULL, 0, "suspect.config" },
		{ "v41", "text_config", "rope_scaling", NULL, 0, "suspect.config" },
		{ "v41", "text_config", "rope_scaling", "{\"type\": \"linear\"}", 1,
			"config.forward" },
		{ "v41", "text_config", "swiglu_limit", "\"10\"", 1, "config.forward" },
		{ "v41", "text_config", "hc_sinkhorn_iters", "2.5", 1, "config.forward" },
		{ "v41", "text_config", "sliding_window", "64", 1, "config.forward" },
		{ "v41", "text_config", "model_type", "\"deepseek_v4\"", 1, "config.field-range" },
		{ "v41", "text_config", "tie_word_embeddings", "true", 1, "config.tied" },
		{ "v41", NULL, "architectures", "[\"DeepseekV4ForCausalLM\"]", 1,
			"config.field-range" },
		{ "small4", NULL, "architectures", "[\"DeepseekV41ForCausalLM\"]", 1,
			"config.field-range" },
		{ "small4", NULL, "text_config", "{\"swiglu_limit\": 77.0}", 1,
			"config.field-range" },
		{ "small4", NULL, "text_config", "{\"model_type\": \"x\", \"vocab_size\": 512}", 0,
			NULL },
	};
	struct path m, dir;
	char args[900];
	struct ck *c;
	json_t *o;
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		m = dirs_path(row[i].member);
		snprintf(args, sizeof args, "%s --config tests/configs/%s.json --seed 7", m.s,
			strcmp(row[i].member, "v41") ? row[i].member : "small-v41");
		if (!is_file(m.s))
			CHECK(!model_tool("mkmodel", args));
		c = ck_load(m.s);
		o = row[i].in ? json_object_get(c->config, row[i].in) : c->config;
		if (row[i].value)
			json_object_set_new(o, row[i].key,
				json_loads(row[i].value, JSON_DECODE_ANY, NULL));
		else
			json_object_del(o, row[i].key);
		c->new_config = true;
		dir = ck_write(c, "said");
		ck_free(c);
		expect(row[i].value ? row[i].value : row[i].key, dir.s, NULL, row[i].status,
			row[i].rule);
		dirs_remove(dir.s);
	}
}

static const struct test tests[] = { { "doctor of forms of V4.1: sound", sound },
	{ "doctor of forms of V4.1: one thing wrong", wrong },
	{ "doctor of forms of V4.1: drafts", drafts },
	{ "doctor of V4.1: config.json", config_said }, { NULL, NULL } };
TEST_MAIN(tests)
