/* test_formed.c -- dsv4-verify doctor of models in number formats that no checkpoint has: all that dsv4-quant makes, for
 * each who might load it; and the same as others publish it, with one thing wrong.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/recipes.h"
#include "tests/ck.h"
#include "tests/shell.h"
#include "tests/verify.h"
#include "verify/doctor/formed.h"
#include "verify/doctor/scan.h"

#include <math.h>

/* Makes the golden model in number format name, in a folder of that name. options: more of dsv4-quant; may be NULL. */
static struct path made(const char *name, const char *options)
{
	struct path out = dirs_path(name);
	char args[1200];

	dirs_remove(out.s);
	snprintf(args, sizeof args, "run " FLASH " -o %s --to %s %s %s -q", out.s, name,
		strcmp(name, "nvfp4") ? "" : "--input-scale 0.01", options ? options : "");
	CHECK_IN(name, model_tool("dsv4-quant", args) == 0);
	return out;
}

/* The same without a word of ours beside it, as others publish it. */
static struct path foreign(const char *name, const char *options)
{
	struct path out = made(name, options);
	char line[1300];

	snprintf(line, sizeof line, "cd %s && rm -rf manifest.json ./*.manifest.json source .dsv4*",
		out.s);
	CHECK(system(line) == 0);
	return out;
}

/* Asks doctor, for engine (NULL: nobody in particular). what names the row in messages. Of a rule, a finding has to be there, in
 * file (NULL: any); of none, nothing is found. */
static void expect(const char *what, const char *dir, const char *engine, int status,
	const char *rule, const char *file)
{
	struct report r;

	if (ck_doctor(&r, dir, engine, NULL, false) != status ||
		(rule ? !verify_find(&r, rule, file) : r.n > 0)) {
		fprintf(stderr, "%s: %s\n", what, rule ? rule : "sound");
		verify_print(&r);
		FAILED(what);
	}
	report_free(&r);
}

/* --- our own, for each engine --- */

static const struct loader {
	const char *name, *engine;
	int status;
	const char *rule; /* NULL: nothing is found */
} loaders[] = {
	{ "nvfp4", "vllm", 0, NULL },
	{ "nvfp4", "sglang", 0, NULL },
	{ "nvfp4", "tensorrt-llm", 0, NULL },
	{ "nvfp4", "transformers", 2, "engine.unknown" },
	{ "nvfp4", "llama.cpp", 1, "engine.form" },
	{ "nvfp4", "mlx", 1, "engine.form" },
	{ "nvfp4", "marlin-mxfp4", 1, "engine.form" },
	{ "bf16", "transformers", 0, NULL },
	{ "bf16", "official", 1, "engine.form" },
	{ "bf16", "vllm", 2, "engine.unknown" },
	{ "mxfp8", "vllm", 0, NULL },
	{ "mxfp8", "transformers", 1, "engine.form" },
	{ "ct-mxfp4", "vllm", 0, NULL },
	{ "ct-mxfp4", "transformers", 1, "engine.form" },
	{ "ct-mxfp8", "vllm", 0, NULL },
	{ "ct-nvfp4a16", "vllm", 0, NULL },
	{ "ct-nvfp4a16", "sglang", 2, "engine.unknown" },
};

static void ours(void)
{
	const struct loader *t;
	struct path dir = { 0 };
	size_t i;

	for (i = 0; i < sizeof loaders / sizeof *loaders; i++) {
		t = &loaders[i];
		if (!i || strcmp(t->name, t[-1].name) != 0)
			dir = made(t->name, NULL);
		expect(t->engine, dir.s, t->engine, t->status, t->rule, NULL);
		if (t->status == 0)
			expect(t->name, dir.s, NULL, 0, NULL, NULL);
	}
}

/* --- as others publish it, one thing wrong --- */

static struct ck_tensor *first(struct ck *c, const char *a, const char *end)
{
	size_t i = 0;
	struct ck_tensor *t = ck_next(c, &i, a, end);

	if (!t)
		exit(2);
	return t;
}

/* The experts of the draft as the download has them: NAME.weight in I8 with an E8M0 scale for 32 columns. */
static void drafts_in_mxfp4(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, "mtp.0.ffn.experts.", ".weight"));)
		snprintf(t->type, sizeof t->type, "I8");
	for (i = 0; (t = ck_next(c, &i, "mtp.0.ffn.experts.", ".weight_scale_2"));)
		t->gone = true;
	for (i = 0; (t = ck_next(c, &i, "mtp.0.ffn.experts.", ".input_scale"));)
		t->gone = true;
	for (i = 0; (t = ck_next(c, &i, "mtp.0.ffn.experts.", ".weight_scale"));) {
		ck_retype(t, "F8_E8M0", t->dim[0], t->dim[1] / 2, t->n / 2);
		memset(t->p, 120, t->n);
		strcpy(strrchr(t->name, '.'), ".scale");
	}
}

