/* test_quant_bad.c -- what dsv4-quant refuses, and what dsv4-verify finds in what it made: weights that the new format
 * cannot hold, rescued and rounded blocks and their counts, sidecars that lie, forgotten parts, damaged files.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/recipes.h"
#include "tests/ck.h"
#include "tests/fuzz/chain.h"
#include "tests/verify.h"
#include "verify/compare/compare.h"

#define W1 "layers.0.ffn.experts.0.w1"
#define SHARD "model-00002-of-00007.safetensors" /* has it */

static struct path model, out, back;

static struct job_opts to(const char *name)
{
	struct job_opts o = set_opts(name, 1, false);
	const struct recipe *r = recipe_find(name);

	o.plan.share = (struct share){ 0 };
	o.plan.experimental = false;
	o.of_source = true;
	o.input_scale = r && r->input ? "0.5" : NULL;
	return o;
}

static void fresh(void)
{
	out = dirs_path("out");
	back = dirs_path("back");
	dirs_remove(out.s);
	dirs_remove(back.s);
}

static int compare(struct report *r, const char *from, const char *made)
{
	struct compare_opts o = {
		.io = io_posix(), .threads = 2, .max_memory = 1 << 28, .sample = 100
	};
	struct err e = { 0 };

	report_begin(r, "test 0", "compare", made, NULL);
	if (compare_run(r, from, made, &o, &e))
		report_take(r, NULL, &(struct err){ .kind = e.kind, .rule = e.rule, .pos = e.pos });
	else
		report_finish(r, &e);
	return err_exit_code(&e);
}

static bool is_of(const char *from, const char *made)
{
	struct report r;
	bool ok = !compare(&r, from, made);

	if (!ok)
		verify_print(&r);
	report_free(&r);
	return ok;
}

static bool is_not(const char *from, const char *made, const char *rule, const char *word)
{
	struct report r;
	int rc = compare(&r, from, made);
	const struct report_finding *f = verify_find(&r, rule, NULL);
	bool ok = rc == 1 && f && strstr(f->cause, word);

	if (!ok) {
		fprintf(stderr, "expected %s with \"%s\", status %d\n", rule, word, rc);
		verify_print(&r);
	}
	report_free(&r);
	return ok;
}

/* --- weights --- */

/* A model with W1's row 3, group 1 as given: a scale byte, and 32 codes of one kind. */
static const char *with_group(uint8_t scale, uint8_t codes)
{
	struct ck *c = ck_load(FLASH);
	struct ck_tensor *w = ck_get(c, W1 ".weight"), *s = ck_get(c, W1 ".scale");

	memset(w->p + 3 * w->dim[1] + 16, codes, 16);
	s->p[3 * s->dim[1] + 1] = scale;
	if (dirs_path("model").s[0])
		dirs_remove(dirs_path("model").s);
	model = ck_write(c, "model");
	ck_free(c);
	return model.s;
}

/* The largest scale byte of w1 and w3 of expert 0. */
static uint8_t top(void)
{
	struct ck *c = ck_load(FLASH);
	static const char *const name[2] = { W1 ".scale", "layers.0.ffn.experts.0.w3.scale" };
	uint8_t most = 0;
	size_t i;
	int k;

	for (k = 0; k < 2; k++) {
		const struct ck_tensor *s = ck_get(c, name[k]);

		for (i = 0; i < s->n; i++)
			most = s->p[i] > most ? s->p[i] : most;
	}
	ck_free(c);
	return most;
}

static int makes(const char *name, const char *rule, const char *word)
{
	struct job_opts o = to(name);

	fresh();
	return rule ? set_refuses(model.s, out.s, &o, rule, word) : set_makes(model.s, out.s, &o);
}

static bool goes_back(void)
{
	struct job_opts b = set_back();

	return set_makes(out.s, back.s, &b) && set_holds(back.s, model.s);
}

static uint64_t count(const struct report *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->n_rows; i++)
		if (!strcmp(r->rows[i].name, name))
			return r->rows[i].count;
	return UINT64_MAX;
}

