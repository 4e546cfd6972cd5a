/* report_json.c -- a report as one JSON document, described by docs/schema/report.json.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/json/jwrite.h"
#include "verify/report/report.h"

#include <string.h>

static void str_or_null(struct jwrite *o, const char *key, const char *s)
{
	if (s)
		jwrite_str(o, key, s);
	else
		jwrite_null(o, key);
}

static void put_finding(struct jwrite *o, const struct report_finding *f)
{
	size_t i;

	jwrite_open(o, NULL, '{');
	if (f->at.to) {
		jwrite_open(o, "bytes", '[');
		jwrite_u64(o, NULL, f->at.from);
		jwrite_u64(o, NULL, f->at.to);
		jwrite_close(o, ']');
	} else {
		jwrite_null(o, "bytes");
	}
	jwrite_str(o, "cause", f->cause);
	str_or_null(o, "file", f->at.file);
	jwrite_u64(o, "group", f->group);
	jwrite_str(o, "remedy", report_remedy(f));
	str_or_null(o, "rule", f->rule);
	jwrite_str(o, "severity", report_severity(f->kind));
	jwrite_open(o, "tensors", '[');
	for (i = 0; i < f->at.n_tensors && i < REPORT_TENSORS; i++)
		jwrite_str(o, NULL, f->at.tensors[i]);
	jwrite_close(o, ']');
	jwrite_u64(o, "tensors_total", f->at.n_tensors);
	jwrite_close(o, '}');
}

static void put_groups(struct jwrite *o, const struct report *r)
{
	const struct report_group *g;

	jwrite_open(o, "groups", '[');
	for (g = r->groups; g < r->groups + r->n_groups; g++) {
		jwrite_open(o, NULL, '{');
		jwrite_u64(o, "count", g->n);
		jwrite_str(o, "like", g->like);
		str_or_null(o, "rule", g->rule);
		jwrite_str(o, "severity", report_severity(g->kind));
		jwrite_u64(o, "tensors_total", g->tensors);
		jwrite_close(o, '}');
	}
	jwrite_close(o, ']');
}

static void put_row(struct jwrite *o, const struct report_row *w)
{
	unsigned i;

	jwrite_open(o, NULL, '{');
	jwrite_u64(o, "bytes", w->bytes);
	jwrite_u64(o, "count", w->count);
	jwrite_open(o, "figures", '{');
	for (i = 0; i < w->n_figures; i++)
		jwrite_f64(o, w->figures[i].name, w->figures[i].value);
	jwrite_close(o, '}');
	jwrite_str(o, "name", w->name);
	str_or_null(o, "text", w->text);
	jwrite_close(o, '}');
}

static void put_sections(struct jwrite *o, const struct report *r)
{
	const struct report_section *s;
	const struct report_row *w;
	bool any;

	jwrite_open(o, "sections", '[');
	for (s = report_sections; s->title; s++) {
		any = false;
		for (w = r->rows; w < r->rows + r->n_rows; w++) {
			if (w->section != s)
				continue;
			if (!any) {
				jwrite_open(o, NULL, '{');
				jwrite_open(o, "rows", '[');
			}
			any = true;
			put_row(o, w);
		}
		if (!any)
			continue;
		jwrite_close(o, ']');
		jwrite_str(o, "title", s->title);
		jwrite_close(o, '}');
	}
	jwrite_close(o, ']');
}

static void put_grid(struct jwrite *o, const struct grid *g)
{
	size_t i, k;

	if (!g->n) {
		jwrite_null(o, "grid");
		return;
	}
	jwrite_open(o, "grid", '{');
	jwrite_open(o, "rows", '[');
	for (i = 0; i < g->n; i++)
		jwrite_str(o, NULL, g->rows[i].name);
	jwrite_close(o, ']');
	jwrite_str(o, "title", g->title ? g->title : "");
	jwrite_open(o, "values", '[');
	for (i = 0; i < g->n; i++) {
		jwrite_open(o, NULL, '[');
		for (k = 0; k < g->columns; k++)
			if (grid_at(g, i, k) < 0)
				jwrite_null(o, NULL);
			else
				jwrite_f64(o, NULL, grid_at(g, i, k));
		jwrite_close(o, ']');
	}
	jwrite_close(o, ']');
	jwrite_close(o, '}');
}

void report_put_json(const struct report *r, struct text *out)
{
	const char *verdict = report_verdict(r);
	struct jwrite o;
	size_t i;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_open(&o, "counts", '{');
	jwrite_u64(&o, "errors", r->errors);
	jwrite_u64(&o, "unknown", r->unknown);
	jwrite_u64(&o, "warnings", r->warnings);
	jwrite_close(&o, '}');
	jwrite_open(&o, "findings", '[');
	for (i = 0; i < r->n; i++)
		put_finding(&o, &r->findings[i]);
	jwrite_close(&o, ']');
	if (report_folder(r))
		jwrite_str(&o, "folder", report_folder(r));
	else
		jwrite_null(&o, "folder");
	jwrite_str(&o, "format", REPORT_FORMAT);
	put_grid(&o, &r->grid);
	put_groups(&o, r);
	if (strcmp(verdict, "unknown") != 0)
		jwrite_bool(&o, "ok", !strcmp(verdict, "true"));
	else
		jwrite_null(&o, "ok");
	o.flat = 4;
	put_sections(&o, r);
	o.flat = 2;
	jwrite_open(&o, "subjects", '[');
	for (i = 0; i < 2 && r->subject[i]; i++)
		jwrite_str(&o, NULL, r->subject[i]);
	jwrite_close(&o, ']');
	jwrite_str(&o, "tool", r->tool);
	jwrite_str(&o, "verb", r->verb);
	jwrite_str(&o, "verdict", verdict);
	jwrite_close(&o, '}');
}
