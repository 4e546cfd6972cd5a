/* test_vision.c -- V4-Flash-Vision-Exp: every verb on a small one with all of its tensors, what is refused since nothing
 * public says how it would be, and damage and mixtures, each of which is named.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/ck.h"
#include "tests/shell.h"

static const char *model(const char *name)
{
	static struct path p;
	char args[900];

	p = dirs_path(name);
	snprintf(args, sizeof args, "%s --config tests/configs/small-%s.json --seed 5", p.s, name);
	if (!is_file(p.s))
		CHECK_IN(name, !model_tool("mkmodel", args));
	return p.s;
}

/* Makes the model again from out and holds it to the source, byte for byte. */
static void comes_back(const char *tool, const char *out)
{
	struct path back = dirs_path("back");

	dirs_remove(back.s);
	CHECK_IN(out, ends(0, NULL, tool, "restore %s -o %s -q", out, back.s));
	CHECK_IN(out, ends(0, "diff: true", "dsv4-verify", "diff %s %s", model("vision"), back.s));
}

static void carried(void)
{
	static const struct {
		const char *tool, *options;
	} row[] = { { "dsv4-convert", "--target hf" },
		{ "dsv4-convert", "--target hf --experts fp8" },
		{ "dsv4-convert", "--target marlin-mxfp4 --ranks 2" },
		{ "dsv4-convert", "--target trtllm-mxfp4 --ranks 2 --pp 2" },
		{ "dsv4-quant", "--to bf16" }, { "dsv4-quant", "--to ct-mxfp8" },
		{ "dsv4-quant", "--to mxfp8" }, { "dsv4-quant", "--to nvfp4 --input-scale 0.5" } };
	const char *m = model("vision");
	struct path out = dirs_path("out");
	size_t i;

	CHECK(ends(0, "671 tensors", "dsv4-convert", "inspect %s", m));
	CHECK(ends(0, "doctor: true", "dsv4-verify", "doctor %s", m));
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		dirs_remove(out.s);
		CHECK_IN(row[i].options,
			ends(0, NULL, row[i].tool, "run %s -o %s %s -q", m, out.s, row[i].options));
		CHECK_IN(row[i].options, ends(0, "check: true", "dsv4-verify", "check %s", out.s));
		CHECK_IN(row[i].options,
			ends(0, "compare: true", "dsv4-verify", "compare %s %s", m, out.s));
		CHECK_IN(row[i].options,
			ends(0, "logits: true", "dsv4-verify", "logits %s %s --tokens 1,2,3", m,
				out.s));
		CHECK_IN(row[i].options, ends(0, NULL, "dsv4-verify", "doctor %s", out.s));
		comes_back(row[i].tool, out.s);
	}
	dirs_remove(out.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s --to mxfp8 -q", m, out.s));
	CHECK(holds(model_file(out.s, "config.json").s, "\"vision.*\""));
	dirs_remove(out.s);
	CHECK(ends(0, NULL, "dsv4-convert", "slice %s -o %s --layers 0-1 --experts 6 -q", m,
		out.s));
	CHECK(ends(0, "doctor: true", "dsv4-verify", "doctor %s", out.s));
}

static void refused(void)
{
	const char *m = model("vision"), *out = dirs_path("none").s;

	CHECK(ends(2, "family.gap", "dsv4-convert", "run %s -o %s --target official", m, out));
	CHECK(ends(2, "family.gap", "dsv4-convert", "plan %s -o %s --target official", m, out));
	CHECK(ends(2, "family.gap", "dsv4-convert", "run %s -o %s --target vllm-sharded", m, out));
	CHECK(ends(2, "family.gap", "dsv4-convert",
		"run %s -o %s --target sglang-presharded --shard-config tests/vectors/sglang_small4-1-ep.json",
		m, out));
	CHECK(ends(2, "family.gap", "dsv4-quant", "run %s -o %s --to gguf", m, out));
	CHECK(!is_file(out));
}

static void gone(struct ck *c, const char *from)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, from, NULL));)
		t->gone = true;
}

static void no_tower(struct ck *c)
{
	gone(c, "vision.");
	gone(c, "aligner.");
	gone(c, "image_");
	gone(c, ".gate.bias_vl");
}

static void no_bias(struct ck *c)
{
	gone(c, "layers.1.ffn.gate.bias_vl");
}

static void other_patch(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, "vision.patch_embed.proj.weight");

	ck_retype(t, "BF16", t->dim[0], t->dim[1] / 2, t->n / 2);
}

static void other_type(struct ck *c)
{
	struct ck_tensor *t = ck_get(c, "vision.blocks.1.norm1.weight");

	ck_retype(t, "F32", t->dim[0], 0, 2 * t->n);
}

static void third_block(struct ck *c)
{
	ck_config(c, "vision_n_layers", "3");
}

static void text_config(struct ck *c)
{
	ck_config(c, "vision_n_layers", NULL);
}

static void no_width(struct ck *c)
{
	ck_config(c, "vision_inter_dim", NULL);
}

static void fewer_ratios(struct ck *c)
{
	ck_config(c, "compress_ratios", "[0, 4, 128, 0, 0]");
}

