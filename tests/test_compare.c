/* test_compare.c -- dsv4-verify compare: what was converted is what the source makes of it, for every target;
 * whatever differs is found, and where.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/layout/engine.h"
#include "tests/fuzz/chain.h"
#include "tests/verify.h"
#include "verify/compare/compare.h"

static int compare(struct report *r, const char *source, const char *out, uint64_t sample)
{
	struct compare_opts o = {
		.io = io_posix(), .threads = 2, .max_memory = 64 << 20, .sample = sample
	};
	struct err e = { 0 };

	report_begin(r, "test 0", "compare", source, out);
	if (!compare_run(r, source, out, &o, &e))
		report_finish(r, &e);
	return err_exit_code(&e);
}

static const struct report_row *row_of(const struct report *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->n_rows; i++)
		if (!strcmp(r->rows[i].name, name))
			return &r->rows[i];
	return NULL;
}

/* It was made of it, and all of the source is in it. */
static bool is_of(const char *source, const char *out, uint64_t whole)
{
	struct report r;
	int rc = compare(&r, source, out, 100);
	const struct report_row *w = row_of(&r, "tensors that appear whole");
	bool ok = !rc && !r.n && w && (!whole || w->count == whole);

	if (!ok)
		verify_print(&r);
	report_free(&r);
	return ok;
}

static bool is_not(const char *source, const char *out, const char *rule, const char *word)
{
	struct report r;
	int rc = compare(&r, source, out, 100);
	const struct report_finding *f = verify_find(&r, rule, NULL);
	bool ok = rc == 1 && f && strstr(f->cause, word);

	if (!ok) {
		fprintf(stderr, "expected %s with \"%s\", status %d\n", rule, word, rc);
		verify_print(&r);
	}
	report_free(&r);
	return ok;
}

static struct path copy_of(const char *from)
{
	struct path to = dirs_path("copy");
	char line[1100];

	dirs_remove(to.s);
	snprintf(line, sizeof line, "cp -r %s %s", from, to.s);
	if (system(line))
		exit(2);
	return to;
}

static struct path off, off8, set, tp, hf8, slice; /* converted once */

static void make(void)
{
	struct job_opts o;
	struct model_job j;

	if (off.s[0])
		return;
	off = dirs_path("off");
	off8 = dirs_path("off8");
	set = dirs_path("set");
	tp = dirs_path("tp");
	hf8 = dirs_path("hf8");
	slice = dirs_path("slice");
	j = model_job("official", 2);
	CHECK(convert(&j, FLASH, off.s));
	j.plan.experts = CODEC_FP8;
	CHECK(convert(&j, FLASH, off8.s));
	o = set_opts("hf", 1, false);
	o.plan.share = (struct share){ 0 };
	o.plan.experts = CODEC_FP8;
	CHECK(set_makes(FLASH, hf8.s, &o));
	o = set_opts("frag-k32", 2, false);
	CHECK(set_makes(FLASH, set.s, &o));
	o = set_opts("marlin-mxfp4", 1, true);
	o.plan.share.ranks = 2;
	CHECK(set_makes(FLASH, tp.s, &o));
	o = set_opts("slice", 1, false);
	o.plan.share = (struct share){ 0 };
	o.plan.layers = "0,2-3";
	o.plan.keep = 4;
	CHECK(set_makes(FLASH, slice.s, &o));
}