/* The manifest has two rounded blocks, of w1 in a layer that routes by token id, and where they are. */
static bool tallied(void)
{
	json_t *o = load(out.s, MAN_NAME), *v, *at = json_object_get(o, "inexact_at");
	json_int_t hash = 0, others = 0;
	size_t i;
	bool ok;

	json_array_foreach(json_object_get(o, "blocks_by_role"), i, v)
	{
		bool here = !strcmp(json_string_value(json_object_get(v, "layers")), "hash") &&
			!strcmp(json_string_value(json_object_get(v, "role")), "ffn.experts.#.w1");

		*(here ? &hash : &others) += json_integer_value(json_object_get(v, "inexact"));
	}
	v = json_array_get(at, 1);
	ok = hash == 2 && !others && json_array_size(at) == 2 &&
		json_integer_value(json_object_get(v, "row")) == 3 &&
		json_integer_value(json_object_get(v, "block")) == 3 &&
		!strncmp(json_string_value(json_object_get(v, "tensor")), W1 ".", strlen(W1) + 1);
	json_decref(o);
	return ok;
}

/* A block below the window: rescued where its codes are on the grid, else it stops the run, and with --lossy both
 * sides count it. */
static void windows(void)
{
	static const struct {
		unsigned below;
		uint8_t codes;
		bool lossy;
	} rows[] = { { 17, 0x33, false }, { 18, 0x22, false }, { 18, 0x33, true },
		{ 18, 0x55, false }, { 19, 0x66, false }, { 19, 0x55, true }, { 20, 0x66, false },
		{ 21, 0x66, true }, { 60, 0x00, false }, { 60, 0x88, false } };
	struct job_opts o, b = set_back();
	const char *name[2] = { "nvfp4", "ct-nvfp4a16" };
	uint8_t most = top();
	struct report r;
	size_t i, k;

	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		with_group((uint8_t)(most - rows[i].below), rows[i].codes);
		for (k = 0; k < 2; k++) {
			if (!rows[i].lossy) {
				CHECK(makes(name[k], NULL, NULL) && is_of(model.s, out.s) &&
					goes_back());
				CHECK(!compare(&r, model.s, out.s));
				CHECK(count(&r,
					      "blocks that were rescued: exact, with another scale") ==
					(rows[i].below > 17 && (rows[i].codes & 7) ? 2 : 0));
				report_free(&r);
				continue;
			}
			CHECK(makes(name[k], "data.reform-inexact", "row 3, columns 32 to 47"));
			CHECK(!is_file(model_file(out.s, SHARD).s) &&
				!is_file(model_file(out.s, MAN_NAME).s));
			o = to(name[k]);
			o.plan.lossy = true;
			fresh();
			CHECK(set_makes(model.s, out.s, &o) && is_of(model.s, out.s));
			CHECK(tallied());
			CHECK(!compare(&r, model.s, out.s));
			CHECK(count(&r, "blocks that were rounded") == 2);
			report_free(&r);
			CHECK(set_refuses(out.s, back.s, &b, "set.codec", "rounded"));
		}
	}
}

/* Scales at the ends of E8M0. */
static void ends(void)
{
	static const char *const exact[] = { "bf16", "mxfp8", "ct-mxfp4", "ct-mxfp8" };
	size_t i;

	with_group(0, 0x77);
	for (i = 0; i < 4; i++)
		CHECK_IN(exact[i],
			makes(exact[i], NULL, NULL) && is_of(model.s, out.s) && goes_back());
	with_group(254, 0x11);
	for (i = 0; i < 4; i++)
		CHECK_IN(exact[i],
			makes(exact[i], NULL, NULL) && is_of(model.s, out.s) && goes_back());
	CHECK(makes("nvfp4", "data.reform-inexact", "would be rounded"));
	with_group(254, 0x77); /* 6 * 2^127 */
	CHECK(makes("bf16", "data.overflow",
		"row 3, columns 32 to 63: a value is infinite in bf16"));
	CHECK(makes("mxfp8", NULL, NULL) && is_of(model.s, out.s) && goes_back());
	with_group(255, 0x11);
	for (i = 0; i < 4; i++)
		CHECK_IN(exact[i], makes(exact[i], "data.scale-nan", W1 ".scale"));
	CHECK(makes("nvfp4", "data.scale-nan", W1 ".scale"));
}

/* The model has a scale of zero over codes that are not: in BF16 nothing is left of them. With --lossy both sides count
 * the blocks, and there is no way back. */
