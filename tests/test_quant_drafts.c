/* test_quant_drafts.c -- what dsv4-quant does with drafts: left out, or as they are in the source; what is refused, and
 * what check, compare, doctor, logits and restore say of each.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/recipes.h"
#include "tests/ck.h"
#include "tests/fuzz/chain.h"
#include "tests/shell.h"
#include "tests/verify.h"

#include <stdarg.h>

#define SPARK "tests/configs/small-spark.json"

static struct path out, back;

static void fresh(void)
{
	out = dirs_path("out");
	back = dirs_path("back");
	dirs_remove(out.s);
	dirs_remove(back.s);
}

/* A model with a DSpark drafter. */
static const char *spark(void)
{
	static struct path p;
	char args[900];

	p = dirs_path("spark");
	snprintf(args, sizeof args, "%s --config " SPARK " --seed 5", p.s);
	if (!is_file(p.s))
		CHECK(!model_tool("mkmodel", args));
	return p.s;
}

static const char *needs(const struct recipe *r)
{
	return r->input ? "--input-scale 0.03125" : "";
}

static bool makes(const struct recipe *r, const char *from, const char *drafts)
{
	fresh();
	return ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to %s --drafts %s %s", from, out.s,
		r->name, drafts, needs(r));
}

/* config.json and index of out are those of a model without drafts. */
static bool has_none(void)
{
	json_t *o = load(out.s, "config.json"), *i = load(out.s, CKPT_INDEX), *x;
	const char *key;
	bool ok = json_integer_value(json_object_get(o, "num_nextn_predict_layers")) == 0 &&
		json_array_size(json_object_get(o, "compress_ratios")) ==
			(size_t)json_integer_value(json_object_get(o, "num_hidden_layers"));

	json_object_foreach(o, key, x) ok = ok && strncmp(key, "dspark_", 7) != 0;
	json_object_foreach(json_object_get(i, "weight_map"), key, x) ok =
		ok && strncmp(key, "mtp.", 4) != 0;
	json_decref(o);
	json_decref(i);
	return ok && !holds(model_file(out.s, "config.json").s, "mtp.");
}

/* A record of it, and one of its source, which has the drafts, are replayed. */
static void computed_of(const struct recipe *r, const char *from)
{
	struct path mine = dirs_path("mine.rec"), its = dirs_path("its.rec");

	unlink(mine.s);
	unlink(its.s);
	CHECK_IN(r->name,
		ends(0, NULL, "dsv4-verify", "record -q %s -o %s --tokens 5,17,99,3", out.s,
			mine.s));
	CHECK_IN(r->name, ends(0, NULL, "dsv4-verify", "replay -q %s %s", out.s, mine.s));
	CHECK_IN(r->name,
		ends(0, NULL, "dsv4-verify", "record -q %s -o %s --tokens 5,17,99,3", from, its.s));
	CHECK_IN(r->name, ends(0, NULL, "dsv4-verify", "replay -q %s %s", out.s, its.s));
}

static void dropped_of(const struct recipe *r, const char *from)
{
	struct path on = dirs_path("on");

	CHECK_IN(r->name, makes(r, from, "drop") && has_none());
	CHECK_IN(r->name, ends(0, NULL, "dsv4-verify", "check -q %s", out.s));
	CHECK_IN(r->name,
		ends(0, "left out, as the target does", "dsv4-verify", "compare %s %s", from,
			out.s));
	CHECK_IN(r->name, ends(0, NULL, "dsv4-verify", "doctor %s", out.s));
	CHECK_IN(r->name,
		ends(0, NULL, "dsv4-verify", "logits -q %s %s --tokens 5,17,99,3", from, out.s));
	computed_of(r, from);
	CHECK_IN(r->name,
		ends(2, "plan.drafts", "dsv4-quant", "restore -q %s -o %s", out.s, back.s) &&
			!is_file(back.s));
	CHECK_IN(r->name,
		ends(0, NULL, "dsv4-quant",
			"restore -q %s -o %s --shard model-00002-of-0000%d.safetensors", out.s,
			back.s, from == spark() ? 8 : 7));
	CHECK_IN(r->name,
		same_files(model_file(back.s,
				   from == spark() ? "model-00002-of-00008.safetensors"
						   : "model-00002-of-00007.safetensors")
				   .s,
			model_file(from,
				from == spark() ? "model-00002-of-00008.safetensors"
						: "model-00002-of-00007.safetensors")
				.s));
	/* On to another name without them, as from the source; with them it is not to be had. */
	dirs_remove(back.s);
	dirs_remove(on.s);
	CHECK_IN(r->name,
		ends(2, "made without drafts", "dsv4-quant", "run -q %s -o %s --to bf16", out.s,
			on.s) &&
			!is_file(on.s));
	CHECK_IN(r->name,
		ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to bf16 --drafts drop", out.s,
			on.s));
	CHECK_IN(r->name,
		ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to bf16 --drafts drop", from,
			back.s));
	CHECK_IN(r->name, set_same(on.s, back.s));
}

