/* SPDX-License-Identifier: MIT */
#include "verify/report/page.h"

#include <string.h>

void page_put_escaped(struct text *out, const char *s)
{
	static const struct {
		char c;
		const char *as;
	} rows[] = { { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '"', "&quot;" },
		{ '\'', "&#39;" } };
	size_t n = strlen(s), i;
	unsigned len;

	for (; n; s += len, n -= len) {
		len = text_utf8((const unsigned char *)s, n);
		for (i = 0; i < sizeof rows / sizeof *rows && *s != rows[i].c; i++)
			;
		if (i < sizeof rows / sizeof *rows)
			text_str(out, rows[i].as);
		else if (len && (unsigned char)*s >= 0x20 && *s != 0x7f)
			text_put(out, s, len);
		else
			text_fmt(out, "\\x%02x", (unsigned char)*s);
		len = len ? len : 1;
	}
}

/* --- JUnit --- */

static bool same_place(const struct report_finding *f, const char *file)
{
	return f->at.file && !strcmp(f->at.file, file);
}

static void junit_finding(struct text *out, const struct report_finding *f)
{
	const char *severity = report_severity(f->kind);
	const char *as = f->kind == ERR_NONE ? "system-out"
		: !strcmp(severity, "error") ? "failure"
					     : "error";
	size_t i;

	text_fmt(out, "   <%s", as);
	if (f->kind != ERR_NONE) {
		text_fmt(out, " type=\"%s\" message=\"", f->rule ? f->rule : "system");
		page_put_escaped(out, f->cause);
		text_str(out, "\"");
	}
	text_str(out, ">");
	if (f->kind == ERR_NONE) {
		text_fmt(out, "%s: ", f->rule ? f->rule : "system");
		page_put_escaped(out, f->cause);
		text_str(out, "\n");
	}
	if (f->at.to)
		text_fmt(out, "bytes %llu to %llu\n", (unsigned long long)f->at.from,
			(unsigned long long)f->at.to);
	for (i = 0; i < f->at.n_tensors && i < REPORT_TENSORS; i++) {
		text_str(out, "tensor ");
		page_put_escaped(out, f->at.tensors[i]);
		text_str(out, "\n");
	}
	text_str(out, "remedy: ");
	page_put_escaped(out, report_remedy(f));
	text_fmt(out, "</%s>\n", as);
}

/* The findings about one place: a file, or with NULL what is about the whole. */
static void junit_case(const struct report *r, struct text *out, const char *file)
{
	const struct report_finding *f;

	text_str(out, "  <testcase classname=\"");
	page_put_escaped(out, r->verb);
	text_str(out, "\" name=\"");
	page_put_escaped(out, file ? file : r->subject[0]);
	text_str(out, "\">\n");
	for (f = r->findings; f < r->findings + r->n; f++)
		if (file ? same_place(f, file) : !f->at.file)
			junit_finding(out, f);
	text_str(out, "  </testcase>\n");
}

/* Files that rows of the section name have cases already. */
static bool is_listed(const struct report *r, const char *file)
{
	const struct report_row *w;

	for (w = r->rows; w < r->rows + r->n_rows; w++)
		if (!strcmp(w->section, "files") && !strcmp(w->name, file))
			return true;
	return false;
}

static bool named_before(const struct report *r, size_t i)
{
	size_t k;

	for (k = 0; k < i; k++)
		if (same_place(&r->findings[k], r->findings[i].at.file))
			return true;
	return false;
}

void page_put_junit(const struct report *r, struct text *out)
{
	struct text cases = { 0 };
	size_t i, n = 1;

	junit_case(r, &cases, NULL);
	for (i = 0; i < r->n_rows; i++)
		if (!strcmp(r->rows[i].section, "files")) {
			junit_case(r, &cases, r->rows[i].name);
			n++;
		}
	for (i = 0; i < r->n; i++)
		if (r->findings[i].at.file && !is_listed(r, r->findings[i].at.file) &&
			!named_before(r, i)) {
			junit_case(r, &cases, r->findings[i].at.file);
			n++;
		}
	text_fmt(out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n <testsuite name=\"dsv4-verify "
		"%s\" tests=\"%zu\" failures=\"%llu\" errors=\"%llu\" skipped=\"0\">\n",
		r->verb, n, (unsigned long long)r->errors, (unsigned long long)r->unknown);
	if (cases.failed)
		out->failed = true;
	else
		text_put(out, cases.s, cases.n);
	text_free(&cases);
	text_str(out, " </testsuite>\n</testsuites>\n");
}

/* --- HTML --- */

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
	"<meta name=\"viewport\" content=\"width=device-width\">\n<style>\n"
	"body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#1b1f24}\n"
	"h1{font-size:1.5em;margin:0 0 .3em}h2{font-size:1.15em;margin:1.8em 0 .5em;border-bottom:1px solid #d0d7de}\n"
	"table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25em .8em .25em 0;vertical-align:top}\n"
	"th{font-weight:600;border-bottom:1px solid #d0d7de}td.n{text-align:right;white-space:nowrap}\n"
	"code,.mono{font:13px ui-monospace,monospace;overflow-wrap:anywhere}\n"
	".verdict{display:inline-block;padding:.15em .7em;border-radius:.3em;color:#fff;font-weight:600}\n"
	".true{background:#1a7f37}.false{background:#b3261e}.unknown{background:#8a6100}\n"
	".error{border-left:4px solid #b3261e}.unknown-f{border-left:4px solid #8a6100}"
	".warning{border-left:4px solid #6e7781}\n"
	".finding{padding:.4em .8em;margin:.6em 0;background:#f6f8fa}.finding p{margin:.15em 0}\n"
	"svg text{font:12px ui-monospace,monospace}\n</style>\n";