static void zero_scale(void)
{
	struct job_opts o = to("bf16"), b = set_back();
	struct report r;

	CHECK(makes("bf16", "data.reform-inexact",
		"row 0, columns 0 to 127: a value is a code other than zero under a scale of zero"));
	o.plan.lossy = true;
	fresh();
	CHECK(set_makes(model.s, out.s, &o) && is_of(model.s, out.s));
	CHECK(!compare(&r, model.s, out.s));
	CHECK(count(&r, "blocks that were rounded") == 128);
	report_free(&r);
	CHECK(set_refuses(out.s, back.s, &b, "set.codec", "rounded"));
}

/* What the product of an FP8 code and its scale cannot be in BF16, on the quick way of the official files and on the way
 * by blocks: --lossy rounds and makes nothing infinite. A GGUF takes no --lossy. */
static void lossy_products(void)
{
	static const struct {
		const char *role;
		uint8_t scale;
		const char *plain, *lossy; /* rules; NULL: it is made */
	} rows[] = { { "layers.0.attn.wo_a", 0, "data.dequant-inexact", NULL },
		{ "layers.0.attn.wo_a", 254, "data.dequant-inexact", "data.overflow" } };
	static const char *const names[] = { "official", "bf16" };
	struct job_opts o;
	struct ck *c;
	char name[64];
	size_t i, k;

	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		c = ck_load(FLASH);
		snprintf(name, sizeof name, "%s.weight", rows[i].role);
		ck_get(c, name)->p[7] = rows[i].scale ? 0x7e : 0x01;
		snprintf(name, sizeof name, "%s.scale", rows[i].role);
		ck_get(c, name)->p[0] = rows[i].scale;
		dirs_remove(dirs_path("model-product").s);
		model = ck_write(c, "model-product");
		ck_free(c);
		for (k = 0; k < 2; k++) {
			o = to(names[k]);
			o.of_source = k;
			fresh();
			CHECK_IN(names[k],
				set_refuses(model.s, out.s, &o,
					k && rows[i].lossy ? rows[i].lossy
						: k        ? "data.reform-inexact"
							   : rows[i].plain,
					rows[i].role));
			o.plan.lossy = true;
			CHECK_IN(names[k],
				rows[i].lossy ? set_refuses(model.s, out.s, &o, rows[i].lossy,
							rows[i].role)
					      : set_makes(model.s, out.s, &o));
		}
		CHECK(makes("gguf", "data.dequant-inexact", rows[i].role));
	}
}

/* An FP8 matrix: a NaN code; F32 scales that no E8M0 is; a product that BF16 has not. */
static void fp8_matrices(void)
{
	static const char name[] = "layers.0.attn.wq_a";
	static const float scales[] = { 1.5f, 0x1p-128f, 0 };
	struct ck *c = ck_load(FLASH);
	char args[900];
	size_t i;

	ck_get(c, "layers.0.attn.wq_a.weight")->p[130] = 0x7f;
	model = ck_write(c, "model-nan");
	CHECK(makes("bf16", "data.fp8-nan", name) && makes("mxfp8", "data.fp8-nan", name) &&
		makes("ct-mxfp4", "data.fp8-nan", name));
	ck_get(c, "layers.0.attn.wq_a.weight")->p[130] = 0x01;
	ck_get(c, "layers.0.attn.wq_a.scale")->p[0] = 0; /* 2^-9 * 2^-127 */
	model = ck_write(c, "model-small");
	CHECK(makes("bf16", "data.reform-inexact", "layers.0.attn.wq_a.weight, row "));
	CHECK(makes("mxfp8", NULL, NULL) && is_of(model.s, out.s) && goes_back());
	ck_free(c);
	snprintf(args, sizeof args, "%s --config tests/configs/small-base.json",
		dirs_path("base").s);
	CHECK(!model_tool("mkmodel", args));
	model = dirs_path("base"); /* its experts are FP8 */
	CHECK(makes("nvfp4", "plan.no-way",
		"is fp8-f32: from that there is no exact way to nvfp4"));
	CHECK(makes("ct-mxfp4", "plan.no-way", "no exact way to mxfp4-ct"));
	for (i = 0; i < sizeof scales / sizeof *scales; i++) {
		c = ck_load(dirs_path("base").s);
		memcpy(ck_get(c, "layers.0.attn.wq_a.scale")->p, &scales[i], 4);
		dirs_remove(dirs_path("model-scale").s);
		model = ck_write(c, "model-scale");
		ck_free(c);
		CHECK(makes("mxfp8", "data.scale-number", "no power of two"));
		if (scales[i] == 0)
			zero_scale();
		CHECK(makes("ct-mxfp8", NULL, NULL) && is_of(model.s, out.s) && goes_back());
	}
}