static void dropped(void)
{
	const struct recipe *r;

	for (r = recipes; r->name; r++) {
		if (r->container == CONTAINER_GGUF || r->rounds ||
			r->need == NEED_MLX_NAMES) /* test_rounds; of V4.1 */
			continue;
		dropped_of(r, FLASH);
		if (r->input || r->native)
			dropped_of(r, spark());
	}
}

/* A GGUF of the model alone. */
static void dropped_gguf(void)
{
	const struct recipe *r = recipe_find("gguf");
	const char *const from[2] = { FLASH, spark() };
	unsigned i;

	for (i = 0; i < 2; i++) {
		CHECK(makes(r, from[i], "drop"));
		CHECK(is_file(model_file(out.s, "model.gguf").s) &&
			!is_file(model_file(out.s, "mtp-model.gguf").s) &&
			!is_file(model_file(out.s, "dspark-model.gguf").s));
		CHECK(ends(0, NULL, "dsv4-verify", "check -q %s", out.s));
		CHECK(ends(0, NULL, "dsv4-verify", "compare -q %s %s", from[i], out.s));
	}
}

/* config.json of V4.1 at the top, in the spelling of inference/config.json. */
static void flat(struct ck *c)
{
	static const char *const names[][2] = { { "num_nextn_predict_layers", "n_mtp_layers" },
		{ "dspark_target_layer_ids", "dspark_target_layers" },
		{ "num_hidden_layers", "n_layers" } };
	json_t *t = json_incref(json_object_get(c->config, "text_config"));
	size_t i;

	c->new_config = true;
	json_object_del(c->config, "text_config");
	json_object_del(t, "model_type");
	for (i = 0; i < sizeof names / sizeof *names; i++) {
		json_object_set(t, names[i][1], json_object_get(t, names[i][0]));
		json_object_del(t, names[i][0]);
	}
	json_object_update(c->config, t);
	json_decref(t);
}

/* config.json of V4 with the same fields under text_config, which are held to those at the top. */
static void twice(struct ck *c)
{
	json_t *t = json_deep_copy(c->config);

	c->new_config = true;
	json_object_set_new(c->config, "text_config", t);
}

static void no_text(struct ck *c)
{
	ck_config(c, "text_config", "null");
}

/* Wherever and in whatever spelling config.json says how many drafts there are. */
static void dropped_wherever(void)
{
	static const struct {
		const char *config;
		void (*change)(struct ck *c);
		const char *to;
	} row[] = { { "small-v41", NULL, "fp8" }, { "small-v41", NULL, "bf16" },
		{ "small-v41", NULL, "mxfp8" }, { "small-v41", NULL, "nvfp4 --input-scale 0.5" },
		{ "small-v41", NULL, "mlx-packed" }, { "small-v41", flat, "fp8" },
		{ "small-v41", flat, "mlx-packed" }, { "small-spark", twice, "fp8" },
		{ "small-spark", no_text, "fp8" } };
	struct path p;
	char args[900];
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		p = dirs_path(row[i].config);
		snprintf(args, sizeof args, "%s --config tests/configs/%s.json --seed 5", p.s,
			row[i].config);
		if (!is_file(p.s))
			CHECK(!model_tool("mkmodel", args));
		if (row[i].change)
			p = ck_changed(p.s, row[i].change, "changed");
		fresh();
		CHECK_IN(row[i].to,
			ends(0, NULL, "dsv4-quant", "run -q %s -o %s --drafts drop --to %s", p.s,
				out.s, row[i].to));
		CHECK_IN(row[i].to, !holds(model_file(out.s, "config.json").s, "dspark_"));
		CHECK_IN(row[i].to, ends(0, NULL, "dsv4-verify", "check -q %s", out.s));
		CHECK_IN(row[i].to, ends(0, NULL, "dsv4-verify", "compare -q %s %s", p.s, out.s));
		CHECK_IN(row[i].to, ends(0, "doctor: true", "dsv4-verify", "doctor %s", out.s));
	}
}