static void stage_ratio(struct ck *c)
{
	ck_config(c, "compress_ratios", "[0, 4, 128, 0, 0, 128]");
}

static void no_heads(struct ck *c)
{
	ck_config(c, "vision_n_heads", "0");
}

static void odd_heads(struct ck *c)
{
	ck_config(c, "vision_n_heads", "3");
}

static void far_target(struct ck *c)
{
	ck_config(c, "dspark_target_layer_ids", "[0, 1, 9]");
}

static void same_target(struct ck *c)
{
	ck_config(c, "dspark_target_layer_ids", "[0, 1, 1]");
}

static void far_noise(struct ck *c)
{
	ck_config(c, "dspark_noise_token_id", "512");
}

static void no_noise(struct ck *c)
{
	ck_config(c, "dspark_noise_token_id", NULL);
}

static void no_block(struct ck *c)
{
	ck_config(c, "dspark_block_size", "0");
}

static void many_stages(struct ck *c)
{
	ck_config(c, "num_nextn_predict_layers", "40");
}

/* Fields of config.json that are out of range, or say another number of stages than the tensors. */
static void out_of_range(void)
{
	static const struct {
		const char *name;
		void (*change)(struct ck *c);
		const char *rule, *says;
		bool vision_only;
	} row[] = {
		{ "fewer ratios", fewer_ratios, "config.", "compress_ratios", false },
		{ "ratio of a stage", stage_ratio, "config.ratios", "entry 5", false },
		{ "heads", no_heads, "config.field-range", "vision_n_heads", true },
		{ "odd heads", odd_heads, "config.field-range", "vision_n_heads", true },
		{ "target", far_target, "config.field-range", "entry 2", false },
		{ "target twice", same_target, "config.field-range", "twice", false },
		{ "noise", far_noise, "config.field-range", "dspark_noise_token_id", false },
		{ "no noise", no_noise, "config.field-missing", "dspark_noise_token_id", false },
		{ "block", no_block, "config.field-range", "dspark_block_size", false },
		{ "stages", many_stages, "config.stages", "num_nextn_predict_layers", false },
	};
	static const char *const bases[] = { "vision", "spark" };
	struct path p;
	size_t i, k;

	for (i = 0; i < sizeof row / sizeof *row; i++)
		for (k = 0; k < (row[i].vision_only ? 1u : 2u); k++) {
			p = ck_changed(model(bases[k]), row[i].change, "damaged");
			CHECK_IN(row[i].name,
				ends(1, row[i].rule, "dsv4-verify", "doctor %s", p.s));
			CHECK_IN(row[i].name, holds(out_file.s, row[i].says));
			CHECK_IN(row[i].name, !holds(out_file.s, "kind.vision"));
			CHECK_IN(row[i].name,
				ends(1, NULL, "dsv4-verify", "doctor %s --for vllm", p.s));
			CHECK_IN(row[i].name,
				ends(1, NULL, "dsv4-convert", "run %s -o %s --target hf", p.s,
					dirs_path("none").s));
		}
}

static void damaged(void)
{
	static const struct {
		const char *name;
		void (*change)(struct ck *c);
		const char *rule, *says;
		int status;
	} row[] = {
		{ "no tower", no_tower, "model.missing", "text alone", 1 },
		{ "no bias", no_bias, "model.missing", "layers.1.ffn.gate.bias_vl", 1 },
		{ "patch", other_patch, "model.shape", "patch_embed", 1 },
		{ "type", other_type, "model.dtype", "norm1", 1 },
		{ "blocks", third_block, "model.missing", "vision.blocks.2", 1 },
		{ "text config", text_config, "kind.vision", "does not", 2 },
		{ "half a config", no_width, "kind.vision", "vision_inter_dim", 2 },
	};
	struct path p;
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		p = ck_changed(model("vision"), row[i].change, "damaged");
		CHECK_IN(row[i].name,
			ends(row[i].status, row[i].rule, "dsv4-verify", "doctor %s", p.s));
		CHECK_IN(row[i].name,
			holds(out_file.s, row[i].says) || holds(err_file.s, row[i].says));
		CHECK_IN(row[i].name, !holds(out_file.s, "remove") && !holds(err_file.s, "remove"));
		CHECK_IN(row[i].name,
			ends(row[i].status, row[i].rule, "dsv4-convert", "run %s -o %s --target hf",
				p.s, dirs_path("none").s));
	}
}

static void no_tower_no_layer(struct ck *c)
{
	no_tower(c);
	gone(c, "layers.1.");
}

/* The biases of a layer that is missing are not there either: no router has one, and nothing says that some have. */
static void layer_and_tower(void)
{
	struct path p = ck_changed(model("vision"), no_tower_no_layer, "damaged");

	CHECK(ends(1, "layer 1 is not there", "dsv4-verify", "doctor %s", p.s));
	CHECK(holds(out_file.s, "tensors: a shard is of a member that does not see images"));
	CHECK(!holds(out_file.s, "routers have bias_vl"));
}

static const struct test tests[] = { { "vision: carried", carried }, { "vision: refused", refused },
	{ "vision: damaged", damaged }, { "vision: a layer and the tower", layer_and_tower },
	{ "vision: out of range", out_of_range }, { NULL, NULL } };
TEST_MAIN(tests)
