/* test_report.c -- reports: verdicts, exit status, JSON with sorted keys, texts from files that cannot do
 * harm.
 *
 * SPDX-License-Identifier: MIT */
#include "core/rule.h"
#include "tests/check.h"
#include "core/pattern.h"
#include "verify/report/report.h"

#include <jansson.h>
#include <math.h>

static int finish(const struct report *r, struct err *e)
{
	memset(e, 0, sizeof *e);
	return report_finish(r, e);
}

static void verdicts(void)
{
	/* the findings in order, the verdict and the exit status they come to */
	static const struct {
		enum rule_id rule[3];
		unsigned n;
		const char *verdict;
		int status;
	} cases[] = {
		{ { RULE_CHECK_NO_DIGEST }, 0, "true", 0 },
		{ { RULE_CHECK_NO_DIGEST, RULE_CHECK_NO_DIGEST }, 2, "true", 0 },
		{ { RULE_DATA_ZEROS }, 1, "false", 1 },
		{ { RULE_CHECK_NO_DIGEST, RULE_CHECK_PLAN }, 2, "false", 1 },
		{ { RULE_CKPT_CHANGED, RULE_CHECK_PLAN }, 2, "false", 1 },
		{ { RULE_SET_CODEC }, 1, "unknown", 2 },
		{ { RULE_PLAN_SPLIT, RULE_CHECK_NO_DIGEST }, 2, "unknown", 2 },
		{ { RULE_CKPT_CHANGED, RULE_CKPT_CHANGED, RULE_DATA_ZEROS }, 3, "false", 1 },
	};
	struct report r;
	struct err e;
	size_t i;
	unsigned k;

	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		report_begin(&r, "test 0", "check", "DIR", NULL);
		for (k = 0; k < cases[i].n; k++)
			report_add(&r, cases[i].rule[k], NULL, "finding %u", k);
		CHECK_IN(cases[i].verdict, !strcmp(report_verdict(&r), cases[i].verdict));
		CHECK_IN(cases[i].verdict, finish(&r, &e) == (cases[i].status ? -1 : 0));
		CHECK_IN(cases[i].verdict, err_exit_code(&e) == cases[i].status);
		report_free(&r);
	}
}

/* Whether the keys of all objects come in order. */
static bool sorted(const char *json)
{
	json_error_t je;
	json_t *o = json_loads(json, JSON_REJECT_DUPLICATES, &je);
	char *a = o ? json_dumps(o, JSON_COMPACT) : NULL;
	char *b = o ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	bool same = a && b && !strcmp(a, b);

	if (!o)
		fprintf(stderr, "%s\n", je.text);
	free(a);
	free(b);
	json_decref(o);
	return same;
}

static void fill(struct report *r)
{
	static const char *const names[20] = { "a", "b\n", "c", "d", "e", "f", "g", "h", "i", "j",
		"k", "l", "m", "n", "o", "p", "q", "r", "s", "t" };
	struct report_place at = {
		.file = "x.safetensors", .from = 16, .to = 32, .tensors = names, .n_tensors = 20
	};
	struct err e = { 0 };

	report_begin(r, "test 0", "check", "DIR", "OTHER");
	report_add(r, RULE_SET_SIZE, &at, "its size is %d", 5);
	err_rule(&e, RULE_ST_TRAILING, 99, "three bytes too many");
	report_take(r, &(struct report_place){ .file = "a.safetensors" }, &e);
	CHECK(e.kind == ERR_NONE && !e.rule);
	report_add(r, RULE_CHECK_NO_DIGEST, NULL, "only a warning");
	report_row(r, "checked", "files", 3, 1000, NULL);
	report_figure(r, "kl", 0.1 + 0.2);
	report_figure(r, "nan", NAN);
	report_row(r, "files", "x\x1b[2J", 0, 32, "abcd");
	report_count(r, "checked", "files", 1, 24);
	report_count(r, "checked", "folders", 1, 0);
	report_sort(r);
}

