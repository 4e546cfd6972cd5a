/* test_mixes.c -- GGUF files of mixed types, by name and by recipe file: made, checked, compared, computed with; and what
 * is refused. The model has rows of 256, which the types of few bits want.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/family.h"
#include "formats/model/recipes.h"
#include "quant/preset.h"
#include "tests/fuzz/chain.h"
#include "tests/importance.h"
#include "tests/sanitized.h"
#include "tests/shell.h"
#include "verify/compare/mix_type.h"

#include <fcntl.h>

#define MODEL "--config tests/configs/small4.json --set head_dim=256"

/* A model whose rows have 256 columns; made once. */
static struct path model(void)
{
	struct path p = dirs_path("mixes");
	char args[900];

	snprintf(args, sizeof args, "%s " MODEL, p.s);
	CHECK(is_file(p.s) || !model_tool("mkmodel", args));
	return p;
}

/* The same with two layers and a draft, for what is no question of numbers; made once. */
static struct path small(void)
{
	struct path p = dirs_path("small");
	char args[900];

	snprintf(args, sizeof args,
		"%s " MODEL " --set num_hidden_layers=2 --set 'compress_ratios=[0,4,0]'", p.s);
	CHECK(is_file(p.s) || !model_tool("mkmodel", args));
	return p;
}

/* Writes a recipe file of these lines. */
static struct path recipe(const char *lines)
{
	struct path p = dirs_path("recipe");
	char text[2000];

	snprintf(text, sizeof text, "dsv4-recipe-1 gguf\n%s", lines);
	file_put_all(p.s, text, strlen(text));
	return p;
}

static bool alike(const struct path *a, const struct path *b, const char *name)
{
	char one[900], other[900];
	size_t n, m;
	uint8_t *x, *y;
	bool same;

	snprintf(one, sizeof one, "%s/%s", a->s, name);
	snprintf(other, sizeof other, "%s/%s", b->s, name);
	x = file_get_all(one, &n);
	y = file_get_all(other, &m);
	same = x && y && n == m && !memcmp(x, y, n);
	free(x);
	free(y);
	return same;
}

/* A finished mix: every verb that reads it. */
static void looked_at(const char *name, const struct path *m, const struct path *o)
{
	CHECK_IN(name, ends(0, "check: true", "dsv4-verify", "check %s", o->s));
	CHECK_IN(name, ends(0, "compare: true", "dsv4-verify", "compare %s %s", m->s, o->s));
	CHECK_IN(name, holds(out_file.s, "blocks that were rounded"));
	CHECK_IN(name, ends(0, NULL, "dsv4-verify", "doctor %s --for llama.cpp", o->s));
	CHECK_IN(name, ends(0, "general.file_type", "dsv4-convert", "inspect %s", o->s));
	CHECK_IN(name, ends(0, NULL, "dsv4-verify", "diff %s %s", o->s, o->s));
	CHECK_IN(name,
		ends(0, NULL, "dsv4-verify", "logits -q %s %s -t 5,17,99,3 --max-kl 0.5", m->s,
			o->s));
	CHECK_IN(name, ends(2, NULL, "dsv4-quant", "restore %s -o %s", o->s, dirs_path("back").s));
	CHECK_IN(name, holds(err_file.s, "a GGUF or a table that was rounded"));
}

/* A model without indexer, hash tables and drafts: lines of a name that are about those name nothing, and that is none of the
 * user's faults. A line of the user's own is. */
static void lacking(void)
{
	struct path m = dirs_path("lacking"), o = dirs_path("lacking.out"),
		    r = recipe("attn.indexer.wq_b * * q8_0\n");
	char args[900];

	snprintf(args, sizeof args,
		"%s " MODEL
		" --set num_hidden_layers=2 --set num_hash_layers=0 --set num_nextn_predict_layers=0 "
		"--set 'compress_ratios=[0,0]'",
		m.s);
	CHECK(!model_tool("mkmodel", args));
	CHECK(ends(0, NULL, "dsv4-quant", "run %s -o %s --to gguf-q2", m.s, o.s));
	CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", m.s, o.s));
	CHECK(ends(2, NULL, "dsv4-quant", "plan %s -o %s --to gguf-q2 --recipe %s", m.s,
		dirs_path("none").s, r.s));
	CHECK(holds(err_file.s, "line 2: it names no tensor of this model"));
}

