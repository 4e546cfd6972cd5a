/* test_sglang.c -- --target sglang-presharded: there and back, what the launch has that is not made, folders that are not as
 * they were made. That SGLang's own reader takes them is tests/oracle/sglang.sh.
 *
 * tests/vectors/sglang_*.json are launches as tests/oracle/sglang/launch.py derives them from SGLang 0.5.23's source.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/sglang_name.h"
#include "tests/set.h"
#include "tests/shell.h"
#include "tests/verify.h"

#define RANK1 "model-rank-1-part-0.safetensors"

static struct path small, base;

static void make(const char *config, const char *out, unsigned seed)
{
	char args[700];

	snprintf(args, sizeof args, "%s --config tests/configs/%s.json --seed %u", out, config,
		seed);
	if (model_tool("mkmodel", args))
		exit(2);
}

/* Two models, made once. */
static void models(void)
{
	if (small.s[0])
		return;
	small = dirs_path("small");
	base = dirs_path("base");
	make("small4", small.s, 3);
	make("small-base", base.s, 4);
}

/* The verb finds nothing (word NULL), or says word and ends with 1. */
static bool verify(const char *verb, const char *a, const char *b, const char *word)
{
	return ends(word ? 1 : 0, word, "dsv4-verify", "%s %s %s", verb, a, b);
}

static struct job_opts opts(const char *launch)
{
	struct job_opts o = set_opts(SGLANG_TARGET, 1, false);

	o.shard_config = launch;
	return o;
}

static void there_and_back(void)
{
	static const char f1[] = "tests/vectors/sglang_small4-1-ep.json",
			  f2[] = "tests/vectors/sglang_small4-2-ep.json",
			  f3[] = "tests/vectors/sglang_small4-2-tp.json",
			  f4[] = "tests/vectors/sglang_small-base-2-tp.json";
	struct path out = dirs_path("out"), back = dirs_path("back");
	struct job_opts o, b = set_back();
	size_t i;

	models();
	for (i = 0; i < 4; i++) {
		const char *from = i < 3 ? small.s : base.s;
		const char *launch = i == 0 ? f1 : i == 1 ? f2 : i == 2 ? f3 : f4;

		dirs_remove(out.s);
		dirs_remove(back.s);
		o = opts(launch);
		CHECK_IN(launch, set_makes(from, out.s, &o));
		CHECK_IN(launch, set_makes(from, out.s, &o)); /* once more: all is kept */
		CHECK_IN(launch, verify("check", out.s, "", NULL));
		CHECK_IN(launch, verify("compare", from, out.s, NULL));
		CHECK_IN(launch, verify("doctor", out.s, "", NULL));
		CHECK_IN(launch, verify("doctor", out.s, "--for sglang", NULL));
		CHECK_IN(launch, verify("doctor", out.s, "--for vllm", "engine.form"));
		CHECK_IN(launch, verify("logits -t 1,2,3", from, out.s, NULL));
		CHECK_IN(launch, set_makes(out.s, back.s, &b));
		CHECK_IN(launch, set_holds(back.s, from));
	}
}

/* Without the way back nothing is kept beside. */
static void without_kept(void)
{
	struct path out = dirs_path("out");
	struct job_opts o = opts("tests/vectors/sglang_small4-2-tp.json");

	models();
	dirs_remove(out.s);
	o.plan.back = false;
	CHECK(set_makes(small.s, out.s, &o));
	CHECK(!is_file(model_file(out.s, SGLANG_KEPT).s));
	CHECK(verify("check", out.s, "", NULL));
	CHECK(verify("compare", small.s, out.s, NULL));
}

/* --- launches that are not written for --- */

/* The file of one launch, in which the first from has become to; it lies at the same place each time. */
static const char *edited(const char *from, const char *to)
{
	static struct path p;
	size_t n;
	uint8_t *b = file_get_all("tests/vectors/sglang_small4-2-tp.json", &n);

	p = dirs_path("launch.json");
	file_put_all(p.s, b, n);
	free(b);
	verify_exchange(p.s, from, to);
	return p.s;
}