static void forms(void)
{
	struct report r;
	struct text t = { 0 };
	json_error_t je;
	json_t *o, *f;

	fill(&r);
	report_put_json(&r, &t);
	CHECK(!t.failed && sorted(t.s));
	o = json_loadb(t.s, t.n, JSON_REJECT_DUPLICATES, &je);
	CHECK(!strcmp(json_string_value(json_object_get(o, "format")), REPORT_FORMAT));
	f = json_object_get(o, "findings");
	CHECK(json_array_size(f) == 3);
	f = json_array_get(f, 2);
	CHECK(json_array_size(json_object_get(f, "tensors")) == REPORT_TENSORS);
	CHECK(json_integer_value(json_object_get(f, "tensors_total")) == 20);
	CHECK(!strcmp(json_string_value(json_object_get(f, "remedy")),
		rule_find("set.size")->remedy));
	f = json_array_get(json_object_get(o, "sections"), 0);
	f = json_array_get(json_object_get(f, "rows"), 0);
	CHECK(json_integer_value(json_object_get(f, "count")) == 4);
	CHECK(json_integer_value(json_object_get(f, "bytes")) == 1024);
	CHECK(json_real_value(json_object_get(json_object_get(f, "figures"), "kl")) == 0.1 + 0.2);
	CHECK(json_is_null(json_object_get(json_object_get(f, "figures"), "nan")));
	CHECK(json_is_false(json_object_get(o, "ok")));
	CHECK(!strcmp(json_string_value(json_object_get(o, "folder")), "DIR"));
	CHECK(json_array_size(json_object_get(o, "groups")) == 3);
	json_decref(o);
	t.n = 0;
	report_put_text(&r, false, &t);
	CHECK(strstr(t.s,
		"error    set.size: x.safetensors, bytes 16 to 32, tensors a, b\\x0a, c, d "
		"and 16 more\n         its size is 5\n         remedy: "));
	CHECK(strstr(t.s, "error    st.trailing: a.safetensors, bytes 99 to 100\n"));
	CHECK(strstr(t.s, "\nfound in DIR\nerror "));
	CHECK(strstr(t.s, "check: false: 2 errors, 0 undecided, 1 warning\n"));
	CHECK(!strchr(t.s, '\x1b'));
	text_free(&t);
	report_free(&r);
}

/* Findings of one cause are one group, whatever numbers are in them; more than are kept still count; the text
 * shows a few. */
