/* SPDX-License-Identifier: MIT */
#include "verify/report/page.h"

#include "verify/report/escape.h"
#include "verify/report/heatmap.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	PAGE_EACH = 5,     /* findings of a group that are shown */
	PAGE_GROUPS = 200, /* groups that are shown */
	PAGE_ROWS = 5000,  /* rows of a section: a browser stays quick */
};

static const char head[] =
	"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	"<meta name=\"color-scheme\" content=\"light dark\">\n<style>\n"
	":root{--fg:#1b1f24;--bg:#fff;--soft:#f6f8fa;--line:#d0d7de;--bar:#0969da;--bad:#b3261e;--dim:#57606a}\n"
	"@media(prefers-color-scheme:dark){:root{--fg:#e6edf3;--bg:#0d1117;--soft:#161b22;--line:#30363d;"
	"--bar:#4493f8;--bad:#ff7b72;--dim:#9198a1}}\n"
	"body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:var(--fg);"
	"background:var(--bg)}\n"
	"h1{font-size:1.5em;margin:0 0 .3em}h2{font-size:1.15em;margin:1.8em 0 .5em;border-bottom:1px solid var(--line)}\n"
	".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}\n"
	"td,th{text-align:left;padding:.25em .8em .25em 0;vertical-align:top}\n"
	"th{font-weight:600;border-bottom:1px solid var(--line)}td.n,th.n{text-align:right;white-space:nowrap;"
	"font-variant-numeric:tabular-nums}\n"
	"code,.mono{font:13px ui-monospace,monospace;overflow-wrap:anywhere}\n"
	".verdict{display:inline-block;padding:.15em .7em;border-radius:.3em;color:#fff;font-weight:600}\n"
	".true{background:#1a7f37}.false{background:#b3261e}.unknown{background:#8a6100}\n"
	".finding{padding:.4em .8em;margin:.6em 0;background:var(--soft);border-left:4px solid #6e7781}\n"
	".finding.error{border-left-color:#b3261e}.finding.unknown-f{border-left-color:#8a6100}\n"
	".finding p,dd{overflow-wrap:anywhere}.finding p{margin:.15em 0}.remedy{color:var(--dim)}dl{display:grid;grid-template-columns:max-content 1fr;"
	"gap:.15em 1em;margin:.8em 0}dt{color:var(--dim)}dd{margin:0}\n"
	"tr.bad td:first-child{border-left:4px solid var(--bad);padding-left:.5em}tr.bad{color:var(--bad)}\n"
	"td.mono:first-child{min-width:15em}td.mono:last-child{font-size:11.5px;padding-right:0}td.bar{width:22%;min-width:6em}td.bar div{height:.9em;margin-top:.25em;background:var(--bar)}\n"
	".heat{width:100%;height:auto}.heat text{font:9px ui-monospace,monospace;fill:var(--fg)}\n"
	".curve{background:var(--soft)}.curve text{font-size:12px}.curve .mid{text-anchor:middle}.curve .end{text-anchor:end}"
	".curve path{fill:none;stroke:var(--fg)}.curve .axis{stroke:var(--dim)}.curve .front{stroke:var(--bar);stroke-width:2}"
	".curve .point{fill:var(--bar)}.curve .chosen{fill:none;stroke:var(--fg);stroke-width:2}"
	".curve .out{stroke:var(--bad);stroke-dasharray:6 4;stroke-width:1.5}.curve .name{stroke-width:2}\n"
	"h3{font-size:1em;margin:.8em 0 .2em}.atlas{background:var(--soft)}.atlas text{font-size:8px}"
	".legend .key{width:auto;height:auto;margin-right:.9em;white-space:nowrap;font-variant-numeric:tabular-nums}"
	".legend .line{height:2px;vertical-align:middle;background:var(--fg)}.d9,.e9{fill:var(--fg)}\n"
	".d0{fill:#1f3f7a;background:#1f3f7a}.d1{fill:#3d5286;background:#3d5286}.d2{fill:#5a6587;background:#5a6587}"
	".d3{fill:#767985;background:#767985}.d4{fill:#928d80;background:#928d80}.d5{fill:#afa277;background:#afa277}"
	".d6{fill:#cdb96a;background:#cdb96a}.d7{fill:#ead154;background:#ead154}.d8{fill:#fee838;background:#fee838}\n"
	".e0{fill:#b35806;background:#b35806}.e1{fill:#d6791a;background:#d6791a}.e2{fill:#f0a44f;background:#f0a44f}"
	".e3{fill:#fad09a;background:#fad09a}.e4{fill:#b9bcc2;background:#b9bcc2}.e5{fill:#b5b3e0;background:#b5b3e0}"
	".e6{fill:#8f85c4;background:#8f85c4}.e7{fill:#6a51a3;background:#6a51a3}.e8{fill:#4a1f8a;background:#4a1f8a}\n"
	".legend span{display:inline-block;width:1em;height:.8em}\n"
	".h0{fill:#2da44e;background:#2da44e}.h1{fill:#fff8c5;background:#fff8c5}.h2{fill:#ffe08a;background:#ffe08a}"
	".h3{fill:#ffc85c;background:#ffc85c}.h4{fill:#ffa64d;background:#ffa64d}.h5{fill:#ff8040;background:#ff8040}"
	".h6{fill:#e5533d;background:#e5533d}.h7{fill:#b3261e;background:#b3261e}.h8{fill:#6e0b0b;background:#6e0b0b}\n"
	"</style>\n";