static void refusals(void)
{
	static const struct {
		const char *from, *to, *rule, *word;
	} row[] = {
		{ "dsv4-sglang-1", "dsv4-sglang-2", "plan.shard-config", "sglang_probe.py" },
		{ "{", "[", "plan.shard-config", "line" },
		{ "\"sglang\": \"0.5.23\"", "\"sglang\": \"0.5.99\"", "plan.shard-config",
			"sglang 0.5.99, and parameters are written as 0.5.23" },
		{ "\"device\": \"sm90\"", "\"device\": \"sm100\"", "plan.shard-config",
			"device sm100, and parameters are written as sm90" },
		{ "\"marlin-mxfp4\"", "\"trtllm-mxfp4\"", "plan.engine-form",
			"the launch of --shard-config has them as trtllm-mxfp4" },
		{ "\"pp\": 1", "\"pp\": 2", "plan.shard-config", "pp 2, only 1" },
		{ "\"enable_eplb\": false", "\"enable_eplb\": true", "plan.shard-config",
			"enable_eplb true" },
		{ "\"dp\": 1,", "", "plan.shard-config", "dp not at all" },
		{ "\"ep\": 1", "\"ep\": 4", "plan.shard-config", "neither 1 nor tp" },
		{ "\"tp\": 2", "\"tp\": 0", "plan.shard-config", "no tp or ep" },
		{ "\"quantization\": \"fp8\"", "\"quantization\": null", "plan.shard-config",
			"follows from shard_config" },
		{ "\"model.norm.weight\"", "\"model.norm.weights\"", "plan.shard-config",
			"no parameter model.norm.weight" },
		{ "\"parameters\": {", "\"parameters\": {\"model.x\": {}, ", "plan.shard-config",
			"parameter model.x, which nothing" },
		{ "\"model.hc_head_fn\": {\"dtype\": \"torch.float32\"",
			"\"model.hc_head_fn\": {\"dtype\": \"torch.bfloat16\"", "plan.shard-config",
			"parameter model.hc_head_fn is torch.bfloat16" },
		{ "\"model.hc_head_fn\": {\"dtype\": \"torch.float32\", \"shape\": [4, 1024]",
			"\"model.hc_head_fn\": {\"dtype\": \"torch.float32\", \"shape\": [4, 1025]",
			"plan.shard-config", "[4, 1025] there, torch.float32 [4, 1024]" },
	};
	struct path out = dirs_path("never");
	struct job_opts o;
	size_t i;

	models();
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		o = opts(edited(row[i].from, row[i].to));
		CHECK_IN(row[i].to, set_refuses(small.s, out.s, &o, row[i].rule, row[i].word));
		CHECK_IN(row[i].to, !is_file(out.s));
	}
	/* Of another model. */
	o = opts("tests/vectors/sglang_tiny-flash-1-ep.json");
	CHECK(set_refuses(small.s, out.s, &o, "plan.shard-config", "parameter"));
	o = opts("tests/vectors/sglang_small4-2-tp.json");
	CHECK(set_refuses(base.s, out.s, &o, "plan.engine-form", "experts are"));
}

static void wrong_calls(void)
{
	static const char *const row[][2] = {
		{ "-t sglang-presharded", "wants --shard-config" },
		{ "-t sglang-presharded --ranks 2 --shard-config x", "says it" },
		{ "-t sglang-presharded --experts-by tp --shard-config x", "says it" },
		{ "-t vllm-sharded --shard-config x", "--shard-config belongs to" },
		{ "-t sglang-presharded --shard-config /nowhere/at/all", "nowhere" },
	};
	char args[800];
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		snprintf(args, sizeof args, "plan " PRO " -o %s %s", dirs_path("never").s,
			row[i][0]);
		CHECK_IN(row[i][0], shell("dsv4-convert", args) == 2);
		CHECK_IN(row[i][0], holds(err_file.s, row[i][1]));
	}
}

/* --- what is not as it was made --- */

/* Where in the file a tensor lies, by its sidecar. */
static size_t place(const char *dir, const char *file, const char *name)
{
	char side[300];
	json_t *doc, *t;
	size_t at = 0, i;

	snprintf(side, sizeof side, "%s" MAN_SIDECAR, file);
	doc = load(dir, side);
	json_array_foreach(json_object_get(doc, "tensors"), i,
		t) if (!strcmp(json_string_value(json_object_get(t, "name")), name)) at =
		(size_t)(json_integer_value(json_object_get(json_object_get(doc, "file"),
				 "header_bytes")) +
			json_integer_value(json_array_get(json_object_get(t, "offsets"), 0)));
	json_decref(doc);
	CHECK_IN(name, at > 0);
	return at;
}