static void true_ones(void)
{
	struct path d = dirs_path("base"), m = dirs_path("m");
	struct model_job j = model_job("official", 2);
	struct report r;

	make();
	CHECK(is_of(FLASH, off.s, 427));
	CHECK(is_of(FLASH, off8.s, 427));
	CHECK(is_of(FLASH, set.s, 427));
	CHECK(is_of(FLASH, tp.s, 427));
	CHECK(is_of(FLASH, hf8.s, 427));
	CHECK(is_of(FLASH, slice.s, 0));
	CHECK(!compare(&r, FLASH, set.s, 10));
	CHECK(row_of(&r, "parts")->count > 10 && row_of(&r, "parts")->count < 150);
	report_free(&r);
	/* FP8 experts, scales in FP32, copies that the official converter skips */
	{
		char args[700];

		snprintf(args, sizeof args, "%s --config tests/configs/small-base.json", m.s);
		CHECK(!model_tool("mkmodel", args));
	}
	CHECK(convert(&j, m.s, d.s));
	CHECK(!compare(&r, m.s, d.s, 100) && !r.n);
	CHECK(row_of(&r, "tensors left out, as the target does")->count == 2);
	report_free(&r);
	dirs_remove(d.s);
	j = model_job("official", 1);
	j.plan.layers = "1";
	CHECK(convert(&j, FLASH, d.s));
	CHECK(!compare(&r, FLASH, d.s, 100) && !r.n);
	report_free(&r);
}

/* Every engine. */
static void engines_all(void)
{
	struct path d = dirs_path("engine");
	const struct engine *g;
	struct job_opts o;
	struct err e;
	unsigned n = 0;

	for (g = engines; g < engines + n_engines; g++) {
		o = set_opts(g->name, 1, false);
		dirs_remove(d.s);
		if (set_execute(FLASH, d.s, &o, &e))
			continue; /* too small for it */
		n++;
		CHECK_IN(g->name, is_of(FLASH, d.s, 427));
	}
	printf("     %u engines\n", n);
	CHECK(n >= 6);
}

/* A byte of a tensor flipped: the tensor is named, and the place where it came from. */
static void flip(const char *out, const char *file, const char *tensor, uint64_t byte,
	const char *place)
{
	struct path d = copy_of(out), p = model_file(d.s, file);
	size_t n, i;
	uint8_t *b = file_get_all(p.s, &n);
	char side[300];
	json_t *o, *t, *list;

	snprintf(side, sizeof side, "%s" MAN_SIDECAR, file);
	o = load(d.s, side);
	list = json_object_get(o, "tensors");
	json_array_foreach(list, i, t)
	{
		if (strcmp(json_string_value(json_object_get(t, "name")), tensor))
			continue;
		b[json_integer_value(json_object_get(json_object_get(o, "file"), "header_bytes")) +
			json_integer_value(json_array_get(json_object_get(t, "offsets"), 0)) +
			(json_int_t)byte] ^= 1;
		break;
	}
	CHECK_IN(tensor, i < json_array_size(list));
	json_decref(o);
	model_put(d.s, file, b, n);
	free(b);
	CHECK_IN(tensor, is_not(FLASH, d.s, "compare.bytes", place));
}

static void places(void)
{
	make();
	flip(off.s, "model1-mp2.safetensors", "norm.weight", 7,
		"norm.weight (copy), row 3, column 0");
	flip(off.s, "model0-mp2.safetensors", "layers.0.ffn.experts.0.w1.weight", 300,
		"(copy), row 2, column 88");
	flip(off.s, "model1-mp2.safetensors", "embed.weight", 513, "(rows), row 1, column 0");
	flip(off.s, "model1-mp2.safetensors", "layers.0.attn.wo_b.weight", 130,
		"(columns), row 1, column 2");
	flip(off.s, "model0-mp2.safetensors", "layers.0.attn.wo_a.weight", 3,
		"(dequantize), row 0, column 1");
	flip(off8.s, "model0-mp2.safetensors", "layers.0.ffn.experts.1.w2.weight", 260,
		"(fp4-to-fp8), row 2, column 4");
	flip(off8.s, "model0-mp2.safetensors", "layers.0.ffn.experts.1.w2.scale", 1,
		"(fp4-to-fp8), row 1, column 0");
	/* laid out: the place in the source */
	flip(set.s, "rank-1-of-2/model-00002-of-00007.safetensors",
		"layers.0.ffn.experts.w13.weight", 0,
		"row 0, column 0 of layers.0.ffn.experts.4.w1.weight");
	flip(tp.s, "rank-1-of-2/model-00002-of-00007.safetensors", "layers.0.ffn.experts.w2.scale",
		0, "row 0, column 2 of layers.0.ffn.experts.0.w2.scale");
	flip(slice.s, "model-00002-of-00005.safetensors", "layers.0.ffn.gate.tid2eid", 16,
		"(remap), row ");
}