static void every_name(void)
{
	struct path m = model(), one = dirs_path("one"), two = dirs_path("two");
	const struct recipe *r;
	unsigned made = 0;

	for (r = recipes; r->name; r++) {
		if (!r->mix)
			continue;
		CHECK_IN(r->name, preset_text(r->name));
		dirs_remove(one.s);
		dirs_remove(two.s);
		if (made++ % every(2)) /* EVERY=1: all */
			continue;
		CHECK_IN(r->name,
			ends(0, NULL, "dsv4-quant", "run -q -j1 %s -o %s --to %s", m.s, one.s,
				r->name));
		looked_at(r->name, &m, &one);
		/* the same bytes on several threads, in the order of lanes, and --lossy says nothing new */
		CHECK_IN(r->name,
			ends(0, NULL, "dsv4-quant", "run -q -j3 %s -o %s --to %s", m.s, two.s,
				r->name));
		CHECK_IN(r->name, alike(&one, &two, "model.gguf"));
		CHECK_IN(r->name, alike(&one, &two, "manifest.json"));
		CHECK_IN(r->name, alike(&one, &two, "model.gguf.manifest.json"));
	}
	CHECK(made == 5);
}

/* A recipe of one's own, in front of nothing and in front of a name. */
static void of_a_file(void)
{
	struct path m = model(), o = dirs_path("own"),
		    r = recipe("ffn.experts.#.w2 0 * q4_k\n"
			       "ffn.experts.#.w2 1-2 * q8_0\n"
			       "attn.wq_a * * f16\n"
			       "hc_*_fn * * f16\n"
			       "head head * q8_0\n");

	dirs_remove(o.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to gguf --recipe %s --shard-size 1M",
		m.s, o.s, r.s));
	looked_at("own", &m, &o);
	CHECK(ends(0, "Q4_K", "dsv4-convert", "inspect %s", o.s));
	CHECK(holds(out_file.s, "MXFP4") && holds(out_file.s, "F16") && holds(out_file.s, "Q8_0"));
	dirs_remove(o.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to gguf-q4 --recipe %s --drafts drop",
		m.s, o.s, r.s));
	CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", m.s, o.s));
}

/* Importance decides bytes; compare wants that file and no other. */
static void weighed(void)
{
	struct path m = model(), with = dirs_path("with"), without = dirs_path("without"), i;

	i = importance("blk.1.ffn_gate_exps.weight", 256, 12, 0.5F);
	dirs_remove(with.s);
	dirs_remove(without.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to gguf-q2 --imatrix %s", m.s, with.s,
		i.s));
	CHECK(ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to gguf-q2", m.s, without.s));
	CHECK(!alike(&with, &without, "model.gguf") && alike(&with, &without, "mtp-model.gguf"));
	CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s --imatrix %s", m.s, with.s,
		i.s));
	CHECK(ends(2, NULL, "dsv4-verify", "compare %s %s", m.s, with.s));
	CHECK(holds(out_file.s, "say --imatrix FILE") || holds(err_file.s, "say --imatrix FILE"));
	CHECK(ends(2, NULL, "dsv4-verify", "compare %s %s --imatrix %s", m.s, without.s, i.s));
	CHECK(ends(0, "check: true", "dsv4-verify", "check %s", with.s));
	dirs_remove(with.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run -q -j3 %s -o %s --to gguf-q2 --imatrix %s", m.s,
		with.s, i.s));
	i = importance("blk.2.ffn_gate_exps.weight", 256, 12, 0.5F);
	CHECK(ends(2, NULL, "dsv4-verify", "compare %s %s --imatrix %s", m.s, with.s, i.s));
	i = importance("blk.2.ffn_gate_exps.weight", 256, 11, 0.5F);
	CHECK(ends(2, NULL, "dsv4-quant", "run -q %s -o %s --to gguf-q2 --imatrix %s", m.s,
		      dirs_path("none").s, i.s) &&
		holds(err_file.s, "--imatrix is of another model"));
	i = importance("blk.9.ffn_gate_exps.weight", 256, 12, 0.5F);
	CHECK(ends(2, NULL, "dsv4-quant", "run -q %s -o %s --to gguf-q2 --imatrix %s", m.s,
		      dirs_path("none").s, i.s) &&
		holds(err_file.s, "of no tensor that is rounded here"));
	CHECK(ends(2, NULL, "dsv4-quant", "run -q %s -o %s --to gguf --imatrix %s", m.s,
		      dirs_path("none").s, i.s) &&
		holds(err_file.s, "--imatrix is for names that round"));
	/* A file that is none is a wrong call, and no verdict on the source or the conversion. */
	CHECK(ends(2, NULL, "dsv4-quant", "run -q %s -o %s --to gguf-q2 --imatrix %s/config.json",
		      m.s, dirs_path("none").s, m.s) &&
		holds(err_file.s, "gguf.magic") && holds(err_file.s, "/config.json"));
	CHECK(ends(2, NULL, "dsv4-verify", "compare %s %s --imatrix %s/config.json", m.s, with.s,
		      m.s) &&
		holds(err_file.s, "/config.json"));
	CHECK(ends(2, NULL, "dsv4-quant", "run -q %s -o %s --to gguf --recipe %s", m.s,
		      dirs_path("none").s, m.s) &&
		holds(err_file.s, m.s) && holds(err_file.s, "file.not-regular"));
}