static void many(void)
{
	struct report_place at = { 0 };
	struct text t = { 0 };
	struct report r;
	struct err e;
	char name[40];
	unsigned lines = 0;
	const char *p;
	int i;

	report_begin(&r, "test 0", "diff", "DIR", NULL);
	for (i = 0; i < 60000; i++) {
		snprintf(name, sizeof name, "model-%05d.safetensors", i);
		at.file = name;
		report_add(&r, RULE_SET_SIZE, &at, "tensor layers.%d.w1 has %d bytes", i, 7 * i);
		report_add(&r, RULE_CHECK_NO_DIGEST, &at, "tensor layers.%d.w2 has %.3g bytes", i,
			i / 7e9);
	}
	report_sort(&r);
	CHECK(r.n_groups == 2 && r.n == 2 * REPORT_EACH && r.errors == 60000 &&
		r.warnings == 60000);
	report_add(&r, RULE_CHECK_NO_DIGEST, NULL, "tensor layers.%d.w2 has %d bytes", 7, 8);
	CHECK(r.n_groups == 2 && r.groups[1].n == 60001 &&
		r.warnings == 60001); /* found again after sorting */
	CHECK(r.groups[0].n == 60000 &&
		!strcmp(r.groups[0].like, "tensor layers.#.w1 has # bytes"));
	report_sort(&r);
	report_put_text(&r, false, &t);
	for (p = t.s; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		lines++;
	CHECK(lines == 2 * (2 * 3 + 2) + 1);
	CHECK(strstr(t.s, "and 59,997 more like this"));
	CHECK(strstr(t.s, "diff: false: 60,000 errors, 0 undecided, 60,001 warnings\n"));
	t.n = 0;
	report_put_text(&r, true, &t);
	CHECK(!strcmp(t.s, "diff: false: 60,000 errors, 0 undecided, 60,001 warnings\n"));
	CHECK(finish(&r, &e) && strstr(e.text, "60000 errors"));
	text_free(&t);
	report_free(&r);
}

/* As many kinds as anybody can make up are bounded. */
static void kinds(void)
{
	struct report r;
	char word[20];
	int i;

	report_begin(&r, "test 0", "diff", "DIR", NULL);
	for (i = 0; i < 3 * REPORT_GROUPS; i++) {
		snprintf(word, sizeof word, "%c%c%c", 'a' + i / 676, 'a' + i / 26 % 26,
			'a' + i % 26);
		report_add(&r, RULE_SET_SIZE, NULL, "%s", word);
	}
	CHECK(r.n_groups == REPORT_GROUPS && r.errors == 3 * REPORT_GROUPS);
	report_free(&r);
}

static void patterns(void)
{
	static const char *const rows[][2] = {
		{ "layers.3.ffn.experts.17.w1.weight", "layers.#.ffn.experts.#.w1.weight" },
		{ "12 of 4,096 bytes, 1.5e-07 more", "# of # bytes, # more" },
		{ "0123456789abcdef0123 and abc", "# and abc" },
		{ "model-00001-of-00046.safetensors", "model-#-of-#.safetensors" },
		{ "", "" },
	};
	char out[64];
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		pattern_of(rows[i][0], out, sizeof out);
		CHECK_IN(rows[i][0], !strcmp(out, rows[i][1]));
	}
	pattern_of("abcdef", out, 4);
	CHECK(!strcmp(out, "abc"));
}

static void grids(void)
{
	struct grid g = { 0 };
	struct err e = { 0 };

	CHECK(!grid_add(&g, "layers.3.ffn.experts.2.w1.weight", 0.5, &e));
	CHECK(!grid_add(&g, "layers.3.ffn.experts.2.w3.weight", 0.25, &e));
	CHECK(!grid_add(&g, "model.layers.1.attn.wq.weight", 0, &e));
	CHECK(!grid_add(&g, "mtp.0.ffn.shared_experts.w1.weight", 2, &e));
	CHECK(!grid_add(&g, "embed.weight", 9, &e));
	CHECK(!grid_add(&g, "layers.99999.x", 9, &e));
	CHECK(!grid_add(&g, "layers.1.ffn.experts.999999.x", 9, &e));
	CHECK(g.n == 3 && g.columns == 4);
	CHECK(grid_at(&g, 0, 3) == 0.5 && grid_at(&g, 0, 0) < 0 && grid_at(&g, 0, 1) < 0);
	CHECK(grid_at(&g, 1, 0) == 9 && grid_at(&g, 1, 3) < 0 && grid_at(&g, 2, 0) == 2);
	CHECK(!strcmp(g.rows[2].name, "mtp.0"));
	grid_free(&g);
}

static void remedies(void)
{
	const struct rule *r;

	for (r = rules; r->id; r++)
		CHECK_IN(r->id, r->remedy && r->remedy[0] && !strchr(r->remedy, '\n'));
	CHECK(!rule_find("no.such"));
}

static const struct test tests[] = {
	{ "report_verdicts", verdicts },
	{ "report_forms", forms },
	{ "report_many", many },
	{ "report_kinds", kinds },
	{ "report_patterns", patterns },
	{ "report_grids", grids },
	{ "report_remedies", remedies },
	{ NULL, NULL },
};
TEST_MAIN(tests)
