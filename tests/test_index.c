/* test_index.c -- model.safetensors.index.json that is not of its shards: stale, unreadable, with a sum that is not
 * one; what is said of it, that no shard is called superfluous, and the index that doctor --fix-index makes.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/model/index.h"
#include "tests/ck.h"
#include "tests/verify.h"

/* The index of FLASH with from replaced by to, everywhere. The caller frees. */
static char *replaced(const char *from, const char *to)
{
	size_t n, len = strlen(from);
	char *s = (char *)file_get_all(FLASH "/" CKPT_INDEX, &n), *at, *p;
	struct text t = { 0 };

	s[n] = 0;
	for (p = s; (at = strstr(p, from)); p = at + len) {
		text_put(&t, p, (size_t)(at - p));
		text_str(&t, to);
	}
	CHECK_IN(from, p > s);
	text_str(&t, p);
	free(s);
	return t.s;
}

/* from: what is replaced in the index. NULL: to is all of it; to NULL: there is none. */
static const struct row {
	const char *name, *from, *to, *rule;
	int status;
} rows[] = {
	{ "other shards", "-of-00007", "-of-00009", "index.stale", 1 },
	{ "other names", "\"layers.", "\"model.layers.", "index.stale", 1 },
	{ "other block", "\"layers.", "\"blocks.", "index.stale", 1 },
	{ "one place", "\"norm.weight\": \"model-00006", "\"norm.weight\": \"model-00005",
		"index.wrong-shard", 1 },
	{ "some names", ".ffn_norm.", ".ffn_nurm.", "index.not-in-index", 1 },
	{ "no JSON", NULL, "{ \"weight_map\": { \"a\": ", "json.cut", 1 },
	{ "none", NULL, NULL, "index.missing", 1 },
	{ "another sum", "\"total_size\": ", "\"total_size\": 1", "index.total-size", 0 },
	{ "a float, another sum", "\"total_size\": ", "\"total_size\": 0.", "index.total-size", 0 },
};
enum { ROWS = sizeof rows / sizeof *rows };

static int doctor(struct report *r, const char *dir, const char *fix)
{
	struct doctor_opts o = {
		.io = io_posix(), .fix_index = fix, .threads = 2, .features = cpu_features()
	};
	struct err e = { 0 };

	report_begin(r, "test 0", "doctor", dir, NULL);
	if (doctor_run(r, dir, &o, &e))
		report_take(r, NULL, &(struct err){ .kind = e.kind, .rule = e.rule, .pos = e.pos });
	else
		report_finish(r, &e);
	return err_exit_code(&e);
}

static struct path with_index(const struct row *w)
{
	struct path dir = model_copy(FLASH, "index");
	char *s = w->from ? replaced(w->from, w->to) : w->to ? strdup(w->to) : NULL;

	if (s)
		model_put(dir.s, CKPT_INDEX, s, strlen(s));
	else
		unlink(model_file(dir.s, CKPT_INDEX).s);
	free(s);
	return dir;
}

/* The file is the index of FLASH, which ends without a newline, and a newline. */
static bool same_index(const char *path)
{
	size_t n = 0, m = 0;
	char *a = (char *)file_get_all(path, &n),
	     *b = (char *)file_get_all(FLASH "/" CKPT_INDEX, &m);
	bool same = a && b && n == m + 1 && !memcmp(a, b, m) && a[m] == '\n';

	free(a);
	free(b);
	return same;
}

/* What is said; that no sentence tells to remove a shard; the index made anew is that of the model. */
static bool holds(const struct row *w)
{
	struct path dir = with_index(w), fixed = dirs_path("fixed-index.json");
	const struct report_finding *f;
	struct report r;
	bool ok;
	int rc;

	unlink(fixed.s);
	rc = doctor(&r, dir.s, fixed.s);
	f = verify_find(&r, w->rule, NULL);
	ok = f && rc == w->status && r.n <= 2 && !strstr(report_remedy(f), "remove all") &&
		strncmp(report_remedy(f), "remove", 6) && is_file(fixed.s) && same_index(fixed.s);
	if (!ok) {
		fprintf(stderr, "%s: status %d, fixed %d\n", w->name, rc, is_file(fixed.s));
		verify_print(&r);
	}
	report_free(&r);
	return ok;
}