static void drafts_left_out(struct ck *c)
{
	drafts_in_mxfp4(c);
	json_object_set_new(json_object_get(c->config, "quantization_config"), "ignore",
		json_pack("[s]", "mtp.*"));
	c->new_config = true;
}

static void one_in_mxfp4(struct ck *c)
{
	struct ck_tensor *t = first(c, "layers.1.ffn.experts.3.w2.", ".weight");

	snprintf(t->type, sizeof t->type, "I8");
	t = first(c, "layers.1.ffn.experts.3.w2.", ".weight_scale");
	ck_retype(t, "F8_E8M0", t->dim[0], t->dim[1] / 2, t->n / 2);
	strcpy(strrchr(t->name, '.'), ".scale");
}

static void no_scale(struct ck *c)
{
	first(c, "layers.1.ffn.experts.3.w2.", ".weight_scale")->gone = true;
}

static void no_factor(struct ck *c)
{
	first(c, "layers.1.ffn.experts.3.w2.", ".weight_scale_2")->gone = true;
}

static void short_scale(struct ck *c)
{
	struct ck_tensor *t = first(c, "layers.2.ffn.experts.0.w1.", ".weight_scale");

	ck_retype(t, "F8_E4M3", t->dim[0], t->dim[1] / 2, t->n / 2);
}

static void no_zero_points(struct ck *c)
{
	first(c, "layers.1.ffn.experts.3.w2.", ".weight_zero_point")->gone = true;
}

static void short_zero_points(struct ck *c)
{
	struct ck_tensor *t = first(c, "layers.2.ffn.experts.0.w1.", ".weight_zero_point");

	ck_retype(t, "I32", t->dim[0] / 2, t->dim[1], t->n / 2);
}

static void no_norm(struct ck *c)
{
	ck_get(c, "layers.1.attn_norm.weight")->gone = true;
}

static void norm_in_f32(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, "layers.1.attn_norm.weight");

	ck_retype(t, "F32", t->dim[0], 0, 2 * t->n);
}

static void norm_cut(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, "layers.2.ffn.gate.weight");

	ck_retype(t, "BF16", t->dim[0] / 2, t->dim[1], t->n / 2);
}

static void scale_nan(struct ck *c)
{
	first(c, "layers.1.ffn.experts.3.w1.", ".weight_scale")->p[9] = 0x7f;
}

static void scale_below_zero(struct ck *c)
{
	first(c, "layers.1.ffn.experts.3.w1.", ".weight_scale")->p[9] |= 0x80;
}

static void scale_255(struct ck *c)
{
	first(c, "layers.1.ffn.experts.3.w1.", ".weight_scale")->p[9] = 0xff;
}

static void scale_as_number(struct ck *c)
{
	float v = 116;

	memcpy(first(c, "layers.1.attn.wq_a.", ".weight_scale")->p, &v, sizeof v);
}

static void codes_nan(struct ck *c)
{
	first(c, "layers.1.attn.wq_a.", ".weight")->p[3] = 0x7f;
}

static void value_nan(struct ck *c)
{
	memcpy(ck_get(c, "layers.1.attn_norm.weight")->p, "\xc0\x7f", 2);
}

static void dense_in_bf16(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, NULL, ".weight"));)
		if (!strcmp(t->type, "F8_E4M3")) {
			ck_retype(t, "BF16", t->dim[0], t->dim[1], 2 * t->n);
			memset(t->p, 0x3c, t->n);
			t->p[0] = 0x3d;
		}
	for (i = 0; (t = ck_next(c, &i, NULL, ".scale"));)
		t->gone = true;
}

static void set_factor(struct ck *c, const char *end, float v)
{
	memcpy(first(c, "layers.1.ffn.experts.3.w1.", end)->p, &v, sizeof v);
}

static void factors_apart(struct ck *c)
{
	set_factor(c, ".weight_scale_2", 0.03125f);
}

static void factor_nan(struct ck *c)
{
	set_factor(c, ".weight_scale_2", NAN);
}

static void input_zero(struct ck *c)
{
	set_factor(c, ".input_scale", 0);
}

static void no_expert_dtype(struct ck *c)
{
	ck_config(c, "expert_dtype", NULL);
}

static void no_algo(struct ck *c)
{
	json_object_del(json_object_get(c->config, "quantization_config"), "moe_quant_algo");
	c->new_config = true;
}

