/* test_report.c -- reports: verdicts, exit status, JSON with sorted keys, texts from files that cannot do
 * harm.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/rule.h"
#include "tests/check.h"
#include "verify/report/report.h"

#include <jansson.h>

static int finish(const struct report *r, struct err *e)
{
	memset(e, 0, sizeof *e);
	return report_finish(r, e);
}

static void verdicts(void)
{
	/* the findings in order, the verdict and the exit status they come to */
	static const struct {
		enum err_kind kind[3];
		unsigned n;
		const char *verdict;
		int status;
	} cases[] = {
		{ { ERR_NONE }, 0, "true", 0 },
		{ { ERR_NONE, ERR_NONE }, 2, "true", 0 },
		{ { ERR_DATA }, 1, "false", 1 },
		{ { ERR_NONE, ERR_MISMATCH }, 2, "false", 1 },
		{ { ERR_SYSTEM, ERR_MISMATCH }, 2, "false", 1 },
		{ { ERR_UNSUPPORTED }, 1, "unknown", 2 },
		{ { ERR_USAGE, ERR_NONE }, 2, "unknown", 2 },
		{ { ERR_SYSTEM, ERR_SYSTEM, ERR_DATA }, 3, "false", 1 },
	};
	struct report r;
	struct err e;
	size_t i;
	unsigned k;

	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		report_begin(&r, "test 0", "check", "DIR", NULL);
		for (k = 0; k < cases[i].n; k++)
			report_add(&r, cases[i].kind[k], NULL, NULL, "finding %u", k);
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
	report_add(r, ERR_MISMATCH, "set.size", &at, "its size is %d", 5);
	err_rule(&e, ERR_DATA, "st.trailing", 99, "three bytes too many");
	report_take(r, &(struct report_place){ .file = "a.safetensors" }, &e);
	CHECK(e.kind == ERR_NONE && !e.rule);
	report_add(r, ERR_NONE, NULL, NULL, "only a warning");
	report_row(r, "checked", "files", 3, 1000, NULL);
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
	json_decref(o);
	t.n = 0;
	report_put_text(&r, &t);
	CHECK(strstr(t.s,
		"error    set.size: x.safetensors, bytes 16 to 32, tensors a, b\\x0a, c, d "
		"and 16 more\n         its size is 5\n         remedy: "));
	CHECK(strstr(t.s, "error    st.trailing: a.safetensors, bytes 99 to 100\n"));
	CHECK(strstr(t.s, "check: false: 2 errors, 0 could not be told, 1 warning\n"));
	CHECK(!strchr(t.s, '\x1b'));
	text_free(&t);
	report_free(&r);
}

/* More findings than are kept still count. */
static void many(void)
{
	struct report r;
	struct err e;
	int i;

	report_begin(&r, "test 0", "check", "DIR", NULL);
	for (i = 0; i < FINDINGS_KEPT + 5; i++)
		report_add(&r, ERR_DATA, "set.size", NULL, "one");
	CHECK(r.n == FINDINGS_KEPT && r.errors == FINDINGS_KEPT + 5);
	CHECK(finish(&r, &e) && strstr(e.text, "100005 errors"));
	report_free(&r);
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
	{ "report_remedies", remedies },
	{ NULL, NULL },
};
TEST_MAIN(tests)