/* Sidecars that say something else than what was done, or than the target asks for. */
static void lies(void)
{
	static const char w1[] = "\"tensor\": \"layers.0.ffn.experts.0.w1.weight\"";
	static const char w3[] = "\"tensor\": \"layers.0.ffn.experts.0.w3.weight\"";
	/* clang-format off */
	static const struct {
		struct path *out;
		const char *file, *from, *to, *rule, *word;
	} table[] = {
		{ &off, "model0-mp2.safetensors", w1, w3, "compare.shape", "another name" },
		{ &off, "model0-mp2.safetensors", w1, "\"tensor\": \"x\"", "compare.source", "no tensor x" },
		{ &off, "model0-mp2.safetensors", "\"shard\": \"model-00001", "\"shard\": \"model-00002", "compare.source", "no tensor" },
		{ &off, "model0-mp2.safetensors", "\"rows\": [0, 128]", "\"rows\": [1, 129]", "compare.bytes", "(rows)" },
		{ &off, "model0-mp2.safetensors", "\"rows\": [0, 128]", "\"rows\": [0, 127]", "compare.shape", "type or shape" },
		{ &off, "model0-mp2.safetensors", "\"rows\": [0, 128]", "\"rows\": [0, 99999]", "compare.shape", "more rows" },
		{ &off, "model0-mp2.safetensors", "\"dequantize\"", "\"copy\"", "compare.shape", "more sources" },
		{ &off, "model0-mp2.safetensors", "\"dequantize\"", "\"fp4-to-fp8\"", "compare.shape", "FP4" },
		{ &off, "model0-mp2.safetensors", "\"dequantize\"", "\"remap\"", "compare.shape", "expert ids" },
		{ &off8, "model0-mp2.safetensors", "\"fp4-to-fp8\"", "\"dequantize\"", "compare.shape", "(dequantize)" },
		{ &set, "rank-0-of-2/model-00002-of-00007.safetensors", w1, w3, "compare.shape", "experts in order" },
		{ &set, "rank-0-of-2/model-00002-of-00007.safetensors", "\"frag-k32-sf-256\"", "\"frag-k32-sf-128\"", "check.header", "dsv4.layouts" },
		{ &set, "rank-0-of-2/model-00002-of-00007.safetensors", "\"version\": 1", "\"version\": 2", NULL, "none of this program's" },
		{ &set, "rank-0-of-2/model-00002-of-00007.safetensors", "\"rows\": \"gate-up\"", "\"rows\": \"up-gate\"", "compare.shape", "of the target" },
	};
	/* clang-format on */
	struct path d, in;
	struct report r;
	char file[300], *slash;
	size_t i;

	make();
	for (i = 0; i < sizeof table / sizeof *table; i++) {
		d = copy_of(table[i].out->s);
		in = d;
		snprintf(file, sizeof file, "%s", table[i].file);
		slash = strchr(file, '/');
		if (slash) {
			*slash = 0;
			in = model_file(d.s, file);
			memmove(file, slash + 1, strlen(slash + 1) + 1);
		}
		if (slash) { /* the manifest above has to know the one below */
			char old[65], now[65];

			digest_file(model_file(in.s, MAN_NAME).s, old);
			verify_edit(in.s, file, table[i].from, table[i].to);
			digest_file(model_file(in.s, MAN_NAME).s, now);
			verify_exchange(model_file(d.s, MAN_NAME).s, old, now);
			verify_seal(d.s);
		} else {
			verify_edit(in.s, file, table[i].from, table[i].to);
		}
		if (table[i].rule) {
			CHECK_IN(table[i].to, is_not(FLASH, d.s, table[i].rule, table[i].word));
		} else {
			compare(&r, FLASH, d.s, 100);
			CHECK(verify_find(&r, "set.layout", NULL));
			report_free(&r);
		}
	}
}

