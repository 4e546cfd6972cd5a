/* SPDX-License-Identifier: MIT */
#include "verify/report/report.h"

#include "formats/json/jwrite.h"
#include "formats/rule.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- filling --- */

static const char *keep(struct report *r, const char *s)
{
	const char *p = s ? arena_strndup(&r->arena, s, strlen(s)) : NULL;

	r->failed = r->failed || (s && !p);
	return p;
}

void report_begin(struct report *r, const char *tool, const char *verb, const char *subject,
	const char *other)
{
	memset(r, 0, sizeof *r);
	r->tool = tool;
	r->verb = verb;
	r->subject[0] = keep(r, subject);
	r->subject[1] = keep(r, other);
}

void report_free(struct report *r)
{
	free(r->findings);
	free(r->rows);
	arena_free(&r->arena);
	memset(r, 0, sizeof *r);
}

static bool is_false(enum err_kind kind)
{
	return kind == ERR_DATA || kind == ERR_MISMATCH;
}

static struct report_place keep_place(struct report *r, const struct report_place *at)
{
	struct report_place p = { 0 };
	size_t i, n;
	const char **names;

	if (!at)
		return p;
	p = *at;
	p.file = keep(r, at->file);
	p.tensors = NULL;
	n = at->n_tensors < REPORT_TENSORS ? at->n_tensors : REPORT_TENSORS;
	if (!n)
		return p;
	names = arena_alloc(&r->arena, n * sizeof *names);
	r->failed = r->failed || !names;
	for (i = 0; names && i < n; i++)
		names[i] = keep(r, at->tensors[i]);
	p.tensors = names;
	p.n_tensors = names ? p.n_tensors : 0;
	return p;
}

static void add(struct report *r, enum err_kind kind, const char *rule,
	const struct report_place *at, const char *cause)
{
	struct report_finding f = { .kind = kind, .rule = rule };

	r->errors += is_false(kind);
	r->warnings += kind == ERR_NONE;
	r->unknown += !is_false(kind) && kind != ERR_NONE;
	if (r->n == FINDINGS_KEPT)
		return;
	if (mem_grow(&r->findings, &r->cap, r->n + 1, sizeof f)) {
		r->failed = true;
		return;
	}
	f.at = keep_place(r, at);
	f.cause = keep(r, cause);
	if (!r->failed)
		r->findings[r->n++] = f;
}

void report_add(struct report *r, enum err_kind kind, const char *rule,
	const struct report_place *at, const char *fmt, ...)
{
	char cause[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cause, sizeof cause, fmt, ap);
	va_end(ap);
	add(r, kind, rule, at, cause);
}

void report_take(struct report *r, const struct report_place *at, struct err *e)
{
	struct report_place p = at ? *at : (struct report_place){ 0 };

	if (!p.to && e->rule && e->pos != ERR_NOPOS) {
		p.from = e->pos;
		p.to = e->pos + 1;
	}
	add(r, e->kind, e->rule, &p, e->text);
	memset(e, 0, sizeof *e);
}

void report_findings(struct report *r, const struct findings *f)
{
	struct report_place at = { 0 };
	size_t i;

	for (i = 0; i < f->n; i++) {
		at.file = f->v[i].file;
		at.from = f->v[i].pos == ERR_NOPOS ? 0 : f->v[i].pos;
		at.to = f->v[i].pos == ERR_NOPOS ? 0 : f->v[i].pos + 1;
		add(r, f->v[i].kind, f->v[i].rule, &at, f->v[i].text);
	}
	if (f->total > f->n) /* more than are kept: of one kind, to be sure of the verdict */
		r->errors += f->total - f->n;
}

void report_row(struct report *r, const char *section, const char *name, uint64_t count,
	uint64_t bytes, const char *text)
{
	struct report_row row = { .section = section, .count = count, .bytes = bytes };

	if (mem_grow(&r->rows, &r->rows_cap, r->n_rows + 1, sizeof row)) {
		r->failed = true;
		return;
	}
	row.name = keep(r, name);
	row.text = keep(r, text);
	if (!r->failed)
		r->rows[r->n_rows++] = row;
}