/* All scales so small that the factor is no F32 divisor. */
static void factor(void)
{
	struct ck *c = ck_load(FLASH);
	struct ck_tensor *s;
	size_t i;

	for (i = 0; (s = ck_next(c, &i, "layers.0.ffn.experts.0.", ".scale"));)
		memset(s->p, 2, s->n);
	model = ck_write(c, "model-tiny");
	ck_free(c);
	CHECK(makes("ct-nvfp4a16", "data.overflow", "F32 has no divisor"));
	CHECK(makes("nvfp4", NULL, NULL) && is_of(model.s, out.s) && goes_back());
}

/* --- what was made --- */

static void damage_byte(const char *dir, const char *tensor)
{
	struct path p = model_file(dir, SHARD);
	json_t *o = load(dir, SHARD MAN_SIDECAR), *t;
	size_t n, i;
	uint8_t *b = file_get_all(p.s, &n);

	json_array_foreach(json_object_get(o, "tensors"), i, t)
	{
		if (strcmp(json_string_value(json_object_get(t, "name")), tensor) != 0)
			continue;
		b[json_integer_value(json_object_get(json_object_get(o, "file"), "header_bytes")) +
			json_integer_value(json_array_get(json_object_get(t, "offsets"), 0)) + 2] ^=
			1;
		break;
	}
	CHECK_IN(tensor, i < json_array_size(json_object_get(o, "tensors")));
	model_put(dir, SHARD, b, n);
	free(b);
	json_decref(o);
}

static void make(const char *name)
{
	struct job_opts o = to(name);

	model = (struct path){ FLASH };
	fresh();
	CHECK(set_makes(FLASH, out.s, &o));
}

/* Each byte of the way back counts: of values, of what was kept, of the sizes of that. Restore says that it is damaged, and
 * gives nothing out. */
static void bytes_of_gguf(void)
{
	static const struct {
		const char *file;
		long at; /* from the end where negative */
		const char *rule;
	} rows[] = {
		{ "model.gguf", -40, "set.digest" },
		{ "model.gguf" MAN_DROPPED, 9, "set.digest" },
		{ "model.gguf" MAN_DROPPED, -2, "set.digest" },
		{ "mtp-model.gguf" MAN_DROPPED, -9, "set.digest" },
	};
	struct job_opts o = to("gguf"), b = set_back();
	struct path file;
	struct err e;
	uint8_t *p;
	size_t i, n;

	o.plan.dense = GGUF_DENSE_F32;
	model = (struct path){ FLASH };
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		fresh();
		CHECK(set_makes(FLASH, out.s, &o));
		file = model_file(out.s, rows[i].file);
		p = file_get_all(file.s, &n);
		CHECK_IN(rows[i].file, p && n > 64);
		if (!p)
			continue;
		p[rows[i].at < 0 ? (size_t)((long)n + rows[i].at) : (size_t)rows[i].at] ^= 0x10;
		unlink(file.s);
		file_put_all(file.s, p, n);
		free(p);
		CHECK_IN(rows[i].file, set_execute(out.s, back.s, &b, &e));
		if (!e.rule || strcmp(e.rule, rows[i].rule) != 0)
			fprintf(stderr, "%s: %s: %s\n", rows[i].file, e.rule, e.text);
		CHECK_IN(rows[i].file, e.rule && !strcmp(e.rule, rows[i].rule));
	}
}

