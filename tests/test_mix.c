/* test_mix.c -- recipe files: the ones that are compiled in, what lines name, and files that are refused.
 *
 * SPDX-License-Identifier: MIT */
#include "core/file.h"
#include "formats/gguf/ggml_type.h"
#include "formats/model/family.h"
#include "formats/model/mix.h"
#include "quant/preset.h"
#include "tests/dirs.h"

#include <unistd.h>

#define HEAD "dsv4-recipe-1 gguf\n"

/* A model with rows of 256: three layers, the second with an indexer, and an MTP block. */
struct model {
	struct config_doc doc;
	struct config c;
	struct inventory v;
};

static bool model_open(struct model *m)
{
	const struct model_forms forms = { CODEC_FP8, CODEC_MXFP4 };
	struct err e = { 0 };

	memset(m, 0, sizeof *m);
	if (!config_doc_read(&m->doc, io_posix(), AT_FDCWD, "tests/configs/small4.json", &e) &&
		!config_read(&m->c, &m->doc, &e) && !inventory_make(&m->v, &m->c, forms, &e))
		return true;
	FAILED(e.text);
	return false;
}

static void model_close(struct model *m)
{
	inventory_free(&m->v);
	config_free(&m->c);
	config_doc_free(&m->doc);
}

/* Reads and holds a recipe to the model. */
static int take(struct mix *x, const struct model *m, const char *text, struct err *e)
{
	*e = (struct err){ 0 };
	if (mix_read(x, text, strlen(text), "R", &m->c, e))
		return -1;
	if (!mix_check(x, "R", &m->v, &m->c, true, false, e))
		return 0;
	mix_free(x);
	return -1;
}

/* The type that tensor `name` gets; -1: the recipe does not name it. */
static long type_of(const struct mix *x, const struct model *m, const char *name)
{
	const struct want *w = inventory_find(&m->v, name);
	const struct mix_line *l = w ? mix_find(x, w) : NULL;

	CHECK_IN(name, w);
	return l ? (long)l->type : -1;
}

static void compiled_in(void)
{
	struct model m;
	const struct preset *p;
	struct err e;
	struct mix x;
	char path[128];
	uint8_t *file;
	size_t n, all = 0;

	if (!model_open(&m))
		return;
	for (p = presets; p->name; p++, all++) {
		snprintf(path, sizeof path, "quant/recipes/%s.recipe", p->name);
		file = file_get_all(path, &n);
		CHECK_IN(p->name, n == strlen(p->text) && !memcmp(file, p->text, n));
		free(file);
		CHECK_IN(p->name, preset_text(p->name) == p->text);
		if (take(&x, &m, p->text, &e)) {
			CHECK_IN(p->name, !e.text[0]);
			fprintf(stderr, "%s\n", e.text);
			continue;
		}
		CHECK_IN(p->name, type_of(&x, &m, "layers.0.ffn.experts.3.w1.weight") > GGML_Q8_0);
		CHECK_IN(p->name, type_of(&x, &m, "layers.0.attn.wq_a.weight") == GGML_Q8_0);
		CHECK_IN(p->name, type_of(&x, &m, "head.weight") == GGML_Q8_0);
		CHECK_IN(p->name, type_of(&x, &m, "layers.0.attn_norm.weight") < 0);
		mix_free(&x);
	}
	CHECK(all == 5 && !preset_text("gguf"));
	model_close(&m);
}

static void names_tensors(void)
{
	static const char text[] = HEAD "# a comment\n"
					"ffn.experts.#.w1 0-1 * q2_k # and another\r\n"
					"\tffn.experts.#.w1\t2\t*\tQ4_K\n"
					"ffn.experts.#.w1 mtp * q3_k\n"
					"\n"
					"then\n"
					"ffn.experts.*.w* * * q6_k\n"
					"embed embed * f16"; /* no end of line */
	struct model m;
	struct mix x, y;
	struct err e;

	if (!model_open(&m))
		return;
	if (take(&x, &m, text, &e)) {
		FAILED(e.text);
		model_close(&m);
		return;
	}
	CHECK(x.n == 5);
	CHECK(type_of(&x, &m, "layers.0.ffn.experts.0.w1.weight") == 10);
	CHECK(type_of(&x, &m, "layers.1.ffn.experts.11.w1.weight") == 10);
	CHECK(type_of(&x, &m, "layers.2.ffn.experts.11.w1.weight") == 12);
	CHECK(type_of(&x, &m, "mtp.0.ffn.experts.11.w1.weight") == 11);
	CHECK(type_of(&x, &m, "layers.2.ffn.experts.11.w3.weight") == 14);
	CHECK(type_of(&x, &m, "embed.weight") == GGML_F16);
	CHECK(type_of(&x, &m, "head.weight") < 0);
	/* what is kept of it is the same recipe */
	if (take(&y, &m, x.text.s, &e)) {
		FAILED(e.text);
	} else {
		CHECK(y.text.n == x.text.n && !memcmp(x.text.s, y.text.s, x.text.n));
		CHECK(y.n == x.n && type_of(&y, &m, "layers.2.ffn.experts.1.w2.weight") == 14);
		mix_free(&y);
	}
	mix_free(&x);
	model_close(&m);
}