void report_count(struct report *r, const char *section, const char *name, uint64_t count,
	uint64_t bytes)
{
	size_t i;

	for (i = 0; i < r->n_rows; i++)
		if (!strcmp(r->rows[i].section, section) && !strcmp(r->rows[i].name, name)) {
			r->rows[i].count += count;
			r->rows[i].bytes += bytes;
			return;
		}
	report_row(r, section, name, count, bytes, NULL);
}

/* --- asking --- */

static int cmp_str(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int cmp_finding(const void *a, const void *b)
{
	const struct report_finding *x = a, *y = b;
	int c = cmp_str(x->at.file, y->at.file);

	if (!c && x->at.from != y->at.from)
		c = x->at.from < y->at.from ? -1 : 1;
	c = c ? c : cmp_str(x->rule, y->rule);
	return c ? c : cmp_str(x->cause, y->cause);
}

void report_sort(struct report *r)
{
	if (r->n)
		qsort(r->findings, r->n, sizeof *r->findings, cmp_finding);
}

const char *report_severity(enum err_kind kind)
{
	return is_false(kind) ? "error" : kind == ERR_NONE ? "warning" : "unknown";
}

const char *report_verdict(const struct report *r)
{
	return r->errors ? "false" : r->unknown ? "unknown" : "true";
}

const char *report_remedy(const struct report_finding *f)
{
	const struct rule *u = f->rule ? rule_find(f->rule) : NULL;

	return u ? u->remedy : "look at what the system says, and try again";
}

/* --- as text --- */

static void put_place(struct text *out, const struct report_place *p)
{
	size_t i, shown = p->n_tensors < 4 ? p->n_tensors : 4;

	if (p->file)
		text_fmt(out, " %s", text_quote(p->file).s);
	if (p->to)
		text_fmt(out, ", bytes %llu to %llu", (unsigned long long)p->from,
			(unsigned long long)p->to);
	for (i = 0; i < shown; i++)
		text_fmt(out, "%s%s",
			i                          ? ", "
				: p->n_tensors > 1 ? ", tensors "
						   : ", tensor ",
			text_quote(p->tensors[i]).s);
	if (p->n_tensors > shown)
		text_fmt(out, " and %zu more", p->n_tensors - shown);
}

static void put_finding(struct text *out, const struct report_finding *f)
{
	text_fmt(out, "%-8s %s%s", report_severity(f->kind), f->rule ? f->rule : "system",
		f->at.file || f->at.to || f->at.n_tensors ? ":" : "");
	put_place(out, &f->at);
	text_fmt(out, "\n         %s\n         remedy: %s\n", f->cause, report_remedy(f));
}

static bool first_of_section(const struct report *r, size_t i)
{
	size_t k;

	for (k = 0; k < i; k++)
		if (!strcmp(r->rows[k].section, r->rows[i].section))
			return false;
	return true;
}

static void put_row(struct text *out, const struct report_row *w)
{
	text_fmt(out, "  %-32s", text_quote(w->name).s);
	if (w->count || (!w->bytes && !w->text))
		text_fmt(out, " %12s", text_thousands(w->count).s);
	if (w->bytes)
		text_fmt(out, " %10s", text_bytes(w->bytes).s);
	text_fmt(out, "%s%s\n", w->text ? "  " : "", w->text ? text_quote(w->text).s : "");
}

void report_put_text(const struct report *r, struct text *out)
{
	size_t i, k;

	for (i = 0; i < r->n; i++)
		put_finding(out, &r->findings[i]);
	for (i = 0; i < r->n_rows; i++) {
		if (!first_of_section(r, i) || !strcmp(r->rows[i].section, "roles"))
			continue;
		text_fmt(out, "%s\n", r->rows[i].section);
		for (k = i; k < r->n_rows; k++)
			if (!strcmp(r->rows[k].section, r->rows[i].section))
				put_row(out, &r->rows[k]);
	}
	text_fmt(out, "%s: %s", r->verb, report_verdict(r));
	if (r->n)
		text_fmt(out, ": %llu error%s, %llu could not be told, %llu warning%s",
			(unsigned long long)r->errors, r->errors == 1 ? "" : "s",
			(unsigned long long)r->unknown, (unsigned long long)r->warnings,
			r->warnings == 1 ? "" : "s");
	text_str(out, "\n");
}

/* --- as JSON --- */

static void json_finding(struct jwrite *o, const struct report_finding *f)
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
	if (f->at.file)
		jwrite_str(o, "file", f->at.file);
	else
		jwrite_null(o, "file");
	jwrite_str(o, "remedy", report_remedy(f));
	if (f->rule)
		jwrite_str(o, "rule", f->rule);
	else
		jwrite_null(o, "rule");
	jwrite_str(o, "severity", report_severity(f->kind));
	jwrite_open(o, "tensors", '[');
	for (i = 0; i < f->at.n_tensors && i < REPORT_TENSORS; i++)
		jwrite_str(o, NULL, f->at.tensors[i]);
	jwrite_close(o, ']');
	jwrite_u64(o, "tensors_total", f->at.n_tensors);
	jwrite_close(o, '}');
}