/* A byte of each part of a matrix: compare says where; restore finds it by the digests of the source. */
static void bytes(void)
{
	static const struct {
		const char *name, *tensor, *word;
		bool back; /* the way back does not need it */
	} rows[] = {
		{ "nvfp4", W1 ".weight", "(reform), row 0, column 2", false },
		{ "nvfp4", W1 ".weight_scale", "(reform), row 0, column 2", false },
		{ "nvfp4", W1 ".weight_scale_2", "(reform), row 0", false },
		{ "nvfp4", "layers.0.ffn.experts.0.w3.input_scale", "they are one", true },
		{ "mxfp8", "layers.0.attn.wq_a.weight_scale", "(reform), row 0, column 2", false },
		{ "bf16", "layers.0.attn.wo_b.weight", "(reform), row 0, column 1", false },
		{ "ct-mxfp4", W1 ".weight_packed", "(reform), row 0", false },
		{ "ct-nvfp4a16", W1 ".weight_global_scale", "(reform), row 0", false },
	};
	struct job_opts b = set_back();
	struct err e;
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		make(rows[i].name);
		damage_byte(out.s, rows[i].tensor);
		CHECK_IN(rows[i].tensor, is_not(FLASH, out.s, "compare.bytes", rows[i].word));
		CHECK_IN(rows[i].tensor, !set_execute(out.s, back.s, &b, &e) == rows[i].back);
		CHECK_IN(rows[i].tensor, rows[i].back || (e.rule && !strcmp(e.rule, "set.digest")));
	}
}

/* Gives the conversion in out another target, in all its documents. */
static void rename_target(const char *from, const char *to_name)
{
	char line[1500];

	snprintf(line, sizeof line,
		"sed -i 's/\"target\": \"%s\"/\"target\": \"%s\"/' %s/*manifest.json", from,
		to_name, out.s);
	CHECK(!system(line));
	chain_mend(out.s, 0);
}

/* A manifest that says something else of a role than the sidecars and values do, sealed anew. */
static void lying_manifests(void)
{
	static const char *const rows[][2] = {
		{ "\"exact\": 16384, \"inexact\": 0", "\"exact\": 16383, \"inexact\": 1" },
		{ "\"rescued\": 0", "\"rescued\": 5" },
		{ "\"layers\": \"hash\"", "\"layers\": \"pure\"" },
		{ "ffn.experts.#.w3", "ffn.experts.#.w4" },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		make("nvfp4");
		verify_exchange(model_file(out.s, MAN_NAME).s, rows[i][0], rows[i][1]);
		verify_seal(out.s);
		CHECK_IN(rows[i][1], is_not(FLASH, out.s, "compare.counts", "blocks_by_role"));
	}
}

/* Scales of activations are those that the manifest says. */
static void lying_input(void)
{
	make("nvfp4");
	verify_exchange(model_file(out.s, MAN_NAME).s, "\"input_scale\": \"0.5\"",
		"\"input_scale\": \"0.7\"");
	verify_seal(out.s);
	CHECK(is_not(FLASH, out.s, "compare.bytes", "says that all scales of activations are"));
}

