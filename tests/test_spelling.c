/* test_spelling.c -- the bytes of the model under other types: read as what they are, written with the official types,
 * and given back as they were.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/ck.h"
#include "tests/verify.h"
#include "verify/compare/compare.h"
#include "verify/compare/diff.h"
#include "verify/run/compute.h"

/* --- the ways to spell --- */

static void experts_f4(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".weight"));) {
		strcpy(t->type, "F4");
		t->dim[1] *= 2;
	}
}

static void experts_u8(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, ".ffn.experts.", ".weight"));)
		strcpy(t->type, "U8");
}

static void scales_u8(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, NULL, ".scale"));)
		if (!strcmp(t->type, "F8_E8M0"))
			strcpy(t->type, "U8");
}

static void weights_u8(struct ck *c)
{
	struct ck_tensor *t;
	size_t i;

	for (i = 0; (t = ck_next(c, &i, ".attn.", ".weight"));)
		if (!strcmp(t->type, "F8_E4M3"))
			strcpy(t->type, "U8");
}

/* One tensor of one shard, the others as they are. */
static void one(struct ck *c)
{
	strcpy(ck_get(c, "layers.1.ffn.experts.3.w2.scale")->type, "U8");
}

static const struct way {
	const char *name;
	void (*change)(struct ck *c);
} ways[] = {
	{ "experts_f4", experts_f4 },
	{ "experts_u8", experts_u8 },
	{ "scales_u8", scales_u8 },
	{ "weights_u8", weights_u8 },
	{ "one", one },
};
enum { WAYS = sizeof ways / sizeof *ways };

static struct path spelled(const struct way *w)
{
	struct ck *c = ck_load(PRO);
	struct path dir;

	w->change(c);
	dir = ck_write(c, w->name);
	ck_free(c);
	return dir;
}

/* --- */

static void read_as_they_are(void)
{
	struct report r;
	struct path dir;
	int i;

	for (i = 0; i < WAYS; i++) {
		dir = spelled(&ways[i]);
		CHECK_IN(ways[i].name, ck_doctor(&r, dir.s, NULL, NULL, true) == 0);
		CHECK_IN(ways[i].name,
			r.n == 1 && !strcmp(r.findings[0].rule, "model.spelling") &&
				strstr(r.findings[0].cause, "only the headers differ"));
		report_free(&r);
	}
}

/* What an engine makes of them, nobody has looked at. */
static void engines_unknown(void)
{
	struct path dir = spelled(&ways[0]);
	struct report r;

	CHECK(ck_doctor(&r, dir.s, "vllm", NULL, false) == 2);
	CHECK(verify_find(&r, "engine.types", NULL) != NULL);
	report_free(&r);
}

/* Weights as made of the official spelling, and the shards as they were. */
static void there_and_back(void)
{
	static const char *const targets[] = { "official", "hf", "marlin-mxfp4" };
	struct path dir, out, want, back;
	struct job_opts o, b = set_back();
	struct err e;
	char line[1600];
	int i, k;

	for (k = 0; k < 3; k++) {
		o = set_opts(targets[k], 1, false);
		if (k < 2)
			o.plan.share = (struct share){ 0 };
		want = dirs_path("want");
		dirs_remove(want.s);
		CHECK(set_makes(PRO, want.s, &o));
		for (i = 0; i < WAYS; i++) {
			dir = spelled(&ways[i]);
			out = dirs_path("out");
			back = dirs_path("back");
			dirs_remove(out.s);
			dirs_remove(back.s);
			CHECK_IN(ways[i].name, set_makes(dir.s, out.s, &o));
			/* All files of weights; manifests name the shards, which have other headers. */
			snprintf(line, sizeof line,
				"cd %s && for f in $(find . -name '*.safetensors'); do cmp $f %s/$f || exit 1; done",
				want.s, out.s);
			CHECK_IN(ways[i].name, !system(line));
			if (!k)
				continue; /* there is no way back from official */
			CHECK_IN(e.text, !set_execute(out.s, back.s, &b, &e));
			snprintf(line, sizeof line,
				"cd %s && for f in *.safetensors; do cmp $f %s/$f || exit 1; done",
				dir.s, back.s);
			CHECK_IN(ways[i].name, !system(line));
		}
	}
}

/* diff is about what files say: another type is a difference. */
static void told_apart(void)
{
	struct diff_opts o = { .open = { .io = io_posix() }, .threads = 2 };
	struct path dir = spelled(&ways[2]);
	struct err e = { 0 };
	struct report r;

	report_begin(&r, "test 0", "diff", PRO, dir.s);
	CHECK(!diff_run(&r, PRO, dir.s, &o, &e) && report_finish(&r, &e) && err_exit_code(&e) == 1);
	report_free(&r);
}

static const struct test tests[] = {
	{ "read_as_they_are", read_as_they_are },
	{ "engines", engines_unknown },
	{ "there_and_back", there_and_back },
	{ "told_apart", told_apart },
	{ NULL, NULL },
};
TEST_MAIN(tests)