static void judged(void)
{
	int i;

	for (i = 0; i < ROWS; i++)
		CHECK_IN(rows[i].name, holds(&rows[i]));
}

/* A stale index does not keep the tensors from being audited, and a sum that is wrong does not stop a conversion. */
static void goes_on(void)
{
	struct path dir = with_index(&rows[ROWS - 1]), out = dirs_path("out"),
		    stale = with_index(&rows[0]);
	struct model_job j = model_job("hf", 1);
	struct report r;
	struct ck *c;

	dir = with_index(&rows[ROWS - 1]);
	CHECK(convert(&j, dir.s, out.s));
	CHECK(same_index(model_file(out.s, CKPT_INDEX).s));
	dirs_remove(out.s);
	c = ck_load(FLASH);
	ck_get(c, "layers.2.ffn_norm.weight")->gone = true;
	stale = ck_write(c, "stale");
	ck_free(c);
	dir = with_index(&rows[0]);
	CHECK(same_files(model_file(dir.s, "config.json").s, model_file(stale.s, "config.json").s));
	unlink(model_file(stale.s, CKPT_INDEX).s);
	CHECK(!link(model_file(dir.s, CKPT_INDEX).s, model_file(stale.s, CKPT_INDEX).s));
	CHECK(doctor(&r, stale.s, NULL) == 1);
	CHECK(verify_find(&r, "index.stale", NULL) && verify_find(&r, "model.missing", NULL));
	CHECK(r.n == 2);
	report_free(&r);
}

/* Never where shards are missing or where nothing is wrong. */
static void not_written(void)
{
	struct path dir = with_index(&rows[0]), fixed = dirs_path("fixed-index.json");
	struct report r;

	unlink(fixed.s);
	CHECK(doctor(&r, FLASH, fixed.s) == 0 && !is_file(fixed.s));
	report_free(&r);
	CHECK(doctor(&r, dir.s, fixed.s) == 1 && same_index(fixed.s));
	report_free(&r);
	unlink(fixed.s);
	unlink(model_file(dir.s, "model-00003-of-00007.safetensors").s);
	CHECK(doctor(&r, dir.s, fixed.s) == 1 && !is_file(fixed.s));
	report_free(&r);
}

/* A shard of something else beside those of the model: an index would make it part of it. */
static void strangers(void)
{
	static const char header[] =
		"{\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
	struct path dir = with_index(&rows[3]), fixed = dirs_path("fixed-index.json");
	uint8_t file[100] = { sizeof header - 1 };
	struct report r;

	unlink(fixed.s);
	memcpy(file + 8, header, sizeof header);
	model_put(dir.s, "adapter.safetensors", file, 8 + sizeof header);
	CHECK(doctor(&r, dir.s, fixed.s) == 1 && !is_file(fixed.s));
	CHECK(verify_find(&r, "model.unexpected", NULL));
	report_free(&r);
}

/* Of two shards with one number another is missing: their index is not called stale, and what differs is told. */
static void numbers_twice(void)
{
	struct path dir = with_index(&rows[0]);
	struct report r;

	CHECK(doctor(&r, dir.s, NULL) == 1 && verify_find(&r, "index.stale", NULL));
	report_free(&r);
	CHECK(!rename(model_file(dir.s, "model-00002-of-00007.safetensors").s,
		model_file(dir.s, "model-00003-of-00007.copy.safetensors").s));
	CHECK(doctor(&r, dir.s, NULL) == 1 && !verify_find(&r, "index.stale", NULL));
	report_free(&r);
}

static const struct test tests[] = { { "index_judged", judged }, { "index_goes_on", goes_on },
	{ "index_not_written", not_written }, { "index_strangers", strangers },
	{ "index_numbers_twice", numbers_twice }, { NULL, NULL } };
TEST_MAIN(tests)
