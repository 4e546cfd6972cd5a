/* test_quant_cli.c -- dsv4-quant as a script sees it: every name of its table is made, checked, compared, computed with
 * and taken back, from each kind of source; and calls that it refuses.
 *
 * SPDX-License-Identifier: MIT */
#include "core/file.h"
#include "formats/gguf/gguf_set.h"
#include "formats/json/jmember.h"
#include "formats/model/gguf_name.h"
#include "formats/model/recipes.h"
#include "quant/reform.h"
#include "tests/sanitized.h"
#include "tests/set.h"
#include "tests/shell.h"

#include <stdarg.h>

/* --- calls --- */

/* clang-format off */
static const struct {
	const char *args;
	int status;
	const char *out, *err; /* must be in it; "" means: nothing at all; NULL: anything */
} calls[] = {
	{ "", 2, "", "try: dsv4-quant help" },
	{ "help", 0, "usage: dsv4-quant COMMAND", "" },
	{ "version", 0, "dsv4-quant 0.", "" },
	{ "formats", 0, "fp8 ", "" },
	{ "formats --json", 0, "\"format\": \"dsv4-formats-1\"", "" },
	{ "plan " FLASH " -o /nonexistent/x", 2, "", "--to says what to make" },
	{ "plan " FLASH " --to fp8", 2, "", "-o says where to write" },
	{ "plan " FLASH " -o /nonexistent/x --to fp9", 2, "", "no format fp9. Did you mean fp8? There are: fp8" },
	{ "plan " FLASH " -o /nonexistent/x --to engram-mxfp5", 2, "", "Did you mean engram-mxfp4? There are: fp8" },
	{ "plan " FLASH " -o /nonexistent/x --to hf", 2, "", "no format hf" },
	{ "run " FLASH " -o " FLASH "/x --to fp8", 2, "", "out.nested" },
	{ "run tests -o /nonexistent/x --to fp8", 1, "", "config.missing" },
	{ "plan " FLASH " -o /nonexistent/x --to nvfp4", 2, "", "plan.input-scale: nvfp4 has a scale of the activations" },
	{ "plan " FLASH " -o /nonexistent/x --to nvfp4 --input-scale 0", 2, "", "plan.input-scale: --input-scale 0: no number above zero" },
	{ "plan " FLASH " -o /nonexistent/x --to nvfp4 --input-scale nan", 2, "", "plan.input-scale" },
	{ "plan " FLASH " -o /nonexistent/x --to nvfp4 --input-scale -1", 2, "", "plan.input-scale" },
	{ "plan " FLASH " -o /nonexistent/x --to bf16 --input-scale 1", 2, "", "bf16 has no scales of activations" },
	{ "plan " FLASH " -o /nonexistent/x --to bf16 --signed-zero drop", 2, "", "--signed-zero belongs to NVFP4" },
	{ "plan " FLASH " -o /nonexistent/x --to bf16 --scale-dtype e8m0", 2, "", "the scales of bf16 have one type" },
	{ "plan " FLASH " -o /nonexistent/x --to gguf --lossy", 2, "", "a GGUF has values that are rounded with a recipe or --dense q8_0 alone" },
	{ "plan " FLASH " -o /nonexistent/x --to bf16", 0, "experts bf16", "" },
	{ "restore " FLASH " -o /nonexistent/x", 2, "", "kind.download" },
};
/* clang-format on */

static void all_calls(void)
{
	size_t i;

	for (i = 0; i < sizeof calls / sizeof *calls; i++) {
		CHECK_IN(calls[i].args,
			ends(calls[i].status, NULL, "dsv4-quant", "%s", calls[i].args));
		CHECK_IN(calls[i].args, !calls[i].out || holds(out_file.s, calls[i].out));
		CHECK_IN(calls[i].args, !calls[i].err || holds(err_file.s, calls[i].err));
	}
	CHECK(ends(2, NULL, "dsv4-convert", "plan " FLASH " -o /nonexistent/x --target fp8") &&
		holds(err_file.s, "dsv4-quant run DIR -o OUT --to fp8"));
}

/* --- every name, there and back --- */

