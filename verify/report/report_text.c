/* report_text.c -- a report for a terminal: what was looked at, what is wrong by group, the verdict last.
 *
 * SPDX-License-Identifier: MIT */
#include "verify/report/report.h"

#include <string.h>

enum {
	SHOWN_EACH =
		3, /* findings of a group that are shown: enough to see what they have in common */
	SHOWN_GROUPS = 12,  /* groups with findings: about a screen */
	LISTED_GROUPS = 24, /* further groups, a line each */
	SHOWN_ROWS = 100,   /* rows of a section */
	SHOWN_TENSORS = 4   /* names of tensors of a finding */
};

static void put_place(struct text *out, const struct report_place *p)
{
	size_t i, shown = p->n_tensors < SHOWN_TENSORS ? p->n_tensors : SHOWN_TENSORS;

	if (p->file)
		text_fmt(out, " %s", text_quote(p->file).s);
	if (p->to)
		text_fmt(out, ", bytes %llu to %llu", (unsigned long long)p->from,
			(unsigned long long)p->to);
	if (shown)
		text_fmt(out, "%s tensor%s", p->file || p->to ? "," : "",
			p->n_tensors > 1 ? "s" : "");
	for (i = 0; i < shown; i++)
		text_fmt(out, "%s %s", i ? "," : "", text_quote(p->tensors[i]).s);
	if (p->n_tensors > shown)
		text_fmt(out, " and %zu more", p->n_tensors - shown);
}

/* A group: its findings from the first on that are shown, one remedy. */
static void put_group(const struct report *r, struct text *out, const struct report_group *g)
{
	const struct report_finding *f;
	unsigned shown = 0;
	bool placed;

	for (f = r->findings + g->first; f < r->findings + r->n && shown < SHOWN_EACH; f++) {
		if (&r->groups[f->group] != g)
			continue;
		placed = f->at.file || f->at.to || f->at.n_tensors;
		text_fmt(out, "%-8s %s%s", report_severity(f->kind), f->rule ? f->rule : "system",
			placed ? ":" : "");
		put_place(out, &f->at);
		text_fmt(out, "\n         %s\n", f->cause);
		shown++;
	}
	if (g->n > shown)
		text_fmt(out, "         and %s more like this (%s)\n",
			text_thousands(g->n - shown).s,
			g->n > REPORT_EACH ? "--json lists the first of them"
					   : "--json lists them");
	text_fmt(out, "         remedy: %s\n", report_remedy(r->findings + g->first));
}

/* A group by its pattern alone. */
static void put_group_line(struct text *out, const struct report_group *g)
{
	text_fmt(out, "%-8s %s: %s like: %s\n", report_severity(g->kind),
		g->rule ? g->rule : "system", text_thousands(g->n).s, g->like);
}

static void put_row(struct text *out, const struct report_row *w, int width)
{
	text_fmt(out, "  %-*s", width, text_quote(w->name).s);
	if (w->count || (!w->bytes && !w->text))
		text_fmt(out, " %12s", text_thousands(w->count).s);
	if (w->bytes)
		text_fmt(out, " %10s", text_bytes(w->bytes).s);
	text_fmt(out, "%s%s\n", w->text ? "  " : "", w->text ? text_quote(w->text).s : "");
}

static void put_section(const struct report *r, struct text *out, const struct report_section *s)
{
	const struct report_row *w;
	size_t n = 0, len, width = 32; /* the usual names are shorter */

	for (w = r->rows; w < r->rows + r->n_rows; w++) {
		len = w->section == s ? strlen(w->name) : 0;
		width = len > width && len <= 60 ? len : width;
	}
	for (w = r->rows; w < r->rows + r->n_rows; w++) {
		if (w->section != s)
			continue;
		if (!n)
			text_fmt(out, "%s\n", s->title);
		if (n++ < SHOWN_ROWS)
			put_row(out, w, (int)width);
	}
	if (n > SHOWN_ROWS)
		text_fmt(out, "  and %zu more rows (--json lists them)\n", n - SHOWN_ROWS);
}

static void put_verdict(const struct report *r, struct text *out)
{
	text_fmt(out, "%s: %s", r->verb, report_verdict(r));
	if (r->n)
		text_fmt(out, ": %s error%s, %s undecided, %s warning%s",
			text_thousands(r->errors).s, r->errors == 1 ? "" : "s",
			text_thousands(r->unknown).s, text_thousands(r->warnings).s,
			r->warnings == 1 ? "" : "s");
	text_str(out, "\n");
}

void report_put_text(const struct report *r, bool brief, struct text *out)
{
	const struct report_section *s;
	size_t i, left;

	for (s = report_sections; s->title && !brief; s++)
		if (!s->long_list)
			put_section(r, out, s);
	if (r->n_groups && !brief && report_folder(r))
		text_fmt(out, "found in %s\n", text_quote(report_folder(r)).s);
	for (i = 0; i < r->n_groups && !brief; i++)
		if (r->groups[i].first >= r->n ||
			(i >= SHOWN_GROUPS && i < SHOWN_GROUPS + LISTED_GROUPS))
			put_group_line(out, &r->groups[i]);
		else if (i < SHOWN_GROUPS)
			put_group(r, out, &r->groups[i]);
	left = r->n_groups > SHOWN_GROUPS + LISTED_GROUPS
		? r->n_groups - SHOWN_GROUPS - LISTED_GROUPS
		: 0;
	if (left && !brief)
		text_fmt(out, "and %zu more kinds of findings (--json lists them)\n", left);
	put_verdict(r, out);
}