static void ignores_what_is_there(struct ck *c)
{
	json_object_set_new(json_object_get(c->config, "quantization_config"), "ignore",
		json_pack("[s,s]", "head", "mtp.*"));
	c->new_config = true;
}

static void no_scale_fmt(struct ck *c)
{
	json_object_del(json_object_get(c->config, "quantization_config"), "scale_fmt");
	c->new_config = true;
}

static void says_fp4(struct ck *c)
{
	ck_config(c, "expert_dtype", "\"fp4\"");
}

/* The draft is there, and config.json counts none. */
static void drafts_uncounted(struct ck *c)
{
	json_t *ratios = json_object_get(c->config, "compress_ratios");

	CHECK(!json_array_remove(ratios, json_array_size(ratios) - 1));
	ck_config(c, "num_nextn_predict_layers", "0");
}

static void stranger(struct ck *c)
{
	strcpy(ck_get(c, "layers.1.attn_norm.weight")->name, "layers.1.attn_nurm.weight");
	first(c, "layers.1.", "attn_nurm.weight");
}

/* A tensor of four numbers beside the codes of a matrix. */
static void put_beside(struct ck *c, const char *type, const char *end)
{
	static const uint8_t zero[16];
	const struct ck_tensor *w = first(c, "layers.1.ffn.experts.3.w2.", ".weight_scale");
	struct ck_tensor *t = &c->t[c->n++];

	*t = (struct ck_tensor){ .shard = w->shard, .rank = 1, .dim = { 4 }, .n = sizeof zero };
	snprintf(t->type, sizeof t->type, "%s", type);
	snprintf(t->name, sizeof t->name, "layers.1.ffn.experts.3.w2.%s", end);
	t->p = malloc(t->n + 1);
	memcpy(t->p, zero, sizeof zero);
	c->dirty[t->shard] = true;
}

static void zero_points(struct ck *c)
{
	put_beside(c, "I32", "weight_zero_point");
}

static void order_of_columns(struct ck *c)
{
	put_beside(c, "I32", "weight_g_idx");
}

static void shape_of_noise(struct ck *c)
{
	memset(first(c, "layers.1.ffn.experts.3.w1.", ".weight_shape")->p, 0xff, 16);
}

static void shape_turned(struct ck *c)
{
	uint8_t *p = first(c, "layers.1.ffn.experts.3.w1.", ".weight_shape")->p, row[8];

	memcpy(row, p, 8);
	memcpy(p, p + 8, 8);
	memcpy(p + 8, row, 8);
}

static void nothing(struct ck *c)
{
	size_t i = 0;

	(void)ck_next(c, &i, NULL, NULL);
}

