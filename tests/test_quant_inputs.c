/* test_quant_inputs.c -- scales of activations as tensors: of a safetensors file, of another export; entries that are
 * missing, no number, of another model; and a folder that is read and written.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/recipes.h"
#include "tests/ck.h"
#include "tests/shell.h"

#include <math.h>

#define W1 "layers.0.ffn.experts.0.w1"

/* The most tensors of a file that is made here. */
enum { SOME = 4 };

struct entry {
	const char *name, *type; /* name NULL: no more */
	float v;
	unsigned n; /* numbers; 0: one */
};

static struct path out;

/* A safetensors file of these. */
static void put_file(const char *path, const struct entry *v)
{
	struct text head = { 0 };
	uint8_t payload[64] = { 0 };
	uint64_t at = 0, n;
	uint32_t bits;
	const struct entry *x;
	unsigned i, each;
	FILE *f;

	text_str(&head, "{");
	for (x = v; x < v + SOME && x->name; x++) {
		each = strcmp(x->type, "BF16") ? 4 : 2;
		n = x->n ? x->n : 1;
		text_fmt(&head,
			"%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%d,%d]}",
			at ? "," : "", x->name, x->type, x->n ? "2" : "", (int)at,
			(int)(at + n * each));
		memcpy(&bits, &x->v, sizeof bits);
		bits = each == 2 ? bits >> 16 : bits;
		for (i = 0; i < n; i++, at += each)
			memcpy(payload + at, &bits, each);
	}
	text_str(&head, "}");
	while (head.n % 8)
		text_str(&head, " ");
	n = head.n;
	f = fopen(path, "wb");
	if (!f || fwrite(&n, 1, 8, f) != 8 || fwrite(head.s, 1, head.n, f) != head.n ||
		fwrite(payload, 1, at, f) != at || fclose(f))
		exit(2);
	text_free(&head);
}

static struct job_opts to_nvfp4(const char *inputs)
{
	struct job_opts o = set_opts("nvfp4", 1, false);

	o.plan.share = (struct share){ 0 };
	o.plan.experimental = false;
	o.of_source = true;
	o.input_scale = inputs;
	return o;
}

static bool refuses(const char *inputs, const char *word)
{
	struct job_opts o = to_nvfp4(inputs);

	dirs_remove(out.s);
	return set_refuses(FLASH, out.s, &o, "plan.input-scale", word) && !is_file(out.s);
}

static float number_of(const char *dir, const char *tensor)
{
	struct ck *c = ck_load(dir);
	float v;

	memcpy(&v, ck_get(c, tensor)->p, sizeof v);
	ck_free(c);
	return v;
}

/* Maxima in F32 and BF16; w1 and w3 get the larger one, experts of no token the largest of their projection. */
static void maxima(void)
{
	static const struct entry v[SOME] = { { W1 "_input_quantizer._amax", "F32", 2688, 0 },
		{ "layers.0.ffn.experts.0.w3.input_quantizer._amax", "BF16", 5376, 0 },
		{ "layers.1.ffn.experts.2.w2.input_amax", "F32", 1344, 0 },
		{ "layers.1.attn.wq_a.input_quantizer._amax", "F32", 0, 0 } };
	struct path file = dirs_path("amax.safetensors");
	struct job_opts o = to_nvfp4(file.s);

	out = dirs_path("out");
	dirs_remove(out.s);
	put_file(file.s, v);
	CHECK(set_makes(FLASH, out.s, &o));
	CHECK(number_of(out.s, W1 ".input_scale") == 2);
	CHECK(number_of(out.s, "layers.0.ffn.experts.0.w3.input_scale") == 2);
	CHECK(number_of(out.s, "layers.1.ffn.experts.2.w2.input_scale") == 0.5f);
	CHECK(number_of(out.s, "mtp.0.ffn.experts.7.w3.input_scale") == 2);
}

static void wrong(void)
{
#define AMAX W1 ".input_quantizer._amax"
	static const struct {
		struct entry v[SOME];
		const char *word;
	} rows[] = {
		{ { { AMAX, "F32", NAN, 0 } }, AMAX " is no number above zero" },
		{ { { AMAX, "F32", 0, 0 } }, AMAX " is no number above zero" },
		{ { { AMAX, "F32", -1, 0 } }, AMAX " is no number above zero" },
		{ { { AMAX, "F32", INFINITY, 0 } }, AMAX " is no number above zero" },
		{ { { AMAX, "BF16", NAN, 0 } }, AMAX " is no number above zero" },
		{ { { AMAX, "F32", 1, 2 } }, AMAX " is no one number in F32 or BF16" },
		{ { { AMAX, "I32", 1, 0 } }, AMAX " is no one number in F32 or BF16" },
		{ { { "layers.0.ffn.experts.8.w1.input_scale", "F32", 1, 0 } },
			"layers.0.ffn.experts.8.w1.input_scale is no expert's matrix of this model" },
		{ { { "layers.9.ffn.experts.0.w1.input_amax", "F32", 1, 0 } },
			"layers.9.ffn.experts.0.w1.input_amax is no expert's matrix of this model" },
		{ { { AMAX, "F32", 1, 0 } }, "it has nothing of the experts" }, /* none of w2 */
		{ { { W1, "F32", 1, 0 } }, "it has nothing of the experts" },   /* a weight */
		{ { { W1 ".input_scale", "F32", 1, 0 },
			  { "layers.0.ffn.experts.0.w2.input_scale", "F32", 1, 0 } },
			"layers.0.ffn.experts.0.w3.input_scale is not there" },
	};
	struct path file = dirs_path("wrong.safetensors");
	size_t i;
	uint8_t *p;
	size_t n;

	out = dirs_path("out");
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		put_file(file.s, rows[i].v);
		CHECK_IN(rows[i].word, refuses(file.s, rows[i].word));
	}
	/* A file that ends in its header, or in its payload, is none; nor is one that is a link. */
	put_file(file.s, rows[0].v);
	p = file_get_all(file.s, &n);
	for (i = 0; i < 3; i++) {
		struct job_opts o = to_nvfp4(file.s);
		struct err e;

		file_put_all(file.s, p, i == 0 ? n - 1 : i == 1 ? n - 8 : 9);
		CHECK(set_execute(FLASH, out.s, &o, &e) && !is_file(out.s));
		CHECK_IN(e.text, e.kind == ERR_USAGE && strstr(e.text, "wrong.safetensors"));
	}
	free(p);
}