/* --- what is refused --- */

static void damaged(void)
{
	struct path m = model(), o = dirs_path("damaged"),
		    r = recipe("ffn.experts.#.w* * * q4_k\n");
	char file[900];
	size_t n;
	uint8_t *p;

	dirs_remove(o.s);
	CHECK(ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to gguf --recipe %s", m.s, o.s, r.s));
	snprintf(file, sizeof file, "%s/model.gguf", o.s);
	p = file_get_all(file, &n);
	if (!p)
		return;
	p[n / 2] ^= 1;
	file_put_all(file, p, n);
	free(p);
	CHECK(ends(1, "check: false", "dsv4-verify", "check %s", o.s));
	CHECK(ends(1, "compare: false", "dsv4-verify", "compare %s %s", m.s, o.s));
	CHECK(holds(out_file.s, "compare.bytes"));
}

/* Puts v, which it takes, as member key of o.options, or of o where it is "target". */
static void set_member(json_t *o, const char *key, const json_t *v)
{
	json_t *in = strcmp(key, "target") != 0 ? json_object_get(o, "options") : o;

	CHECK(!json_object_set(in, key, (json_t *)(uintptr_t)v));
}

/* Says another thing of itself in all documents of the conversion at dir, with digests that fit. */
static void relabel(const char *dir, const char *key, const json_t *v)
{
	static const char *const docs[] = { "manifest.json", "model.gguf.manifest.json",
		"mtp-model.gguf.manifest.json" };
	size_t i;

	for (i = 0; i < (strcmp(key, "target") ? 1 : sizeof docs / sizeof *docs); i++) {
		struct path p = chain_path(dir, docs[i]);
		json_t *o = access(p.s, F_OK) ? NULL : json_load_file(p.s, 0, NULL);

		if (!o)
			continue;
		set_member(o, key, v);
		if (i)
			CHECK(!json_dump_file(o, p.s, JSON_INDENT(1) | JSON_SORT_KEYS));
		else
			chain_put(p.s, o);
		json_decref(o);
	}
	chain_mend(dir, 0);
}

/* A conversion that says of itself what it is not is false, though all digests fit. */
static void relabelled(void)
{
	static const struct {
		const char *to, *key, *value, *says;
	} rows[] = {
		{ "gguf-q2", "target", "\"gguf-q4\"", "does not have the lines of that name" },
		{ "gguf-q2", "target", "\"ds4-q2\"", "does not have the lines of that name" },
		{ "gguf-q2", "lossy", "\"no\"", "its option lossy is no" },
		{ "gguf-q2", "lossy", "false", "its option lossy is no string" },
		{ "gguf-q2", "dense", "\"q8_0\"", "its option dense is q8_0" },
		{ "gguf", "target", "\"gguf-q4\"", "does not have the lines of that name" },
		{ "gguf", "lossy", "\"yes\"", "its option lossy is yes" },
		{ "gguf", "dense", "\"q8_0\"", "its option dense is \"q8_0\"" },
		{ "gguf", "dense", "\"f32\"", "its option dense is \"f32\"" },
	};
	struct path m = small(), made, o;
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		json_t *v = json_loads(rows[i].value, JSON_DECODE_ANY, NULL);

		made = dirs_path(rows[i].to);
		if (!is_file(made.s)) {
			CHECK(ends(0, NULL, "dsv4-quant", "run -q %s -o %s --to %s", m.s, made.s,
				rows[i].to));
			CHECK(ends(0, "compare: true", "dsv4-verify", "compare %s %s", m.s,
				made.s));
		}
		o = dirs_copy("relabelled", made.s);
		relabel(o.s, rows[i].key, v);
		CHECK_IN(rows[i].says,
			ends(1, "compare: false", "dsv4-verify", "compare %s %s", m.s, o.s) &&
				holds(out_file.s, rows[i].says));
		json_decref(v);
	}
}