static const struct wrong {
	const char *name;
	void (*damage)(struct ck *c);
	const char *engine;
	int status;
	const char *rule, *options;
} wrongs[] = {
	{ "nvfp4", nothing, "vllm", 0, NULL, NULL },
	{ "nvfp4", drafts_in_mxfp4, "vllm", 1, "engine.drafts", NULL },
	{ "nvfp4", drafts_left_out, "vllm", 1, "engine.drafts", NULL },
	/* hf_quant_config.json still lists them */
	{ "nvfp4", drafts_left_out, "tensorrt-llm", 1, "config.field-tensors", NULL },
	{ "nvfp4", one_in_mxfp4, NULL, 1, "form.mixed", NULL },
	{ "nvfp4", no_scale, NULL, 1, "form.matrix", NULL },
	{ "nvfp4", no_factor, NULL, 1, "form.matrix", NULL },
	{ "nvfp4", short_scale, NULL, 1, "form.matrix", NULL },
	{ "nvfp4", no_norm, NULL, 1, "model.missing", NULL },
	{ "nvfp4", norm_in_f32, NULL, 1, "model.dtype", NULL },
	{ "nvfp4", norm_cut, NULL, 1, "model.shape", NULL },
	{ "nvfp4", scale_nan, NULL, 1, "data.scale-nan", NULL },
	{ "nvfp4", scale_below_zero, NULL, 1, "data.scale-number", NULL },
	{ "nvfp4", codes_nan, NULL, 1, "data.fp8-nan", NULL },
	{ "nvfp4", value_nan, NULL, 1, "data.not-finite", NULL },
	{ "nvfp4", dense_in_bf16, "vllm", 2, "engine.unknown", NULL },
	{ "nvfp4", factors_apart, NULL, 1, "form.factor", NULL },
	{ "nvfp4", factor_nan, NULL, 1, "form.factor", NULL },
	{ "nvfp4", input_zero, NULL, 1, "form.factor", NULL },
	{ "nvfp4", no_expert_dtype, "vllm", 1, "engine.field", NULL },
	{ "nvfp4", no_algo, NULL, 1, "engine.field", NULL },
	{ "nvfp4", ignores_what_is_there, NULL, 1, "config.quant-excluded", NULL },
	{ "nvfp4", drafts_uncounted, NULL, 1, "config.stages", NULL },
	{ "nvfp4", stranger, NULL, 1, "model.unexpected", NULL },
	{ "ct-nvfp4a16", nothing, "vllm", 0, NULL, NULL },
	{ "ct-nvfp4a16", no_scale_fmt, "vllm", 1, "engine.field", NULL },
	{ "ct-mxfp4", nothing, "vllm", 0, NULL, NULL },
	{ "ct-mxfp4", no_scale, NULL, 1, "form.matrix", NULL },
	{ "ct-mxfp4", scale_255, NULL, 1, "data.scale-nan", NULL },
	{ "ct-mxfp4", scale_as_number, NULL, 1, "data.scale-number", NULL },
	{ "mxfp8", says_fp4, NULL, 2, "kind.quantized", NULL },
	{ "w4a16", nothing, NULL, 0, NULL, NULL },
	{ "w4a16", shape_of_noise, NULL, 1, "form.shape", NULL },
	{ "w4a16", shape_turned, "vllm", 1, "form.shape", NULL },
	{ "w4a16", zero_points, NULL, 2, "form.unread", NULL },
	{ "w4a16", order_of_columns, "vllm", 2, "form.unread", NULL },
	{ "w8a8", zero_points, NULL, 2, "form.unread", NULL },
	{ "w4a16-asym", nothing, "vllm", 0, NULL, NULL },
	{ "w4a16-asym", order_of_columns, NULL, 2, "form.unread", NULL },
	{ "w4a16-asym", no_zero_points, NULL, 1, "form.mixed", NULL },
	{ "w4a16-asym", short_zero_points, NULL, 2, "form.unread", NULL },
	{ "nvfp4", nothing, "tensorrt-llm", 0, "form.drafts", "--drafts keep" },
};

static void published(void)
{
	const struct wrong *t;
	struct path dir = { 0 }, other;
	char what[64];
	struct ck *c;
	size_t i;

	for (i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
		t = &wrongs[i];
		if (!i || strcmp(t->name, t[-1].name) != 0)
			dir = foreign(t->name, t->options);
		c = ck_load(dir.s);
		t->damage(c);
		other = ck_write(c, "foreign");
		ck_write_index(c, other.s);
		ck_free(c);
		snprintf(what, sizeof what, "%s, row %zu", t->name, i);
		expect(what, other.s, t->engine, t->status, t->rule, NULL);
	}
}

/* Codes and scales are not decoded where more lies beside them: not measured, and no experts for another model. */
static void unread(void)
{
	static const struct {
		void (*put)(struct ck *c);
		const char *says;
	} more[] = { { zero_points, "w2.weight_zero_point: a matrix has zero points" },
		{ order_of_columns, "w2.weight_g_idx: a matrix has an order of columns" } };
	struct path dir = foreign("w4a16", NULL), other, none = dirs_path("none");
	struct ck *c;
	size_t i;

	CHECK(ends(0, "atlas: true", "dsv4-verify", "atlas " FLASH " %s", dir.s));
	for (i = 0; i < sizeof more / sizeof *more; i++) {
		c = ck_load(dir.s);
		more[i].put(c);
		other = ck_write(c, "foreign");
		ck_write_index(c, other.s);
		ck_free(c);
		CHECK(ends(2, "form.unread", "dsv4-verify", "atlas " FLASH " %s", other.s));
		CHECK(ends(2, more[i].says, "dsv4-verify", "atlas " FLASH " %s", other.s));
		CHECK(ends(2, "form.unread", "dsv4-quant",
			"run " FLASH " -o %s --to bf16 -q --lossy --experts-from %s", none.s,
			other.s));
		CHECK(!is_file(none.s));
	}
}

static void no_zero_points_at_all(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, NULL, ".weight_zero_point"));)
		t->gone = true;
}