/* Writes c, an export of ours, without the manifest that has digests of it: as another program writes it. */
static struct path foreign(struct ck *c)
{
	struct path p;

	dirs_remove(dirs_path("bad").s);
	p = ck_write(c, "bad");
	CHECK(!unlink(model_file(p.s, "manifest.json").s));
	ck_free(c);
	return p;
}

/* Another export, with one of its tensors changed. */
static void exports(void)
{
	struct path good = dirs_path("good"), bad;
	struct job_opts o = to_nvfp4("0.5");
	static const struct {
		const char *name;
		float v; /* -2: it is left out */
		const char *word;
	} rows[] = {
		{ W1 ".input_scale", NAN, W1 ".input_scale is no number above zero" },
		{ W1 ".input_scale", 0, W1 ".input_scale is no number above zero" },
		{ W1 ".input_scale", -2, W1 ".input_scale is not there" },
		{ "mtp.0.ffn.experts.3.w2.input_scale", -2,
			"mtp.0.ffn.experts.3.w2.input_scale is not there" },
	};
	struct ck_tensor *t;
	struct ck *c;
	size_t i;

	out = dirs_path("out");
	dirs_remove(good.s);
	CHECK(set_makes(FLASH, good.s, &o));
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		c = ck_load(good.s);
		t = ck_get(c, rows[i].name);
		memcpy(t->p, &rows[i].v, 4);
		t->gone = rows[i].v == -2;
		bad = foreign(c);
		CHECK_IN(rows[i].word, refuses(bad.s, rows[i].word));
	}
	/* Drafts that the exporter left as they were have none. */
	c = ck_load(good.s);
	for (i = 0; (t = ck_next(c, &i, "mtp.", ".input_scale"));)
		t->gone = true;
	bad = foreign(c);
	o.input_scale = bad.s;
	dirs_remove(out.s);
	CHECK(set_makes(FLASH, out.s, &o) &&
		number_of(out.s, "mtp.0.ffn.experts.3.w2.input_scale") == 0.5f);
	/* One of a larger model says so by its first expert that this one has not. */
	c = ck_load(good.s);
	t = ck_get(c, "layers.1.ffn.experts.7.w1.input_scale");
	snprintf(t->name, sizeof t->name, "layers.1.ffn.experts.8.w1.input_scale");
	bad = foreign(c);
	CHECK(refuses(bad.s, "layers.1.ffn.experts.8.w1.input_scale is no expert's matrix"));
}

/* The export that is read is not replaced by what is made with it. */
static void nested(void)
{
	struct path good = dirs_path("nested"),
		    file = dirs_path("nested/model-00002-of-00007.safetensors");
	const char *const said[3] = { good.s, file.s, dirs_path("nested/../nested").s };
	struct job_opts o = to_nvfp4("0.5");
	char args[1600];
	size_t i;

	dirs_remove(good.s);
	CHECK(set_makes(FLASH, good.s, &o));
	for (i = 0; i < 3; i++) {
		snprintf(args, sizeof args,
			"run -q " FLASH
			" -o %s --to nvfp4 --signed-zero drop --overwrite --input-scale %s",
			good.s, said[i]);
		if (i ==
			1) /* a file of one layer says nothing of the others, and is refused for that */
			CHECK(shell("dsv4-quant", args) == 2 &&
				holds(err_file.s, "plan.input-scale"));
		else
			CHECK(shell("dsv4-quant", args) == 2 && holds(err_file.s, "out.nested"));
		CHECK(is_file(file.s) && is_file(model_file(good.s, "manifest.json").s));
		memcpy(args, "plan   ", 7);
		CHECK(shell("dsv4-quant", args) == 2);
	}
}

static const struct test tests[] = { { "quant inputs: maxima", maxima },
	{ "quant inputs: wrong", wrong }, { "quant inputs: exports", exports },
	{ "quant inputs: nested", nested }, { 0 } };
TEST_MAIN(tests)