static void refused(void)
{
	static const struct {
		const char *lines, *says;
	} rows[] = {
		{ "ffn.experts.#.w1 * * q1_0\n",
			"there is no way from its number format to Q1_0; there is one to" },
		{ "attn.wq_b * * q4_k\n",
			"128 columns are no whole number of blocks of Q4_K, which have 256; such rows can be F32 F16 Q8_0" },
		{ "attn_norm * * f16\n", "is a vector, in a GGUF always F32" },
		{ "ffn.gate.tid2eid 0 * q8_0\n", "is a table of ids, in a GGUF always I32" },
		{ "embed 1 * q8_0\n", "it names no tensor of this model" },
		{ "h_proj mtp.0 * q4_k\n", "name e_proj, or both with one type" },
	};
	struct path m = model(), none = dirs_path("none"), r;
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		r = recipe(rows[i].lines);
		CHECK_IN(rows[i].lines,
			ends(2, NULL, "dsv4-quant", "run %s -o %s --to gguf --recipe %s", m.s,
				none.s, r.s));
		CHECK_IN(rows[i].lines, holds(err_file.s, rows[i].says));
		CHECK_IN(rows[i].lines, access(none.s, F_OK));
	}
	r = recipe("embed * * q8_0\n");
	CHECK(ends(2, NULL, "dsv4-quant", "plan %s -o %s --to bf16 --recipe %s", m.s, none.s,
		      r.s) &&
		holds(err_file.s, "--recipe is of a GGUF"));
	CHECK(ends(2, NULL, "dsv4-quant", "plan %s -o %s --to gguf --dense q8_0 --recipe %s", m.s,
		      none.s, r.s) &&
		holds(err_file.s, "the recipe says the types"));
	CHECK(ends(2, NULL, "dsv4-quant", "plan %s -o %s --to gguf-q2 --dense f32", m.s, none.s) &&
		holds(err_file.s, "--dense belongs to gguf"));
	CHECK(ends(2, NULL, "dsv4-quant", "plan %s -o %s --to gguf --recipe %s", m.s, none.s,
		none.s));
	file_put_all(r.s, "", 0);
	CHECK(ends(2, NULL, "dsv4-quant", "plan %s -o %s --to gguf --recipe %s", m.s, none.s,
		      r.s) &&
		holds(err_file.s, "it names nothing"));
}

/* A tensor of another type than the recipe says, or of one that rounds though nobody said so. */
static void types(void)
{
	struct config_doc doc;
	struct config c = { .family = NULL };
	struct mix m;
	struct err e = { 0 };
	struct sidecar_source src = { .tensor = "layers.1.ffn.experts.0.w1.weight" };
	struct sidecar_tensor t = {
		.name = "x", .n = 1, .dtype = DT_U8, .op = OP_GGML, .ggml = 12
	};
	struct sidecar s = { .sources = &src, .n_sources = 1 };
	static const char text[] = "dsv4-recipe-1 gguf\nffn.experts.#.w1 1 * q4_k\n";

	if (config_doc_read(&doc, io_posix(), AT_FDCWD, "tests/configs/small4.json", &e) ||
		config_read(&c, &doc, &e) || mix_read(&m, text, sizeof text - 1, "R", &c, &e)) {
		FAILED(e.text);
		return;
	}
	CHECK(!mix_type_check(&m, &c, &s, &t, &e));
	t.ggml = 14;
	CHECK(mix_type_check(&m, &c, &s, &t, &e) && strstr(e.text, "Q6_K, and line 2"));
	t.ggml = 8;
	src.tensor = "layers.2.ffn.experts.0.w1.weight";
	e = (struct err){ 0 };
	CHECK(mix_type_check(&m, &c, &s, &t, &e) && strstr(e.text, "does not name it"));
	t.ggml = 39;
	CHECK(!mix_type_check(&m, &c, &s, &t, &e));
	mix_free(&m);
	config_free(&c);
	config_doc_free(&doc);
}

static const struct test tests[] = { { "mixes: every name", every_name },
	{ "mixes: of a file", of_a_file }, { "mixes: weighed", weighed },
	{ "mixes: damaged", damaged }, { "mixes: relabelled", relabelled },
	{ "mixes: refused", refused }, { "mixes: types", types }, { "mixes: lacking", lacking },
	{ NULL, NULL } };
TEST_MAIN(tests)