/* One byte of each form: check, compare and logits say so, those too that are kept beside as they were. */
static void bytes(void)
{
	static const char *const row[] = { "model.layers.1.self_attn.wo_a.weight",
		"model.layers.1.self_attn.wqkv_a.weight_scale_inv",
		"model.layers.1.self_attn.compressor.ape",
		"model.layers.1.self_attn.compressor.norm.weight",
		"model.layers.1.self_attn.wqkv_a.weight", "model.layers.1.mlp.experts.w13_weight" };
	struct path good = dirs_path("good"), bad;
	struct job_opts o = opts("tests/vectors/sglang_small4-2-tp.json");
	uint8_t *p;
	size_t n, i;

	models();
	dirs_remove(good.s);
	CHECK(set_makes(small.s, good.s, &o));
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		bad = dirs_copy("bad", good.s);
		p = file_get_all(model_file(bad.s, RANK1).s, &n);
		p[place(bad.s, RANK1, row[i])] ^= 4;
		model_put(bad.s, RANK1, p, n);
		free(p);
		CHECK_IN(row[i], verify("check", bad.s, "", "check.chunk"));
		CHECK_IN(row[i], verify("compare", small.s, bad.s, row[i]));
		CHECK_IN(row[i],
			verify("logits -t 1,2", small.s, bad.s,
				i == 4 ? "rank.copies" : "compare."));
	}
}

/* The small files that SGLang reads, and files that are gone or cut. */
static void files(void)
{
	struct path good = dirs_path("good"), bad;
	struct job_opts o = opts("tests/vectors/sglang_small4-2-tp.json");
	struct path back = dirs_path("back");
	struct job_opts b = set_back();

	models();
	dirs_remove(good.s);
	CHECK(set_makes(small.s, good.s, &o));
	bad = dirs_copy("bad", good.s);
	verify_exchange(model_file(bad.s, SGLANG_CHECKSUM).s, "\"stored_key\": \"model.norm",
		"\"stored_key\": \"model.morn");
	CHECK(verify("check", bad.s, "", "check.sha256"));
	CHECK(verify("compare", small.s, bad.s, "compare.file"));
	bad = dirs_copy("bad", good.s);
	CHECK(!unlink(model_file(bad.s, SGLANG_READY).s));
	CHECK(verify("check", bad.s, "", "check.missing"));
	CHECK(verify("doctor", bad.s, "", "check.missing"));
	bad = dirs_copy("bad", good.s);
	CHECK(!truncate(model_file(bad.s, RANK1).s, 4096 * 100));
	CHECK(verify("check", bad.s, "", "set.size"));
	bad = dirs_copy("bad", good.s);
	CHECK(!unlink(model_file(bad.s, SGLANG_KEPT).s));
	CHECK(verify("check", bad.s, "", "check.missing"));
	dirs_remove(back.s);
	CHECK(set_refuses(bad.s, back.s, &b, "check.missing", SGLANG_KEPT));
}

/* Sidecars that say something else, sealed. */
static void documents(void)
{
	static const struct {
		const char *file, *from, *to, *word;
	} row[] = {
		{ RANK1, "\"transform\": \"dequantize\"", "\"transform\": \"join\"",
			"its transform is not the one" },
		{ RANK1, "\"transform\": \"join-f32\"", "\"transform\": \"join\"",
			"its transform is not the one" },
		{ RANK1, "\"transform\": \"halves\"", "\"transform\": \"copy\"",
			"its transform is not the one" },
		{ RANK1, ".attn.wo_a.scale\"", ".attn.wo_b.scale\"",
			"its second source is not its scales" },
		{ SGLANG_KEPT, "\"transform\": \"copy\"", "\"transform\": \"rows\"",
			"no copy of a tensor" },
	};
	struct path good = dirs_path("good"), bad;
	struct job_opts o = opts("tests/vectors/sglang_small4-2-tp.json");
	size_t i;

	models();
	dirs_remove(good.s);
	CHECK(set_makes(small.s, good.s, &o));
	for (i = 0; i < sizeof row / sizeof *row; i++) {
		bad = dirs_copy("bad", good.s);
		verify_edit(bad.s, row[i].file, row[i].from, row[i].to);
		CHECK_IN(row[i].from, verify("compare", small.s, bad.s, row[i].word));
	}
}

static const struct test tests[] = { { "there_and_back", there_and_back },
	{ "without_kept", without_kept }, { "refusals", refusals }, { "wrong_calls", wrong_calls },
	{ "bytes", bytes }, { "files", files }, { "documents", documents }, { 0 } };

int main(int argc, char **argv)
{
	return check_main(tests, argc, argv);
}