/* Where config.json says that there are zero points, codes without them are no matrix: it is lost, and none for another model. */
static void lost_zero_points(void)
{
	static void (*const take[])(struct ck * c) = { no_zero_points, no_zero_points_at_all };
	struct path dir = foreign("w4a16-asym", NULL), other, none = dirs_path("none");
	struct ck *c;
	size_t i;

	CHECK(ends(0, "atlas: true", "dsv4-verify", "atlas " FLASH " %s", dir.s));
	for (i = 0; i < sizeof take / sizeof *take; i++) {
		c = ck_load(dir.s);
		take[i](c);
		other = ck_write(c, "foreign");
		ck_write_index(c, other.s);
		ck_free(c);
		CHECK(ends(1,
			i ? "atlas.lost" : "atlas.lost: tensor layers.1.ffn.experts.3.w2.weight",
			"dsv4-verify", "atlas " FLASH " %s", other.s));
		CHECK(ends(1, NULL, "dsv4-verify", "doctor %s", other.s));
	}
	CHECK(ends(1, "says that layers.0.ffn.experts.0.w1 has zero points", "dsv4-quant",
		"run " FLASH " -o %s --to bf16 -q --lossy --experts-from %s", none.s, other.s));
	CHECK(!is_file(none.s));
}

/* A list of one expression that is longer than any that is read, and is none. */
static const char deep[] = "3000 parentheses";

/* The files that speak of number formats, and the member of each that does. */
enum { CONFIG = 1, HF = 2, BOTH = CONFIG | HF };
static const struct speaker {
	int bit;
	const char *file, *member;
} speakers[] = {
	{ CONFIG, "config.json", "quantization_config" },
	{ HF, "hf_quant_config.json", "quantization" },
};

/* What is said of the number formats, one member at a time: in each of these files the member at path gets the value; NULL: it
 * is taken out. */