static const struct {
	const char *name, *engine;
	int status;
	const char *rule;
} doctors[] = {
	{ "nvfp4", NULL, 0, "form.drafts" },
	{ "nvfp4", "sglang", 0, "form.drafts" },
	{ "nvfp4", "tensorrt-llm", 0, "form.drafts" },
	{ "nvfp4", "vllm", 1, "engine.drafts" },
	{ "ct-mxfp4", "vllm", 1, "engine.drafts" },
	{ "ct-nvfp4a16", "vllm", 1, "engine.drafts" },
	{ "ct-mxfp8", NULL, 0, "form.drafts" },
	{ "mxfp8", "vllm", 1, "engine.drafts" },
	{ "bf16", NULL, 0, "form.drafts" },
	{ "bf16", "transformers", 0, "form.drafts" },
};

static void kept_of(const struct recipe *r, const char *from)
{
	size_t i;

	CHECK_IN(r->name, makes(r, from, "keep"));
	CHECK_IN(r->name, ends(0, NULL, "dsv4-verify", "check -q %s", out.s));
	CHECK_IN(r->name, ends(0, NULL, "dsv4-verify", "compare -q %s %s", from, out.s));
	CHECK_IN(r->name,
		ends(0, NULL, "dsv4-verify", "logits -q %s %s --tokens 5,17,99,3", from, out.s));
	CHECK_IN(r->name,
		ends(0, NULL, "dsv4-quant", "restore -q %s -o %s", out.s, back.s) &&
			set_holds(back.s, from));
	for (i = 0; i < sizeof doctors / sizeof *doctors; i++)
		if (!strcmp(doctors[i].name, r->name))
			CHECK_IN(r->name,
				ends(doctors[i].status, doctors[i].rule, "dsv4-verify",
					"doctor %s %s %s", out.s, doctors[i].engine ? "--for" : "",
					doctors[i].engine ? doctors[i].engine : ""));
}

static void kept(void)
{
	const struct recipe *r;

	for (r = recipes; r->name; r++) {
		if (r->native || r->container == CONTAINER_GGUF || r->rounds ||
			r->need == NEED_MLX_NAMES)
			continue;
		kept_of(r, FLASH);
		if (r->input)
			kept_of(r, spark());
	}
	/* Where the config can say it, it does; where nothing changes, keep is the same. */
	CHECK(makes(recipe_find("nvfp4"), FLASH, "keep"));
	CHECK(holds(model_file(out.s, "config.json").s, "\"mtp.*\"") &&
		!holds(model_file(out.s, "config.json").s, "\"mtp.0.ffn.experts\"") &&
		holds(model_file(out.s, "hf_quant_config.json").s, "\"mtp.*\""));
	CHECK(makes(recipe_find("mlx"), FLASH, "keep"));
	CHECK(ends(0, NULL, "dsv4-quant", "restore -q %s -o %s", out.s, back.s) &&
		set_holds(back.s, FLASH));
}

/* FLASH without tensors under mtp.; all of them, or but one. */
static struct path without(bool one)
{
	struct ck *c = ck_load(FLASH);
	struct ck_tensor *t;
	struct path p;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, one ? "mtp.0.hnorm" : "mtp.", NULL));)
		t->gone = true;
	dirs_remove(dirs_path("without").s);
	p = ck_write(c, "without");
	if (!one) /* nothing is left in it */
		unlink(model_file(p.s, "model-00007-of-00007.safetensors").s);
	ck_free(c);
	return p;
}