/* What says one type of both halves of a tensor, or speaks of the second one only after the first, is taken. */
static void beside(void)
{
	static const char *const rows[] = { HEAD "e_proj * * q4_k\n",
		HEAD "e_proj * * q4_k\nh_proj * * q4_k\n", HEAD "*_proj mtp * q4_k\n",
		HEAD "e_proj * * q8_0\nthen\nh_proj * * q4_k\n" };
	struct model m;
	struct mix x;
	struct err e;
	size_t i;

	if (!model_open(&m))
		return;
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (take(&x, &m, rows[i], &e))
			FAILED(e.text);
		else
			mix_free(&x);
	}
	model_close(&m);
}

static void refused(void)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "", "it names nothing" },
		{ HEAD, "it names nothing" },
		{ "ffn.experts.#.w1 * * q2_k\n", "line 1: a recipe begins with the line" },
		{ "dsv4-recipe-1 shards\n", "line 1: a recipe begins with the line" },
		{ "dsv4-recipe-2 gguf\n", "line 1: a recipe begins with the line" },
		{ HEAD "embed * *\n", "line 2: a line is ROLE BLOCKS EXPERTS TYPE" },
		{ HEAD "embed * * q8_0 x=1\n", "line 2: a line is ROLE BLOCKS EXPERTS TYPE" },
		{ HEAD "then then\n", "line 2: a line is ROLE BLOCKS EXPERTS TYPE" },
		{ HEAD "embd * * q8_0\n", "no role is called embd. Did you mean embed?" },
		{ HEAD "embed * * q9_0\n", "ggml has no type q9_0; it has F32 F16" },
		{ HEAD "embed 7 * q8_0\n",
			"line 2: BLOCKS: \"7\" is no layer or range from 0 to 2" },
		{ HEAD "embed 2-1 * q8_0\n", "line 2: BLOCKS" },
		{ HEAD "embed mtp.1 * q8_0\n", "line 2: BLOCKS: there is no mtp.1" },
		{ HEAD "embed 0 * q8_0\n", "line 2: it names no tensor of this model" },
		{ HEAD "main_proj * * q8_0\n", "line 2: it names no tensor of this model" },
		{ HEAD "embed * * q8_0\nemb* embed * f16\n",
			"lines 2 and 3 both name embed.weight" },
		{ HEAD "embed * * q8_0\nembed * * q8_0\n", "lines 2 and 3 both name embed.weight" },
		{ HEAD "h_proj mtp.0 * q4_k\n", "line 2: a GGUF has e_proj and h_proj of a block" },
		{ HEAD "e_proj * * q8_0\nh_proj * * q4_k\n",
			"line 3: a GGUF has e_proj and h_proj" },
		{ HEAD "h_proj * * q4_k\nthen\ne_proj * * q8_0\n", "name e_proj" },
		{ HEAD "ffn.experts.#.w1 * 12 q2_k\n", "line 2: neither * nor an id of an expert" },
		{ HEAD "ffn.experts.#.w1 * 3-2 q2_k\n",
			"line 2: neither * nor an id of an expert" },
		{ HEAD "ffn.experts.#.w1 * 0-3 q2_k\nffn.experts.#.w1 * 4-11 q4_k\n",
			"line 2: a GGUF has the experts of a layer in one tensor" },
	};
	struct model m;
	struct mix x;
	struct err e;
	char *large;
	size_t i;

	if (!model_open(&m))
		return;
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		CHECK_IN(rows[i].text, take(&x, &m, rows[i].text, &e) == -1 && !x.v);
		CHECK_IN(rows[i].text, strstr(e.text, rows[i].says));
		CHECK_IN(e.text, e.rule && !strcmp(e.rule, "plan.recipe"));
	}
	/* bytes that are no text, and lines without end */
	CHECK(mix_read(&x, HEAD "embed * * q8\0_0\n", sizeof HEAD + 16, "R", &m.c, &e) == -1);
	large = malloc(MIX_BYTES + 1);
	if (large) {
		memset(large, '*', MIX_BYTES + 1);
		CHECK(mix_read(&x, large, MIX_BYTES + 1, "R", &m.c, &e) == -1);
		CHECK(mix_read(&x, large, MIX_BYTES, "R", &m.c, &e) == -1);
		memset(large, '\n', MIX_BYTES);
		CHECK(mix_read(&x, large, MIX_BYTES, "R", &m.c, &e) == -1);
	}
	free(large);
	model_close(&m);
}

static const struct test tests[] = { { "mix: compiled in", compiled_in },
	{ "mix: names tensors", names_tensors }, { "mix: beside", beside },
	{ "mix: refused", refused }, { NULL, NULL } };
TEST_MAIN(tests)