static void others(void)
{
	struct path d, m;
	struct report r;
	uint8_t *p;
	size_t n;

	make();
	/* another source: one weight differs; another model; no conversion at all */
	m = model_copy(FLASH, "other");
	p = file_get_all(model_file(m.s, "model-00001-of-00007.safetensors").s, &n);
	p[n - 2] ^= 1;
	model_put(m.s, "model-00001-of-00007.safetensors", p, n);
	free(p);
	CHECK(is_not(m.s, off.s, "compare.bytes", "embed.weight"));
	CHECK(is_not(m.s, set.s, "compare.bytes", "embed.weight"));
	CHECK(is_not(PRO, off.s, "compare.source", ""));
	CHECK(compare(&r, FLASH, PRO, 100) == 2);
	report_free(&r);
	/* a rank or a file is missing; the manifest does not name it any more */
	d = copy_of(off.s);
	unlink(model_file(d.s, "model1-mp2.safetensors").s);
	CHECK(is_not(FLASH, d.s, "check.missing", ""));
	CHECK(is_not(FLASH, d.s, "compare.lost", "does not appear whole"));
	CHECK(is_not(FLASH, d.s, "compare.lost", "does not"));
	d = copy_of(hf8.s);
	p = file_get_all(model_file(d.s, MAN_NAME).s, &n);
	{
		char *a = strstr((char *)p, "  {\"bytes\": "), *b;

		a = strchr(strchr(a, '\n') + 1, ' ');
		b = strchr(a, '\n') + 1; /* the line of the first shard */
		memmove(a, b, n - (size_t)(b - (char *)p));
		model_put(d.s, MAN_NAME, p, n - (size_t)(b - a));
		free(p);
	}
	verify_seal(d.s);
	CHECK(is_not(FLASH, d.s, "compare.lost", "appears nowhere"));
	/* small files */
	d = copy_of(hf8.s);
	verify_exchange(model_file(d.s, "config.json").s, "\"num_hidden_layers\"",
		"\"num_hidden_lavers\"");
	CHECK(is_not(FLASH, d.s, "compare.file", "not as in the source"));
	verify_exchange(model_file(d.s, "source/model-00002-of-00007.safetensors.header").s, "BF16",
		"BF61");
	CHECK(is_not(FLASH, d.s, "compare.file", "not as in the source"));
	/* files that the source does not have: by their digests */
	d = copy_of(hf8.s);
	verify_exchange(model_file(d.s, "model.safetensors.index.json").s, "weight_map",
		"weight_mbp");
	CHECK(is_not(FLASH, d.s, "compare.file", "not that of the manifest"));
	d = copy_of(hf8.s);
	p = file_get_all(model_file(d.s, "model-00002-of-00007.safetensors.dropped").s, &n);
	CHECK(p && n);
	p[n / 2] ^= 1;
	model_put(d.s, "model-00002-of-00007.safetensors.dropped", p, n);
	CHECK(is_not(FLASH, d.s, "compare.file", "not that of its sidecar"));
	model_put(d.s, "model-00002-of-00007.safetensors.dropped", p, n - 1);
	CHECK(is_not(FLASH, d.s, "set.size", ""));
	free(p);
}