static void refused(void)
{
	struct job_opts o = set_opts("fp8", 1, false);
	struct path from;

	fresh();
	o.plan.share = (struct share){ 0 };
	o.plan.experimental = false;
	o.plan.drafts = DRAFTS_KEEP;
	CHECK(set_refuses(FLASH, out.s, &o, "plan.drafts", "one word for all experts"));
	CHECK(ends(2, "plan.drafts: --drafts keep: config.json of fp8", "dsv4-quant",
		      "run -q " FLASH " -o %s --to fp8 --drafts keep", out.s) &&
		!is_file(out.s));
	CHECK(ends(2, "plan.drafts: --drafts keep: drafts are GGUF files", "dsv4-quant",
		      "run -q " FLASH " -o %s --to gguf --drafts keep", out.s) &&
		!is_file(out.s));
	CHECK(ends(2, "--layers names drafts", "dsv4-quant",
		      "run -q " FLASH " -o %s --to bf16 --drafts drop --layers 0,mtp", out.s) &&
		!is_file(out.s));
	CHECK(ends(2, "--drafts", "dsv4-quant", "run -q " FLASH " -o %s --to bf16 --drafts none",
		      out.s) &&
		!is_file(out.s));
	/* A checkpoint that counts a draft and has none; it goes without, and back to what it was. */
	from = without(false);
	CHECK(ends(1, "model.draft-missing", "dsv4-quant", "run -q %s -o %s --to bf16", from.s,
		      out.s) &&
		!is_file(out.s));
	CHECK(ends(1, "model.draft-missing", "dsv4-quant",
		      "run -q %s -o %s --to nvfp4 --input-scale 1 --drafts keep", from.s, out.s) &&
		!is_file(out.s));
	CHECK(ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to bf16 --drafts drop", from.s,
		      out.s) &&
		has_none());
	CHECK(ends(0, NULL, "dsv4-verify", "compare -q %s %s", from.s, out.s));
	CHECK(ends(0, NULL, "dsv4-quant", "restore -q %s -o %s", out.s, back.s) &&
		set_holds(back.s, from.s));
	/* One that has a part of it is broken, whatever becomes of that. */
	from = without(true);
	fresh();
	CHECK(ends(1, "model.", "dsv4-quant", "run -q %s -o %s --to bf16 --drafts drop", from.s,
		      out.s) &&
		!is_file(out.s));
}

/* Manifests that say something else of the drafts than what was done with them, under digests that fit. */
static void lies(void)
{
	static const struct {
		const char *done, *said, *rule;
	} rows[] = {
		{ "same", "keep", "compare.shape" },
		{ "same", "drop", "without" },
		{ "keep", "same", "is as in the source, where nvfp4 has nvfp4" },
		{ "keep", "drop", "compare.shape" },
		{ "drop", "same", "compare.lost" },
		{ "drop", "keep", "compare.lost" },
	};
	char was[64], is[64];
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		CHECK(makes(recipe_find("nvfp4"), FLASH, rows[i].done));
		snprintf(was, sizeof was, "\"drafts\": \"%s\"", rows[i].done);
		snprintf(is, sizeof is, "\"drafts\": \"%s\"", rows[i].said);
		verify_exchange(model_file(out.s, MAN_NAME).s, was, is);
		if (strcmp(rows[i].done, "same") != 0)
			verify_exchange(model_file(out.s, "source/" MAN_NAME).s, was, is);
		chain_mend(out.s, 0);
		CHECK_IN(is, ends(1, rows[i].rule, "dsv4-verify", "compare " FLASH " %s", out.s));
	}
	CHECK(makes(recipe_find("nvfp4"), FLASH, "keep"));
	verify_exchange(model_file(out.s, MAN_NAME).s, "\"drafts\": \"keep\"",
		"\"drafts\": \"none\"");
	verify_seal(out.s);
	CHECK(ends(1, "the option drafts is none of same, keep, drop", "dsv4-verify", "check %s",
		out.s));
}

static const struct test tests[] = { { "quant drafts: dropped", dropped },
	{ "quant drafts: dropped from a GGUF", dropped_gguf },
	{ "quant drafts: dropped, wherever config.json has them", dropped_wherever },
	{ "quant drafts: kept", kept }, { "quant drafts: refused", refused },
	{ "quant drafts: lies", lies }, { 0 } };
TEST_MAIN(tests)