/* Sidecars that say something else, under digests that fit. */
static void lies(void)
{
	static const struct {
		const char *name, *from, *to, *rule, *word;
	} rows[] = {
		{ "nvfp4", "{\"exact\": 2048, \"inexact\": 0, \"total\": 2048}",
			"{\"exact\": 2047, \"inexact\": 1, \"total\": 2048}", "compare.counts",
			"its sidecar says 1 of 2048" },
		{ "nvfp4", "{\"exact\": 2048, \"inexact\": 0, \"total\": 2048}",
			"{\"exact\": 2048, \"inexact\": 0, \"rescued\": 7, \"total\": 2048}",
			"compare.counts", "and 7" },
		{ "nvfp4", "\"to\": \"nvfp4\"", "\"to\": \"mxfp8\"", "compare.shape",
			"number formats" },
		{ "nvfp4", "\"part\": \"second\"", "\"part\": \"scales\"", "compare.shape",
			"another name" },
		{ "nvfp4", "\"part\": \"input\"", "\"part\": \"codes\"", "compare.shape",
			"sources" },
		{ "bf16", "\"from\": \"fp8\"", "\"from\": \"mxfp4\"", "compare.shape",
			"number formats" },
		{ "bf16", "\"part\": \"codes\"", "\"part\": \"rows\"", "set.form", "part rows" },
		{ "bf16", "\"transform\": \"reform\"", "\"transform\": \"dequantize\"", "set.form",
			"belong to the transform" },
	};
	char line[1500];
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		make(rows[i].name);
		verify_edit(out.s, SHARD, rows[i].from, rows[i].to);
		CHECK_IN(rows[i].to, is_not(FLASH, out.s, rows[i].rule, rows[i].word));
	}
	/* Another name for the whole: everything in it is of another format than that has. */
	make("ct-mxfp8");
	rename_target("ct-mxfp8", "ct-mxfp4");
	CHECK(is_not(FLASH, out.s, "compare.shape", "number formats that are not those"));
	/* The config of the source, which tells engines that experts are what they are no more. */
	make("nvfp4");
	snprintf(line, sizeof line, "cp -f %s/config.json %s/config.json", FLASH, out.s);
	CHECK(!system(line));
	chain_mend(out.s, 0);
	CHECK(is_not(FLASH, out.s, "compare.file", "not as in the source"));
	/* Small files: of the recipe, and no others. */
	make("nvfp4");
	verify_exchange(model_file(out.s, "hf_quant_config.json").s, "NVFP4", "NVFP8");
	CHECK(is_not(FLASH, out.s, "compare.file", "no such file"));
	make("nvfp4");
	verify_exchange(model_file(out.s, "config.json").s, "\"MIXED_PRECISION\"", "\"NVFP4\"");
	chain_mend(out.s, 0);
	CHECK(is_not(FLASH, out.s, "compare.file", "not as in the source"));
}

/* Experts that stayed as they were, under the name of a format that changes them: the fault of published builds. */
static void left(void)
{
	struct job_opts o = to("hf");
	const struct report_finding *f;
	struct report r;

	fresh();
	o.of_source = false;
	CHECK(set_makes(FLASH, out.s, &o));
	rename_target("hf", "nvfp4");
	CHECK(is_not(FLASH, out.s, "compare.shape", "is as in the source, where nvfp4 has nvfp4"));
	CHECK(compare(&r, FLASH, out.s) == 1);
	f = verify_find(&r, "compare.lost", MAN_NAME);
	CHECK(f && strstr(f->cause, "hf_quant_config.json"));
	report_free(&r);
	rename_target("nvfp4", "fp8");
	CHECK(is_not(FLASH, out.s, "compare.shape", "is as in the source, where fp8 has fp8"));
}

/* IQ4_XS has as many bytes for 256 columns as MXFP4 has: a header that says the one of the other is not true. */
static void gguf_types(void)
{
	static const char name[] = "blk.1.ffn_gate_exps.weight";
	const size_t after = sizeof name - 1 + 4 + 3 * 8; /* rank, dimensions */
	struct path file;
	uint8_t *p, *at;
	size_t n;

	make("gguf");
	file = model_file(out.s, "model.gguf");
	p = file_get_all(file.s, &n);
	at = p ? memmem(p, n, name, sizeof name - 1) : NULL;
	CHECK(at && at[after] == 39);
	if (at) {
		at[after] = 23;
		unlink(file.s);
		file_put_all(file.s, p, n);
		CHECK(is_not(FLASH, out.s, "check.header",
			"blk.1.ffn_gate_exps.weight with another name, type"));
	}
	free(p);
}

/* A conversion is a source where it kept what its own source was, and only there. */
static void chains(void)
{
	struct job_opts o = to("nvfp4"), b = set_back(), m = set_opts("marlin-mxfp4", 2, false);
	struct path set = dirs_path("set"), want = dirs_path("want");

	make("bf16");
	CHECK(set_makes(out.s, back.s, &o) && is_of(FLASH, back.s));
	m.use = USE_RESHARD;
	CHECK(set_makes(back.s, set.s, &m));
	m.use = USE_RUN;
	CHECK(set_makes(FLASH, want.s, &m) && set_same(set.s, want.s));
	o = to("bf16");
	o.plan.back = false;
	fresh();
	CHECK(set_makes(FLASH, out.s, &o) && is_of(FLASH, out.s));
	CHECK(set_refuses(out.s, back.s, &b, "set.not-kept", "--no-restore"));
	o = to("nvfp4");
	CHECK(set_refuses(out.s, back.s, &o, "set.not-kept", "--no-restore"));
	o.use = USE_SLICE;
	CHECK(set_refuses(out.s, back.s, &o, "kind.quant", "conversion"));
}