/* What the manifest says was asked for switches off only what it names, and nothing is no conversion. */
/* An index of which no manifest has a digest is held to the headers. */
static void indexes(void)
{
	struct path out = dirs_path("fp8-index");
	struct model_job j = model_job("hf", 1);
	char sha[65], said[100];

	j.plan.experts = CODEC_FP8;
	CHECK(convert(&j, FLASH, out.s));
	digest_file(model_file(out.s, CKPT_INDEX).s, sha);
	snprintf(said, sizeof said, "\"sha256\": \"%s\"", sha);
	verify_exchange(model_file(out.s, MAN_NAME).s, said, "\"sha256\": null");
	verify_seal(out.s);
	CHECK(is_of(FLASH, out.s, 0));
	verify_exchange(model_file(out.s, CKPT_INDEX).s, "\"embed.weight\": \"model-00001",
		"\"embed.weight\": \"model-00002");
	CHECK(is_not(FLASH, out.s, "compare.file", "the index"));
}

static void some_layers(void)
{
	struct path d, hf = dirs_path("hf-layers");
	struct model_job j = model_job("hf", 1);
	json_error_t je;
	json_t *o;

	make();
	CHECK(convert(&j, FLASH, hf.s));
	d = copy_of(hf.s);
	o = json_load_file(model_file(d.s, MAN_NAME).s, 0, &je);
	CHECK(!json_array_remove(json_object_get(o, "files"), 1)); /* model-00001, the embedding */
	CHECK(!json_object_set_new(json_object_get(o, "options"), "layers",
		json_string("anything")));
	chain_put(model_file(d.s, MAN_NAME).s, o);
	CHECK(is_not(FLASH, d.s, "compare.lost", "names no blocks"));
	CHECK(!json_object_set_new(json_object_get(o, "options"), "layers",
		json_string("embed,0-1")));
	chain_put(model_file(d.s, MAN_NAME).s, o);
	CHECK(is_not(FLASH, d.s, "compare.lost", "source tensor embed.weight"));
	CHECK(!json_object_set_new(json_object_get(o, "options"), "layers", json_string("0-1")));
	chain_put(model_file(d.s, MAN_NAME).s, o);
	CHECK(is_not(FLASH, d.s, "check.extra", "does not name")); /* its weights lie there still */
	verify_exchange(model_file(d.s, "config.json").s, "num_hidden_layers", "num_hidden_lavers");
	CHECK(is_not(FLASH, d.s, "compare.file", "not as in the source"));
	while (json_array_size(json_object_get(o, "files")) > 1) /* config.json is left */
		CHECK(!json_array_remove(json_object_get(o, "files"), 1));
	chain_put(model_file(d.s, MAN_NAME).s, o);
	CHECK(is_not(FLASH, d.s, "compare.lost", "appears nowhere"));
	CHECK(!json_object_set_new(o, "target", json_string("slice")));
	chain_put(model_file(d.s, MAN_NAME).s, o);
	CHECK(is_not(FLASH, d.s, "compare.lost", "no tensor that could be compared"));
	json_decref(o);
	/* a real one is true, for all that it has */
	j.plan.layers = "embed,0-1,mtp";
	dirs_remove(d.s);
	CHECK(convert(&j, FLASH, d.s) && is_of(FLASH, d.s, 0));
}

static void program(void)
{
	char args[900];

	make();
	snprintf(args, sizeof args, "compare " FLASH " %s -q --sample 20", set.s);
	CHECK(model_tool("dsv4-verify", args) == 0);
	snprintf(args, sizeof args, "compare " PRO " %s -q --json", set.s);
	CHECK(model_tool("dsv4-verify", args) == 1);
	CHECK(model_tool("dsv4-verify", "compare " PRO) == 2);
}

static const struct test tests[] = {
	{ "compare: true", true_ones },
	{ "compare: engines", engines_all },
	{ "compare: places", places },
	{ "compare: sidecars that lie", lies },
	{ "compare: other sources, missing files", others },
	{ "compare: indexes", indexes },
	{ "compare: some layers", some_layers },
	{ "compare: program", program },
	{ NULL, NULL },
};
TEST_MAIN(tests)