static void json_row(struct jwrite *o, const struct report_row *w)
{
	jwrite_open(o, NULL, '{');
	jwrite_u64(o, "bytes", w->bytes);
	jwrite_u64(o, "count", w->count);
	jwrite_str(o, "name", w->name);
	if (w->text)
		jwrite_str(o, "text", w->text);
	else
		jwrite_null(o, "text");
	jwrite_close(o, '}');
}

static void json_sections(struct jwrite *o, const struct report *r)
{
	size_t i, k;

	jwrite_open(o, "sections", '[');
	for (i = 0; i < r->n_rows; i++) {
		if (!first_of_section(r, i))
			continue;
		jwrite_open(o, NULL, '{');
		jwrite_open(o, "rows", '[');
		for (k = i; k < r->n_rows; k++)
			if (!strcmp(r->rows[k].section, r->rows[i].section))
				json_row(o, &r->rows[k]);
		jwrite_close(o, ']');
		jwrite_str(o, "title", r->rows[i].section);
		jwrite_close(o, '}');
	}
	jwrite_close(o, ']');
}

void report_put_json(const struct report *r, struct text *out)
{
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
		json_finding(&o, &r->findings[i]);
	jwrite_close(&o, ']');
	jwrite_str(&o, "format", REPORT_FORMAT);
	o.flat = 4;
	json_sections(&o, r);
	o.flat = 2;
	jwrite_open(&o, "subjects", '[');
	for (i = 0; i < 2 && r->subject[i]; i++)
		jwrite_str(&o, NULL, r->subject[i]);
	jwrite_close(&o, ']');
	jwrite_str(&o, "tool", r->tool);
	jwrite_str(&o, "verb", r->verb);
	jwrite_str(&o, "verdict", report_verdict(r));
	jwrite_close(&o, '}');
}

int report_finish(const struct report *r, struct err *e)
{
	const char *of = r->subject[r->subject[1] !=
		NULL]; /* compare: the result is judged, not the source */
	enum err_kind kind = ERR_NONE;
	size_t i;

	if (r->failed)
		return err_nomem(e);
	if (!r->errors && !r->unknown)
		return 0;
	for (i = 0; i < r->n && kind == ERR_NONE; i++)
		if (r->errors ? is_false(r->findings[i].kind) : r->findings[i].kind != ERR_NONE)
			kind = r->findings[i].kind;
	if (kind == ERR_NONE || kind == ERR_USAGE) /* a usage error would print the usage */
		kind = r->errors ? ERR_MISMATCH : ERR_SYSTEM;
	if (r->errors)
		return err_set(e, kind, "%s: %llu error%s", text_quote(of).s,
			(unsigned long long)r->errors, r->errors == 1 ? "" : "s");
	return err_set(e, kind, "%s: could not be told, for %llu reason%s", text_quote(of).s,
		(unsigned long long)r->unknown, r->unknown == 1 ? "" : "s");
}
