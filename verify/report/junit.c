/* SPDX-License-Identifier: MIT */
#include "verify/report/junit.h"

#include "verify/report/escape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { JUNIT_EACH = 20 }; /* findings that a case shows: the JSON report has the others */

struct suite {
	const struct report *r;
	const struct report_finding **by_file; /* owns; sorted by file, those of no file first */
	struct text cases;                     /* owns */
	size_t n, failures, errors;            /* cases */
};

static const char *file_of(const struct report_finding *f)
{
	return f->at.file ? f->at.file : "";
}

static int cmp_file(const void *a, const void *b)
{
	const struct report_finding *x = *(const struct report_finding *const *)a;
	const struct report_finding *y = *(const struct report_finding *const *)b;
	int c = strcmp(file_of(x), file_of(y));

	return c ? c : x < y ? -1 : x > y;
}

/* Index of the first finding about the file, or about a later one. */
static size_t first_of(const struct suite *s, const char *file)
{
	size_t lo = 0, hi = s->r->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (strcmp(file_of(s->by_file[mid]), file) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void put_finding(struct text *out, const struct report_finding *f)
{
	size_t i;

	text_fmt(out, "%s: ", f->rule ? f->rule : "system");
	escape_put(out, f->cause);
	if (f->at.to)
		text_fmt(out, "\nbytes %llu to %llu", (unsigned long long)f->at.from,
			(unsigned long long)f->at.to);
	for (i = 0; i < f->at.n_tensors && i < REPORT_TENSORS; i++) {
		text_str(out, "\ntensor ");
		escape_put(out, f->at.tensors[i]);
	}
	text_str(out, "\nremedy: ");
	escape_put(out, report_remedy(f));
	text_str(out, "\n");
}

/* One element with the findings from..to of one severity, if there are any. Returns their number. */
static size_t put_element(struct suite *s, size_t from, size_t to, const char *severity,
	const char *element)
{
	const struct report_finding *f;
	size_t i, n = 0;

	for (i = from; i < to; i++) {
		f = s->by_file[i];
		if (strcmp(report_severity(f->kind), severity) != 0)
			continue;
		if (!n && f->kind != ERR_NONE) {
			text_fmt(&s->cases, "   <%s type=\"%s\" message=\"", element,
				f->rule ? f->rule : "system");
			escape_put(&s->cases, f->cause);
			text_str(&s->cases, "\">");
		} else if (!n) {
			text_fmt(&s->cases, "   <%s>", element);
		}
		if (n++ < JUNIT_EACH)
			put_finding(&s->cases, f);
	}
	if (n > JUNIT_EACH)
		text_fmt(&s->cases, "and %zu more\n", n - JUNIT_EACH);
	if (n)
		text_fmt(&s->cases, "</%s>\n", element);
	return n;
}

/* The case of a file, or with "" of the whole, which has the time. */
static void put_case(struct suite *s, const char *file)
{
	size_t from = first_of(s, file), to = from;

	while (to < s->r->n && !strcmp(file_of(s->by_file[to]), file))
		to++;
	text_str(&s->cases, "  <testcase classname=\"");
	escape_put(&s->cases, s->r->verb);
	text_str(&s->cases, "\" name=\"");
	escape_put(&s->cases, *file ? file : s->r->subject[0] ? s->r->subject[0] : "the call");
	if (!*file && s->r->seconds >= 0)
		text_fmt(&s->cases, "\" time=\"%.3f", s->r->seconds);
	text_str(&s->cases, "\">\n");
	if (put_element(s, from, to, "error", "failure")) {
		s->failures++;
		(void)put_element(s, from, to, "unknown", "system-err");
	} else if (put_element(s, from, to, "unknown", "error")) {
		s->errors++;
	}
	(void)put_element(s, from, to, "warning", "system-out");
	text_str(&s->cases, "  </testcase>\n");
	s->n++;
}

static int cmp_str(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Every file once: those that the section "files" lists, and those that only findings name. -1 without
 * memory. */
static int put_cases(struct suite *s)
{
	const struct report *r = s->r;
	const char **files = calloc(r->n_rows + r->n + 1, sizeof *files);
	size_t i, n = 0;

	if (!files)
		return -1;
	for (i = 0; i < r->n_rows; i++)
		if (!strcmp(r->rows[i].section->title, "files"))
			files[n++] = r->rows[i].name;
	for (i = 0; i < r->n; i++)
		if (r->findings[i].at.file)
			files[n++] = r->findings[i].at.file;
	qsort(files, n, sizeof *files, cmp_str);
	put_case(s, "");
	for (i = 0; i < n; i++)
		if (!i || strcmp(files[i], files[i - 1]) != 0)
			put_case(s, files[i]);
	free(files);
	return 0;
}

/* How each file begins, by which an old one is known. */
#define BEGINS \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n <testsuite name=\"dsv4-verify "

static bool is_junit(const struct io *io, int fd, uint64_t size)
{
	return dest_begins(io, fd, size, BEGINS, sizeof BEGINS - 1);
}

const struct dest_kind junit_kind = { "JUnit's XML of this program", is_junit };

static void put_suite(const struct suite *s, struct text *out)
{
	time_t began = (time_t)s->r->began;
	struct tm tm;

	text_fmt(out, BEGINS "%s\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"0\"",
		s->r->verb, s->n, s->failures, s->errors);
	if (s->r->seconds >= 0)
		text_fmt(out, " time=\"%.3f\"", s->r->seconds);
	if (s->r->began && gmtime_r(&began, &tm))
		text_fmt(out, " timestamp=\"%04d-%02d-%02dT%02d:%02d:%02d\"", tm.tm_year + 1900,
			tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	text_str(out, ">\n");
	text_put(out, s->cases.s, s->cases.n);
	text_str(out, " </testsuite>\n</testsuites>\n");
}

void junit_put(const struct report *r, struct text *out)
{
	struct suite s = { .r = r, .by_file = calloc(r->n + 1, sizeof *s.by_file) };
	size_t i;

	for (i = 0; s.by_file && i < r->n; i++)
		s.by_file[i] = &r->findings[i];
	if (s.by_file)
		qsort(s.by_file, r->n, sizeof *s.by_file, cmp_file);
	if (!s.by_file || put_cases(&s) || s.cases.failed)
		out->failed = true;
	else
		put_suite(&s, out);
	text_free(&s.cases);
	free(s.by_file);
}