/* clang-format off */
static const struct lie {
	const char *name;
	int files;
	const char *path, *value;
	int status;
	const char *rule;
} lies[] = {
	{ "nvfp4", CONFIG, "group_size", "32", 1, "config.field-tensors" },
	{ "nvfp4", CONFIG, "fmt", "\"e5m2\"", 1, "config.field-tensors" },
	{ "nvfp4", CONFIG, "scale_fmt", "\"fp32\"", 1, "config.field-tensors" },
	{ "nvfp4", CONFIG, "activation_scheme", "\"static\"", 1, "config.field-tensors" },
	{ "nvfp4", CONFIG, "weight_block_size", "[64, 64]", 1, "config.field-tensors" },
	{ "nvfp4", CONFIG, "weight_block_size", NULL, 1, "config.field-tensors" },
	{ "nvfp4", BOTH, "kv_cache_quant_algo", "\"FP8\"", 1, "config.field-tensors" },
	{ "nvfp4", CONFIG, "config_groups/group_0/weights/num_bits", "8", 1, "config.field-tensors" },
	{ "nvfp4", CONFIG, "config_groups/group_0/weights/type", "\"int\"", 1, "config.field-tensors" },
	{ "nvfp4", CONFIG, "config_groups/group_0/weights/group_size", "32", 1, "config.field-tensors" },
	{ "nvfp4", CONFIG, "ignore", "[\"*.ffn.experts.*\"]", 1, "config.quant-excluded" },
	{ "nvfp4", CONFIG, "ignore", "[\"model.layers.2.ffn.experts.1.w3\"]", 1, "config.quant-excluded" },
	{ "nvfp4", CONFIG, "ignore", "[\"*.attn.*\", \"lm_head\"]", 0, NULL },
	{ "nvfp4", CONFIG, "quantized_layers/layers.2.ffn.experts", NULL, 1, "config.quant-excluded" },
	{ "nvfp4", CONFIG, "quantized_layers/layers.2.ffn.experts/group_size", "32", 1, "config.field-tensors" },
	{ "nvfp4", CONFIG, "quantized_layers/layers.2.ffn.experts/quant_algo", "\"FP8\"", 1, "config.field-tensors" },
	{ "nvfp4", CONFIG, "quantized_layers/layers.77.ffn.experts", "{}", 0, "config.quant-unmatched" },
	{ "nvfp4", BOTH, "quant_algo", "\"FP8\"", 1, "config.field-tensors" },
	{ "nvfp4", HF, "group_size", "8", 1, "config.field-tensors" },
	{ "nvfp4", HF, "exclude_modules", "[\"*w2\"]", 1, "config.quant-excluded" },
	{ "nvfp4", HF, "quantized_layers/layers.0.ffn.experts", NULL, 1, "config.quant-excluded" },
	{ "nvfp4", BOTH, "quant_algo", "\"W4A16_AWQ\"", 1, "config.field-tensors" },
	{ "nvfp4", BOTH, "quant_algo", "\"\"", 1, "config.field-tensors" },
	{ "nvfp4", BOTH, "quant_algo", "7", 1, "config.field-tensors" },
	{ "nvfp4", BOTH, "quant_algo", NULL, 1, "config.field-tensors" },
	{ "nvfp4", BOTH, "quantized_layers/mtp.0.ffn.experts", NULL, 1, "config.quant-excluded" },
	{ "nvfp4", BOTH, "quantized_layers/layers.0.attn.wq_a", "{\"quant_algo\": \"NVFP4\"}", 1, "config.field-tensors" },
	{ "nvfp4", BOTH, "quantized_layers/model.layers.0.attn.wq_a", "{\"quant_algo\": \"NVFP4\"}", 1, "config.field-tensors" },
	{ "nvfp4", BOTH, "quantized_layers/layers.0.ffn", "{\"quant_algo\": \"NVFP4\"}", 1, "config.field-tensors" },
	{ "nvfp4", BOTH, "quantized_layers/layers.0.ffn.gate", "{\"quant_algo\": \"NVFP4\"}", 1, "config.field-tensors" },
	{ "nvfp4", BOTH, "quantized_layers/layers.0.attn_norm", "{\"quant_algo\": \"NVFP4\"}", 1, "config.field-tensors" },
	{ "nvfp4", CONFIG, "quantized_layers/layers.0.attn.wq_a", "{\"quant_algo\": \"FP8_PB_WO\"}", 0, NULL },
	{ "nvfp4", CONFIG, "quantized_layers/layers.0.ffn.experts.3", "{\"quant_algo\": \"NVFP4\"}", 0, NULL },
	{ "nvfp4", CONFIG, "quantized_layers/layers.0.ffn.experts.3", "7", 1, "config.field-tensors" },
	{ "nvfp4", CONFIG, "quantized_layers/layers.00.ffn.experts", "{\"quant_algo\": \"NVFP4\"}", 0, "config.quant-unmatched" },
	{ "nvfp4", CONFIG, "quantized_layers/layers.0.ffn.expertsX", "{\"quant_algo\": \"NVFP4\"}", 0, "config.quant-unmatched" },
	{ "nvfp4", CONFIG, "quantized_layers", "7", 1, "config.quant-excluded" },
	{ "nvfp4", CONFIG, "config_groups/group_0/weights/dynamic", "true", 1, "config.field-tensors" },
	{ "nvfp4", CONFIG, "config_groups/group_0/input_activations/num_bits", "0", 1, "config.field-tensors" },
	{ "nvfp4", CONFIG, "config_groups/group_0/input_activations/type", "\"int\"", 1, "config.field-tensors" },
	{ "nvfp4", CONFIG, "config_groups/group_0/input_activations", "null", 0, NULL },
	{ "ct-mxfp4", CONFIG, "config_groups/group_0/weights/num_bits", "8", 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_0/weights/num_bits", NULL, 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_0/weights/type", NULL, 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_0/weights/group_size", "16", 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_0/weights/strategy", "\"channel\"", 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_0/weights/scale_dtype", "\"torch.float16\"", 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_0/weights/symmetric", "false", 1, "config.field-tensors" },
	{ "w4a16-asym", CONFIG, "config_groups/group_0/weights/symmetric", "true", 1, "config.field-tensors" },
	{ "w4a16-asym", CONFIG, "config_groups/group_0/weights/symmetric", NULL, 1, "config.field-tensors" },
	{ "w4a16-asym", CONFIG, "config_groups/group_0/weights/actorder", "\"group\"", 1, "config.field-tensors" },
	{ "w4a16", CONFIG, "config_groups/group_0/weights/symmetric", "false", 1, "config.field-tensors" },
	{ "w4a16", CONFIG, "config_groups/group_0/weights/actorder", "\"group\"", 1, "config.field-tensors" },
	{ "w4a16", CONFIG, "config_groups/group_0/weights/actorder", "\"dynamic\"", 1, "config.field-tensors" },
	{ "w4a16", CONFIG, "config_groups/group_0/weights/actorder", "true", 1, "config.field-tensors" },
	{ "w4a16", CONFIG, "config_groups/group_0/weights/actorder", "\"static\"", 0, NULL },
	{ "w4a16", CONFIG, "config_groups/group_0/weights/actorder", "\"weight\"", 0, NULL },
	{ "w4a16", CONFIG, "config_groups/group_0/weights/actorder", "false", 0, NULL },
	{ "w4a16", CONFIG, "config_groups/group_0/weights/actorder", "null", 0, NULL },
	{ "ct-mxfp4", CONFIG, "config_groups/group_0/format", "\"nvfp4-pack-quantized\"", 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_1/weights/block_structure", "[64, 128]", 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_1/weights/strategy", "\"tensor\"", 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_1", NULL, 1, "config.quant-excluded" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_1/targets", "[\"Linear\"]", 0, NULL },
	{ "ct-mxfp4", CONFIG, "config_groups/group_0/targets", "[\"re:.*mlp.*\"]", 1, "config.quant-excluded" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_0/targets", "[\"re:.*layers.*\"]", 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/x", "{\"targets\": [\"re:.*mlp.*\"], \"weights\": {}}", 0, "config.quant-unmatched" },
	{ "ct-mxfp4", CONFIG, "ignore", "[\"re:.*\\\\.experts\\\\.7\\\\.w1\"]", 1, "config.quant-excluded" },
	{ "ct-mxfp4", CONFIG, "ignore", "[\"re:a{9}{9}{9}{9}{9}{9}\", \"re:(.)\\\\1\"]", 0, NULL },
	{ "ct-mxfp4", CONFIG, "kv_cache_scheme", "{\"num_bits\": 8}", 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_0/targets", deep, 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_0/targets", "[\"re:(.*experts.*\"]", 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_0/targets", "[\"re:.*experts[.*\"]", 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_1/targets", "[7]", 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_0/targets", "[\"re:.*experts\\\\.[0-9]{1,3}\\\\.w[123]\"]", 2, "config.quant-unread" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_0/targets", "[\"re:((((((((((((((((((((((((((((.*experts.*)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+\"]", 2, "config.quant-unread" }, /* it would cost 2^28 to compile */
	{ "ct-mxfp4", CONFIG, "config_groups/group_0/input_activations", "{\"num_bits\": 4, \"type\": \"int\", \"dynamic\": true}", 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_0/input_activations", "{\"num_bits\": 8, \"type\": \"float\", \"dynamic\": true}", 0, NULL },
	{ "ct-mxfp4", CONFIG, "config_groups/group_0/input_activations", "7", 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_0/weights/dynamic", "true", 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_1/input_activations/num_bits", "0", 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_1/input_activations/num_bits", "4", 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_1/input_activations/type", NULL, 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_1/input_activations/symmetric", "false", 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_1/input_activations/dynamic", "false", 1, "config.field-tensors" },
	{ "ct-mxfp4", CONFIG, "config_groups/group_1/input_activations", "null", 0, NULL },
	{ "ct-mxfp4", CONFIG, "ignore", "[\"re:(\", 5]", 1, "config.field-tensors" },
	{ "ct-nvfp4a16", CONFIG, "config_groups/group_0/weights/strategy", "\"group\"", 1, "config.field-tensors" },
	{ "ct-nvfp4a16", CONFIG, "config_groups/group_0/weights/scale_dtype", NULL, 0, NULL },
};
/* clang-format on */

/* Sets, or takes out, the member at path of o, whose steps are parted by /. */
static void set_member(json_t *o, const char *path, const char *value)
{
	char step[64], text[3000];
	const char *slash;

	for (; (slash = strchr(path, '/')); path = slash + 1) {
		snprintf(step, sizeof step, "%.*s", (int)(slash - path), path);
		o = json_object_get(o, step);
	}
	CHECK(o != NULL);
	if (value == deep) {
		memset(text, '(', sizeof text);
		memcpy(text, "re:", 3);
		CHECK(!json_object_set_new(o, path, json_pack("[s%]", text, sizeof text)));
	} else if (value)
		CHECK_IN(value,
			!json_object_set_new(o, path, json_loads(value, JSON_DECODE_ANY, NULL)));
	else
		CHECK_IN(path, !json_object_del(o, path));
}

/* Tells one lie in one file of dir, which is as it was afterwards. */
static void tell(const struct lie *t, const char *dir, const struct speaker *by)
{
	struct path file = model_file(dir, by->file);
	json_t *was = json_load_file(file.s, 0, NULL), *doc = json_deep_copy(was);

	CHECK_IN(t->path, was && doc);
	set_member(by->member ? json_object_get(doc, by->member) : doc, t->path, t->value);
	CHECK_IN(t->path, !json_dump_file(doc, file.s, 0));
	expect(t->path, dir, NULL, t->status, t->rule, by->file);
	CHECK_IN(t->path, !json_dump_file(was, file.s, 0));
	json_decref(doc);
	json_decref(was);
}

static void said(void)
{
	const struct lie *t;
	struct path dir = { 0 };
	size_t i, k;

	for (i = 0; i < sizeof lies / sizeof *lies; i++) {
		t = &lies[i];
		if (!i || strcmp(t->name, t[-1].name) != 0)
			dir = foreign(t->name, NULL);
		for (k = 0; k < sizeof speakers / sizeof *speakers; k++)
			if (t->files & speakers[k].bit)
				tell(t, dir.s, &speakers[k]);
	}
}

/* --- what config.json says of the model: judged as that of a checkpoint --- */

/* clang-format off */
static const struct lie models[] = {
	{ NULL, CONFIG, "scoring_func", "\"softmax\"", 1, "config.forward" },
	{ NULL, CONFIG, "hidden_act", "\"gelu\"", 1, "config.forward" },
	{ NULL, CONFIG, "norm_topk_prob", "false", 1, "config.forward" },
	{ NULL, CONFIG, "tie_word_embeddings", "true", 1, "config.tied" },
	{ NULL, CONFIG, "qk_rope_head_dim", "32", 1, "config.forward" },
	{ NULL, CONFIG, "rope_scaling/type", "\"linear\"", 1, "config.forward" },
	{ NULL, CONFIG, "rope_scaling", NULL, 1, "config.forward" },
	{ NULL, CONFIG, "rope_parameters", "{}", 1, "config.dialect" },
	{ NULL, CONFIG, "rope_theta", "5000", 0, "suspect.config" },
	{ NULL, CONFIG, "swiglu_limit", "0", 1, "config.forward" },
	{ NULL, CONFIG, "swiglu_limit", "7", 0, NULL },
};
/* clang-format on */

static void said_of_model(void)
{
	static const char *const name[] = { "w4a16-asym", "nvfp4", "ct-mxfp4" };
	static const struct speaker config = { CONFIG, "config.json", NULL };
	struct path dir;
	size_t i, k;

	for (k = 0; k < sizeof name / sizeof *name; k++) {
		dir = foreign(name[k], NULL);
		for (i = 0; i < sizeof models / sizeof *models; i++)
			tell(&models[i], dir.s, &config);
	}
}

/* Of weights samples are looked at, and with --full all. */
static void full(void)
{
	struct path dir = foreign("ct-mxfp4", NULL), other;
	struct ck_tensor *t;
	struct report r;
	struct ck *c;

	c = ck_load(dir.s);
	t = ck_get(c, "layers.1.attn.wq_b.weight");
	CHECK(t->n > 3 * SCAN_PIECE);
	t->p[SCAN_PIECE + 5] = 0x7f;
	other = ck_write(c, "rare");
	ck_write_index(c, other.s);
	ck_free(c);
	CHECK(ck_doctor(&r, other.s, NULL, NULL, false) == 0);
	report_free(&r);
	CHECK(ck_doctor(&r, other.s, NULL, NULL, true) == 1 &&
		verify_find(&r, "data.fp8-nan", NULL));
	report_free(&r);
}

/* What doctor was asked to write and does not is said. */
static void not_written(void)
{
	struct path dir = made("bf16", NULL), fix = dirs_path("fix.json");
	struct doctor_opts o = { .io = io_posix(),
		.fix_config = fix.s,
		.fix_index = fix.s,
		.threads = 1,
		.features = cpu_features() };
	struct err e = { 0 };
	struct report r;
	size_t i, n = 0;

	report_begin(&r, "test 0", "doctor", dir.s, NULL);
	CHECK(!doctor_run(&r, dir.s, &o, &e) && !is_file(fix.s));
	for (i = 0; i < r.n_rows; i++)
		n += !strcmp(r.rows[i].name, "not written");
	CHECK(n == 2);
	report_free(&r);
}

/* What is wrong with index and shards is found before the number format is looked at, and is said. */
static void indexes(void)
{
	struct path dir = foreign("nvfp4", NULL);
	struct report r;

	verify_exchange(model_file(dir.s, CKPT_INDEX).s, "model-00002-of", "model-00003-of");
	CHECK(ck_doctor(&r, dir.s, NULL, NULL, false) == 1);
	CHECK(verify_find(&r, "index.wrong-shard", NULL));
	report_free(&r);
	dir = made("nvfp4", NULL);
	verify_exchange(model_file(dir.s, "config.json").s, "{", "{,");
	CHECK(ck_doctor(&r, dir.s, NULL, NULL, false) != 0);
	CHECK(verify_find(&r, "config.syntax", NULL));
	report_free(&r);
}

static const struct test tests[] = {
	{ "formed_indexes", indexes },
	{ "formed_ours", ours },
	{ "formed_full", full },
	{ "formed_not_written", not_written },
	{ "formed_published", published },
	{ "formed_said", said },
	{ "formed_said_of_model", said_of_model },
	{ "formed_unread", unread },
	{ "formed_lost_zero_points", lost_zero_points },
	{ NULL, NULL },
};
TEST_MAIN(tests)