static void html_title(const struct report *r, struct text *out)
{
	size_t i;

	text_str(out, "<title>");
	page_put_escaped(out, r->verb);
	text_str(out, ": ");
	page_put_escaped(out, report_verdict(r));
	text_str(out, "</title>\n</head>\n<body>\n<h1>");
	page_put_escaped(out, r->verb);
	text_fmt(out, " <span class=\"verdict %s\" id=\"verdict\">%s</span></h1>\n<p>",
		report_verdict(r), report_verdict(r));
	for (i = 0; i < 2 && r->subject[i]; i++) {
		text_str(out, i ? " against <code>" : "<code>");
		page_put_escaped(out, r->subject[i]);
		text_str(out, "</code>");
	}
	text_fmt(out,
		"</p>\n<p id=\"counts\">%llu error%s, %llu could not be told, %llu warning%s. %s</p>\n",
		(unsigned long long)r->errors, r->errors == 1 ? "" : "s",
		(unsigned long long)r->unknown, (unsigned long long)r->warnings,
		r->warnings == 1 ? "" : "s", r->tool);
}

static void html_finding(struct text *out, const struct report_finding *f)
{
	const char *severity = report_severity(f->kind);
	size_t i;

	text_fmt(out, "<div class=\"finding %s%s\"><p><b>%s</b> <code>%s</code>", severity,
		strcmp(severity, "unknown") ? "" : "-f", severity, f->rule ? f->rule : "system");
	if (f->at.file) {
		text_str(out, " in <code>");
		page_put_escaped(out, f->at.file);
		text_str(out, "</code>");
	}
	if (f->at.to)
		text_fmt(out, ", bytes %llu to %llu", (unsigned long long)f->at.from,
			(unsigned long long)f->at.to);
	text_str(out, "</p>\n<p>");
	page_put_escaped(out, f->cause);
	text_str(out, "</p>\n");
	if (f->at.n_tensors) {
		text_fmt(out, "<p>tensor%s", f->at.n_tensors == 1 ? "" : "s");
		for (i = 0; i < f->at.n_tensors && i < REPORT_TENSORS; i++) {
			text_str(out, i ? ", <code>" : " <code>");
			page_put_escaped(out, f->at.tensors[i]);
			text_str(out, "</code>");
		}
		if (f->at.n_tensors > REPORT_TENSORS)
			text_fmt(out, " and %zu more", f->at.n_tensors - REPORT_TENSORS);
		text_str(out, "</p>\n");
	}
	text_str(out, "<p>remedy: ");
	page_put_escaped(out, report_remedy(f));
	text_str(out, "</p></div>\n");
}

/* Bars of bytes, the longest all across. */
static void html_bars(const struct report *r, struct text *out, const char *section)
{
	enum { LINE = 20, LEFT = 380, WIDE = 400 };
	const struct report_row *w;
	uint64_t most = 1;
	unsigned y = 0, n = 0;

	for (w = r->rows; w < r->rows + r->n_rows; w++) {
		if (strcmp(w->section, section) != 0)
			continue;
		n++;
		most = w->bytes > most ? w->bytes : most;
	}
	text_fmt(out, "<svg width=\"100%%\" viewBox=\"0 0 900 %u\" role=\"img\">\n", n * LINE);
	for (w = r->rows; w < r->rows + r->n_rows; w++) {
		if (strcmp(w->section, section) != 0)
			continue;
		text_fmt(out, "<text x=\"0\" y=\"%u\">", y + 14);
		page_put_escaped(out, text_quote(w->name).s);
		text_fmt(out,
			"</text><rect x=\"%d\" y=\"%u\" width=\"%.1f\" height=\"14\" fill=\"#0969da\"/><text "
			"x=\"%.1f\" y=\"%u\">%s</text>\n",
			LEFT, y + 3, WIDE * (double)w->bytes / (double)most,
			LEFT + 6 + WIDE * (double)w->bytes / (double)most, y + 14,
			text_bytes(w->bytes).s);
		y += LINE;
	}
	text_str(out, "</svg>\n");
}

static void html_table(const struct report *r, struct text *out, const char *section)
{
	const struct report_row *w;

	text_str(out, "<table>\n");
	for (w = r->rows; w < r->rows + r->n_rows; w++) {
		if (strcmp(w->section, section) != 0)
			continue;
		text_str(out, "<tr><td class=\"mono\">");
		page_put_escaped(out, w->name);
		text_fmt(out,
			"</td><td class=\"n\">%s</td><td class=\"n\">%s</td><td class=\"mono\">",
			w->count ? text_thousands(w->count).s : "",
			w->bytes ? text_bytes(w->bytes).s : "");
		if (w->text)
			page_put_escaped(out, w->text);
		text_str(out, "</td></tr>\n");
	}
	text_str(out, "</table>\n");
}

void page_put_html(const struct report *r, struct text *out)
{
	const char *done[16]; /* verbs have a handful of sections */
	size_t i, k, n = 0;

	text_str(out, head);
	html_title(r, out);
	if (r->n)
		text_str(out, "<h2>Findings</h2>\n");
	for (i = 0; i < r->n; i++)
		html_finding(out, &r->findings[i]);
	for (i = 0; i < r->n_rows; i++) {
		for (k = 0; k < n && strcmp(done[k], r->rows[i].section) != 0; k++)
			;
		if (k < n || n == sizeof done / sizeof *done)
			continue;
		done[n++] = r->rows[i].section;
		text_str(out, "<h2>");
		page_put_escaped(out, r->rows[i].section);
		text_str(out, "</h2>\n");
		if (!strcmp(r->rows[i].section, "roles"))
			html_bars(r, out, r->rows[i].section);
		html_table(r, out, r->rows[i].section);
	}
	text_str(out, "</body>\n</html>\n");
}