static void put_term(struct text *out, const char *term, const char *what)
{
	text_fmt(out, "<dt>%s</dt><dd>", term);
	escape_put(out, what);
	text_str(out, "</dd>\n");
}

static void put_when(const struct report *r, struct text *out)
{
	time_t began = (time_t)r->began;
	struct tm tm;

	if (!r->began || !gmtime_r(&began, &tm))
		return;
	text_fmt(out, "<dt>when</dt><dd>%04d-%02d-%02d %02d:%02d:%02d UTC", tm.tm_year + 1900,
		tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	if (r->seconds >= 0)
		text_fmt(out, ", in %.1f s", r->seconds);
	text_str(out, "</dd>\n");
}

static void put_subjects(const struct report *r, struct text *out, const char *before,
	const char *after)
{
	size_t i;

	for (i = 0; i < 2 && r->subject[i]; i++) {
		text_str(out, i ? " against " : "");
		text_str(out, before);
		escape_put(out, r->subject[i]);
		text_str(out, after);
	}
}

/* How each page begins; a verdict and a colon follow. */
#define BEGINS "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>"

static bool is_page(const struct io *io, int fd, uint64_t size)
{
	static const char *const begin[] = {
		BEGINS "true: ", BEGINS "false: ", BEGINS "unknown: "
	};
	size_t i;

	for (i = 0; i < sizeof begin / sizeof *begin; i++)
		if (dest_begins(io, fd, size, begin[i], strlen(begin[i])))
			return true;
	return false;
}

const struct dest_kind page_kind = { "an HTML page of this program", is_page };

static void put_title(const struct report *r, struct text *out)
{
	const char *verdict = report_verdict(r);

	text_str(out, BEGINS);
	escape_put(out, verdict);
	text_str(out, ": ");
	escape_put(out, r->verb);
	text_str(out, " ");
	put_subjects(r, out, "", "");
	text_fmt(out, "</title>\n%s</head>\n<body>\n<h1>", head);
	escape_put(out, r->verb);
	text_fmt(out, " <span class=\"verdict %s\" id=\"verdict\">%s</span></h1>\n<p>", verdict,
		verdict);
	put_subjects(r, out, "<code>", "</code>");
	text_fmt(out, "</p>\n<p id=\"counts\">%s error%s, %s undecided, %s warning%s.</p>\n<dl>\n",
		text_thousands(r->errors).s, r->errors == 1 ? "" : "s",
		text_thousands(r->unknown).s, text_thousands(r->warnings).s,
		r->warnings == 1 ? "" : "s");
	put_term(out, "\"true\" means", report_meaning(r));
	if (r->command)
		put_term(out, "call", r->command);
	put_term(out, "version", r->tool);
	put_when(r, out);
	text_str(out, "</dl>\n");
}

/* --- findings --- */

/* "FILE, bytes FROM to TO, tensor NAME: ", or nothing. */
static void put_place(struct text *out, const struct report_place *at)
{
	const char *sep = "";
	size_t i;

	if (at->file) {
		text_str(out, "<code>");
		escape_put(out, at->file);
		text_str(out, "</code>");
		sep = ", ";
	}
	if (at->to) {
		text_fmt(out, "%sbytes %llu to %llu", sep, (unsigned long long)at->from,
			(unsigned long long)at->to);
		sep = ", ";
	}
	if (at->n_tensors)
		text_fmt(out, "%stensor%s", sep, at->n_tensors == 1 ? "" : "s");
	for (i = 0; i < at->n_tensors && i < REPORT_TENSORS; i++) {
		text_str(out, i ? ", <code>" : " <code>");
		escape_put(out, at->tensors[i]);
		text_str(out, "</code>");
	}
	if (at->n_tensors > REPORT_TENSORS)
		text_fmt(out, " and %zu more", at->n_tensors - REPORT_TENSORS);
	if (at->file || at->to || at->n_tensors)
		text_str(out, ": ");
}

static void put_group(const struct report *r, struct text *out, const struct report_group *g)
{
	const char *severity = report_severity(g->kind);
	const struct report_finding *f;
	unsigned shown = 0;

	text_fmt(out, "<div class=\"finding %s%s\"><p><b>%s</b> <code>%s</code>", severity,
		strcmp(severity, "unknown") ? "" : "-f", severity, g->rule ? g->rule : "system");
	if (g->n > 1)
		text_fmt(out, ", %s times", text_thousands(g->n).s);
	text_str(out, "</p>\n");
	for (f = r->findings + g->first; f < r->findings + r->n && shown < PAGE_EACH; f++) {
		if (&r->groups[f->group] != g)
			continue;
		text_str(out, "<p>");
		put_place(out, &f->at);
		escape_put(out, f->cause);
		text_str(out, "</p>\n");
		shown++;
	}
	if (g->n > shown)
		text_fmt(out, "<p>and %s more like this</p>\n", text_thousands(g->n - shown).s);
	text_str(out, "<p class=\"remedy\">remedy: ");
	escape_put(out, report_remedy(r->findings + g->first));
	text_str(out, "</p></div>\n");
}

static void put_findings(const struct report *r, struct text *out)
{
	size_t i;

	if (r->n)
		text_str(out, "<h2>Findings</h2>\n");
	for (i = 0; i < r->n_groups && i < PAGE_GROUPS; i++)
		if (r->groups[i].first < r->n)
			put_group(r, out, &r->groups[i]);
	if (r->n_groups > PAGE_GROUPS)
		text_fmt(out, "<p>and %zu more kinds of findings</p>\n", r->n_groups - PAGE_GROUPS);
}

/* --- sections --- */

/* Names of files that an error or an unknown is about. */
struct damaged {
	const char **v; /* owns; sorted */
	size_t n;
};

static int cmp_str(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int damaged_make(struct damaged *d, const struct report *r)
{
	size_t i;

	d->n = 0;
	d->v = calloc(r->n + 1, sizeof *d->v);
	if (!d->v)
		return -1;
	for (i = 0; i < r->n; i++)
		if (r->findings[i].at.file && r->findings[i].kind != ERR_NONE)
			d->v[d->n++] = r->findings[i].at.file;
	qsort(d->v, d->n, sizeof *d->v, cmp_str);
	return 0;
}

static bool is_damaged(const struct damaged *d, const char *name)
{
	return d->n && bsearch(&name, d->v, d->n, sizeof *d->v, cmp_str);
}

static uint64_t most_bytes(const struct report *r, const struct report_section *s)
{
	const struct report_row *w;
	uint64_t most = 1;

	for (w = r->rows; w < r->rows + r->n_rows; w++)
		if (w->section == s && w->bytes > most)
			most = w->bytes;
	return most;
}

static void put_heads(struct text *out, const struct report_section *s)
{
	text_fmt(out, "<div class=\"scroll\"><table>\n<tr><th>%s</th>", s->name);
	if (s->count)
		text_fmt(out, "<th class=\"n\">%s</th>", s->count);
	if (s->bytes)
		text_fmt(out, "<th class=\"n\">%s</th>", s->bytes);
	if (s->bars)
		text_str(out, "<th></th>");
	text_fmt(out, "<th>%s</th></tr>\n", s->text ? s->text : "");
}

static void put_row(struct text *out, const struct report_row *w, bool bad, uint64_t most)
{
	const struct report_section *s = w->section;

	text_fmt(out, "<tr%s><td class=\"mono\">", bad ? " class=\"bad\"" : "");
	escape_put(out, w->name);
	text_str(out, bad ? " (see findings)</td>" : "</td>");
	if (s->count)
		text_fmt(out, "<td class=\"n\">%s</td>",
			w->count || (!w->bytes && !w->text) ? text_thousands(w->count).s : "");
	if (s->bytes)
		text_fmt(out, "<td class=\"n\">%s</td>", w->bytes ? text_bytes(w->bytes).s : "");
	if (s->bars)
		text_fmt(out, "<td class=\"bar\"><div style=\"width:%.1f%%\"></div></td>",
			100 * (double)w->bytes / (double)most);
	text_str(out, "<td class=\"mono\">");
	if (w->text)
		escape_put(out, w->text);
	text_str(out, "</td></tr>\n");
}

static void put_section(const struct report *r, struct text *out, const struct report_section *s,
	const struct damaged *d)
{
	uint64_t most = most_bytes(r, s);
	const struct report_row *w;
	size_t n = 0;

	for (w = r->rows; w < r->rows + r->n_rows; w++) {
		if (w->section != s)
			continue;
		if (!n) {
			text_fmt(out, "<h2>%s</h2>\n", s->title);
			put_heads(out, s);
		}
		if (n++ < PAGE_ROWS)
			put_row(out, w, !strcmp(s->title, "files") && is_damaged(d, w->name), most);
	}
	if (n)
		text_str(out, "</table></div>\n");
	if (n > PAGE_ROWS)
		text_fmt(out, "<p>and %zu more rows</p>\n", n - PAGE_ROWS);
}

void page_put(const struct report *r, struct text *out)
{
	const struct report_section *s;
	struct damaged d;

	if (damaged_make(&d, r)) {
		out->failed = true;
		return;
	}
	put_title(r, out);
	put_findings(r, out);
	if (r->grid.n) {
		text_str(out, "<h2>");
		escape_put(out, r->grid.title ? r->grid.title : "by layer and expert");
		text_str(out, "</h2>\n");
		heatmap_put(&r->grid, out);
	}
	if (r->drawn.n)
		text_put(out, r->drawn.s, r->drawn.n);
	for (s = report_sections; s->title; s++)
		put_section(r, out, s, &d);
	text_str(out, "</body>\n</html>\n");
	free(d.v);
}