/* --- scales of activations --- */

static float number_of(const char *dir, const char *tensor)
{
	struct ckpt_opts o = { .header_cap = 0 };
	struct findings f = { 0 };
	struct err e = { 0 };
	const struct tensor *t;
	struct ckpt c;
	float v = -1;

	CHECK(!ckpt_open(&c, io_posix(), dir, &o, &f, &e));
	t = ckpt_find(&c, tensor);
	CHECK_IN(tensor, t && !ckpt_read(&c, t, 0, &v, sizeof v, &e));
	finding_free(&f);
	ckpt_close(&c);
	return v;
}

/* Measured maxima, another export, and what is neither. */
static void inputs(void)
{
	/* clang-format off */
	static const struct {
		const char *json, *word;
	} wrong[] = {
		{ "[1]", "nor a JSON object or a safetensors file" },
		{ "{", "nor a JSON object or a safetensors file" },
		{ "{}", "nothing of the experts" },
		{ "{\"" W1 "\": 1}", "nothing of the experts" },
		{ "{\"layers.0.ffn.experts.8.w1\": 1}", "no expert's matrix of this model" },
		{ "{\"layers.0.attn.wq_a\": 1}", "no expert's matrix of this model" },
		{ "{\"" W1 "\": 0}", "no number above zero" },
		{ "{\"" W1 "\": \"a\"}", "no number above zero" },
		{ "{\"" W1 "\": -3.5}", "no number above zero" },
		{ "{\"" W1 "\": 1e300}", "no number above zero" },
	};
	/* clang-format on */
	static const char good[] =
		"{\"" W1 "\": 2688, \"layers.0.ffn.experts.0.w3_input_quantizer._amax\": 5376,"
		" \"layers.1.ffn.experts.2.w2\": 1344}";
	struct path file = dirs_path("amax.json"), again = dirs_path("again");
	struct job_opts o = to("nvfp4");
	size_t i;

	o.input_scale = file.s;
	for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		fresh();
		file_put_all(file.s, wrong[i].json, strlen(wrong[i].json));
		CHECK_IN(wrong[i].json,
			set_refuses(FLASH, out.s, &o, "plan.input-scale", wrong[i].word) &&
				!is_file(out.s));
	}
	file_put_all(file.s, good, strlen(good));
	fresh();
	CHECK(set_makes(FLASH, out.s, &o) && is_of(FLASH, out.s));
	CHECK(number_of(out.s, W1 ".input_scale") == 2);
	CHECK(number_of(out.s, "layers.0.ffn.experts.0.w3.input_scale") == 2);
	CHECK(number_of(out.s, "layers.1.ffn.experts.2.w2.input_scale") == 0.5f);
	CHECK(number_of(out.s, "mtp.0.ffn.experts.7.w3.input_scale") == 2); /* of no token */
	/* The same from that export; and from a folder that has none, or is not there. */
	o.input_scale = out.s;
	CHECK(set_makes(FLASH, again.s, &o) && is_of(FLASH, again.s));
	CHECK(number_of(again.s, "layers.1.ffn.experts.2.w2.input_scale") == 0.5f);
	o.input_scale = FLASH;
	CHECK(set_refuses(FLASH, back.s, &o, "plan.input-scale", "nothing of the experts"));
	o.input_scale = "/nonexistent";
	CHECK(set_refuses(FLASH, back.s, &o, "plan.input-scale", "that is there"));
}

static const struct test tests[] = { { "quant bad: windows", windows }, { "quant bad: ends", ends },
	{ "quant bad: FP8 matrices", fp8_matrices }, { "quant bad: products", lossy_products },
	{ "quant bad: factor", factor }, { "quant bad: bytes", bytes }, { "quant bad: lies", lies },
	{ "quant bad: lying manifests", lying_manifests },
	{ "quant bad: input scales of another manifest", lying_input },
	{ "quant bad: types of a GGUF", gguf_types },
	{ "quant bad: bytes of a GGUF", bytes_of_gguf }, { "quant bad: left", left },
	{ "quant bad: chains", chains }, { "quant bad: inputs", inputs }, { 0 } };
TEST_MAIN(tests)