/* Models of several kinds, of which mkmodel makes what is not among the goldens. */
static const char *model(const char *name, const char *config)
{
	static struct path p;
	char args[900];

	p = dirs_path(name);
	snprintf(args, sizeof args, "%s --config %s --seed 5", p.s, config);
	if (!is_file(p.s))
		CHECK_IN(config, !model_tool("mkmodel", args));
	return p.s;
}

static void there_and_back(const char *from, const char *to, const char *options)
{
	struct path out = dirs_path("out"), back = dirs_path("back"), on = dirs_path("on");

	dirs_remove(out.s);
	dirs_remove(back.s);
	dirs_remove(on.s);
	CHECK_IN(to,
		ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to %s %s", from, out.s, to,
			options));
	CHECK_IN(to, ends(0, NULL, "dsv4-verify", "check -q %s", out.s));
	CHECK_IN(to, ends(0, NULL, "dsv4-verify", "compare -q %s %s", from, out.s));
	CHECK_IN(to,
		ends(0, NULL, "dsv4-quant", "run %s -o %s --to %s %s", from, out.s, to, options) &&
			holds(err_file.s, " 0 files made"));
	CHECK_IN(to,
		ends(0, NULL, "dsv4-quant", "restore -q %s -o %s", out.s, back.s) &&
			set_holds(back.s, from));
	/* And on to another name, without the source, as from the source. */
	dirs_remove(back.s);
	CHECK_IN(to, ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to fp8", out.s, on.s));
	CHECK_IN(to, ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to fp8", from, back.s));
	CHECK_IN(to, set_same(on.s, back.s));
}

/* Options that a name does not do without. */
static const char *needs(const struct recipe *r)
{
	return r->input ? "--input-scale 0.03125" : "";
}

static void there(const struct recipe *r, const char *from, const char *more)
{
	char options[200];

	snprintf(options, sizeof options, "%s %s", needs(r), more);
	there_and_back(from, r->name, options);
}

/* -Base has FP8 experts, from which there is no exact way to four bits. */
static void from_base(const struct recipe *r)
{
	const char *base = model("base", "tests/configs/small-base.json");

	/* MLX loads what is there, and no F32 scales. */
	if ((r->native && r->forms.experts != CODEC_NONE) ||
		reform_find(CODEC_FP8_F32, r->forms.experts)) {
		there(r, base, "");
		return;
	}
	CHECK_IN(r->name,
		ends(2, NULL, "dsv4-quant", "run -q %s -o %s --to %s %s", base, dirs_path("none").s,
			r->name, needs(r)) &&
			holds(err_file.s, "plan.no-way") && !is_file(dirs_path("none").s));
}

/* A GGUF: made, checked, compared, made again. */
static void gguf_of(const char *from, const char *options)
{
	struct path out = dirs_path("out");

	dirs_remove(out.s);
	CHECK_IN(options,
		ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to gguf %s", from, out.s, options));
	CHECK_IN(options, ends(0, NULL, "dsv4-verify", "check -q %s", out.s));
	CHECK_IN(options, ends(0, NULL, "dsv4-verify", "compare -q %s %s", from, out.s));
	CHECK_IN(options,
		ends(0, NULL, "dsv4-quant", "run %s -o %s --to gguf %s", from, out.s, options) &&
			holds(err_file.s, " 0 files made"));
}

/* The way back is said not to be there. */
static void gguf_no_way(const char *options)
{
	struct path out = dirs_path("out");

	gguf_of(FLASH, options);
	CHECK_IN(options, !is_file(model_file(out.s, "source/config.json").s));
	CHECK_IN(options,
		ends(2, "set.not-kept", "dsv4-quant", "restore -q %s -o %s", out.s,
			dirs_path("none").s) &&
			!is_file(dirs_path("none").s));
}

/* Exact GGUFs go back to the download, headers and all, from every source and in parts; tensors without a place in
 * GGUF lie beside it, and only there. */
static void gguf_back(void)
{
	static const char *const options[] = { "", "--dense f32", "--shard-size 300000",
		"--dense f32 --shard-size 900000 -j1" };
	const char *from[] = { FLASH, PRO, NULL, NULL, NULL };
	struct path copy[2];
	size_t i, k;

	copy[0] = *(const struct path *)model("spark", "tests/configs/small-spark.json");
	copy[1] = *(const struct path *)model("base", "tests/configs/small-base.json");
	from[2] = copy[0].s;
	from[3] = copy[1].s;
	for (i = 0; from[i]; i++)
		for (k = 0; k < sizeof options / sizeof *options; k++) {
			/* each source in some of the ways, and each way from some; EVERY=1: all */
			if ((i + k) % every(2))
				continue;
			there_and_back(from[i], "gguf", options[k]);
			CHECK_IN(from[i],
				is_file(model_file(dirs_path("out").s, GGUF_REST).s) == (i == 3));
		}
	there_and_back(FLASH, "gguf", "--dense f32 --max-memory 96MiB");
	gguf_of(FLASH, "--drafts drop");
	CHECK(ends(2, NULL, "dsv4-quant", "restore -q %s -o %s", dirs_path("out").s,
		      dirs_path("none").s) &&
		holds(err_file.s, "plan.drafts") &&
		!is_file(model_file(dirs_path("out").s, "mtp-model.gguf").s));
	gguf_no_way("--no-restore");
	gguf_no_way("--dense q8_0");
	gguf_of(copy[1].s, "--no-restore");
	CHECK(!is_file(model_file(dirs_path("out").s, GGUF_REST).s));
}

static int count_keys(void *ctx, struct gguf *g, const struct gguf_value *v, struct err *e)
{
	(void)g, (void)v, (void)e;
	++*(unsigned *)ctx;
	return 0;
}

/* Parts hold together what one file holds. */
static void gguf_parts(void)
{
	struct err e = { 0 };
	struct gguf_set one, many;
	unsigned keys[2] = { 0 };
	struct path out = dirs_path("out");
	int dir;

	gguf_of(FLASH, "");
	CHECK(!file_open_dir(io_posix(), out.s, &dir, &e) &&
		!gguf_set_read(&one, io_posix(), dir, "model.gguf", count_keys, &keys[0], &e));
	close(dir);
	gguf_of(FLASH, "--shard-size 300000");
	CHECK(!file_open_dir(io_posix(), out.s, &dir, &e) &&
		!gguf_set_read(&many, io_posix(), dir, "model-00001-of-00036.gguf", count_keys,
			&keys[1], &e));
	close(dir);
	CHECK(one.n == 1 && many.n == 36 && one.tensors == many.tensors && keys[1] == keys[0] + 4);
	gguf_set_free(&one);
	gguf_set_free(&many);
}

/* Drafts are there: nothing of the source is missing, and a file of them that is gone is missed. */
static void gguf_drafts_of(const char *from, const char *name)
{
	struct path out = dirs_path("out");

	gguf_of(from, "");
	CHECK_IN(name,
		ends(0, NULL, "dsv4-verify", "compare %s %s", from, out.s) &&
			!holds(out_file.s, "left out"));
	CHECK_IN(name, !unlink(model_file(out.s, name).s));
	CHECK_IN(name, ends(1, NULL, "dsv4-verify", "check -q %s", out.s));
	CHECK_IN(name, ends(1, NULL, "dsv4-verify", "compare -q %s %s", from, out.s));
}

/* The metadata are held to config.json of the source: another number there is another model. */
static void gguf_metadata(void)
{
	static const char *const members[][2] = { { "rope_theta", "20000" },
		{ "swiglu_limit", "7.0" }, { "max_position_embeddings", "4096" },
		{ "routed_scaling_factor", "2.5" }, { "eos_token_id", "2" } };
	struct path out = dirs_path("out"), from = dirs_path("other");
	struct text t = { 0 };
	struct err e = { 0 };
	uint8_t *p;
	size_t i, n;

	gguf_of(FLASH, "");
	for (i = 0; i < sizeof members / sizeof *members; i++) {
		dirs_remove(from.s);
		from = model_copy(FLASH, "other");
		p = file_get_all(model_file(from.s, "config.json").s, &n);
		t.n = 0;
		text_put(&t, p, n);
		CHECK(!jmember_set(&t, members[i][0], members[i][1], &e));
		model_put(from.s, "config.json", t.s, t.n);
		CHECK_IN(members[i][0],
			ends(1, NULL, "dsv4-verify", "compare -q %s %s", from.s, out.s) &&
				/* without a tokenizer nobody writes the id of a token down, but in source/ */
				holds(err_file.s, ": 1 error") == (i == 4));
		free(p);
	}
	text_free(&t);
}

/* Damage behind the header and in it. */
static void gguf_damaged(void)
{
	struct path out = dirs_path("out"), file;
	static const size_t at[] = { 3, 100, 5000, 100000 };
	uint8_t *p;
	size_t i, n;

	gguf_of(FLASH, "");
	file = model_file(out.s, "model.gguf");
	for (i = 0; i < sizeof at / sizeof *at; i++) {
		p = file_get_all(file.s, &n);
		p[at[i]] ^= 1;
		file_put_all(file.s, p, n);
		CHECK(ends(1, NULL, "dsv4-verify", "check -q %s", out.s));
		CHECK(i < 3 || ends(1, NULL, "dsv4-verify", "compare -q " FLASH " %s", out.s));
		p[at[i]] ^= 1;
		file_put_all(file.s, p, n);
		free(p);
	}
	CHECK(ends(0, NULL, "dsv4-verify", "check -q %s", out.s));
}

static void gguf(void)
{
	gguf_parts();
	gguf_damaged();
	gguf_metadata();
	gguf_of(FLASH, "--dense q8_0");
	gguf_of(FLASH, "--dense f32 -j1");
	gguf_of(PRO, "--shard-size 900000");
	gguf_drafts_of(FLASH, "mtp-model.gguf");
	gguf_drafts_of(model("spark", "tests/configs/small-spark.json"), "dspark-model.gguf");
	gguf_of(model("base", "tests/configs/small-base.json"), "--dense q8_0");
	CHECK(ends(2, NULL, "dsv4-quant", "run -q " FLASH " -o %s --to gguf --layers 0",
		      dirs_path("none").s) &&
		holds(err_file.s, "a GGUF is of the whole model"));
	CHECK(ends(2, NULL, "dsv4-quant", "run -q " FLASH " -o %s --to fp8 --dense f32",
		      dirs_path("none").s) &&
		holds(err_file.s, "--dense belongs to gguf"));
}

static void every_name(void)
{
	const struct recipe *r;

	for (r = recipes; r->name; r++) {
		if (r->container == CONTAINER_GGUF || r->rounds ||
			r->need == NEED_MLX_NAMES) /* test_rounds: no way back; of V4.1 */
			continue;
		there(r, FLASH, "");
		there(r, PRO, "--shard-size 900000");
		there(r, model("spark", "tests/configs/small-spark.json"), "-j1");
		from_base(r);
		if (codecs[r->forms.experts].second.name)
			there(r, FLASH, "--signed-zero drop");
		if (r->e8m0.experts != CODEC_NONE)
			there_and_back(FLASH, r->name, "--scale-dtype e8m0");
	}
}

static void computes(void)
{
	struct path out = dirs_path("out");
	const struct recipe *r;

	for (r = recipes; r->name; r++) {
		if (r->rounds || r->need == NEED_MLX_NAMES) /* not the same values; of V4.1 */
			continue;
		dirs_remove(out.s);
		CHECK_IN(r->name,
			ends(0, NULL, "dsv4-quant", "run -q " FLASH " -o %s --to %s %s", out.s,
				r->name, needs(r)));
		CHECK_IN(r->name,
			ends(0, NULL, "dsv4-verify", "logits -q " FLASH " %s --tokens 5,17,99,3",
				out.s));
	}
}

static const struct test tests[] = { { "quant: calls", all_calls },
	{ "quant: every name, there and back", every_name }, { "quant: computes", computes },
	{ "quant: gguf", gguf }, { "quant: gguf, there and back", gguf_back }, { 0 } };
TEST_MAIN(tests)
