/* SPDX-License-Identifier: MIT */
#include "verify/report/report.h"

#include "core/rule.h"
#include "core/pattern.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
const struct report_section report_sections[] = {
	{ "checked",          "what",        "number",   "bytes",  NULL,      false, false },
	{ "compared",         "what",        "number",   "bytes",  NULL,      false, false },
	{ "values",           "blocks",      "number",   NULL,     NULL,      false, false },
	{ "source",           "what",        "number",   "bytes",  NULL,      false, false },
	{ "looked at",        "what",        "number",   "bytes",  NULL,      false, false },
	{ "types",            "type",        "tensors",  "bytes",  NULL,      false, false },
	{ "not looked at",    "what",        "number",   NULL,     "why",     false, false },
	{ "config.json",      "what",        "number",   NULL,     "where",   false, false },
	{ "index",            "what",        "number",   "bytes",  "where",   false, false },
	{ "tensors",          "which",       "number",   "bytes",  NULL,      false, false },
	{ "roles that differ","role",        "tensors",  "bytes",  "how far", false, true },
	{ "lineage",          "what",        "number",   "bytes",  "value",   false, false },
	{ "signature",        "what",        "number",   "bytes",  "value",   false, false },
	{ "device",           "device",      "threads",  NULL,     "remark",  false, false },
	{ "sub-blocks",       "which",       "values",   NULL,     "result",  false, false },
	{ "routing",          "which",       "picks",    NULL,     "result",  false, false },
	{ "indexer",          "which",       "picks",    NULL,     "result",  false, false },
	{ "layers",           "which",       "values",   NULL,     "result",  false, false },
	{ "logits",           "which",       "rows",     NULL,     "result",  false, false },
	{ "quality",          "which",       "tokens",   NULL,     "result",  false, false },
	{ "record",           "file",        "tensors",  "bytes",  NULL,      false, false },
	{ "errors",           "what",        "tensors",  "bytes",  "error",   false, false },
	{ "errors by role",   "role",        "tensors",  "bytes",  "error",   false, false },
	{ "errors by block",  "block",       "tensors",  "bytes",  "error",   false, false },
	{ "size against error", "which",     NULL,       "bytes",  "error",   false, false },
	{ "worst tensors",    "tensor",      NULL,       "bytes",  "error",   true,  false },
	{ "the other",        "what",        "tensors",  NULL,     "here, and there", false, false },
	{ "read",             "what",        NULL,       "bytes",  NULL,      false, false },
	{ "files",            "file",        NULL,       "bytes",  "SHA-256", true,  false },
	{ "roles",            "role",        "tensors",  "bytes",  NULL,      true,  true },
	{ 0 },
};

/* What a verdict of "true" says, by verb. */
static const struct {
	const char *verb, *meaning;
} meanings[] = {
	{ "check", "Every byte that the manifest, the sidecars or the list of digests speak of is the byte that was written; "
		"with --quick: every size, header and sidecar, and the chunks that were sampled." },
	{ "compare", "Every tensor of the result was made once more from the source, byte by byte the same, and every tensor of "
		"the source appears in the result." },
	{ "diff", "Both hold the same tensors with the same types, shapes and bytes." },
	{ "parity", "Every tensor of the conversion that is laid out, or has the engine's own name, is in the engine's state with the "
		"same type, shape and bytes; the section compared says how many those are, and how many could not be compared." },
	{ "doctor", "Nothing in headers, config.json, scales and samples contradicts what the checkpoint says it is. The values "
		"themselves cannot be proved right." },
	{ "sign", "The signature covers every file of the folder, and the folder agreed with its manifest." },
	{ "signature", "The signature is of this key, and the folder holds exactly the files that were signed." },
	{ "attest", "The statement says what the manifest of the folder says, and the folder agreed with it." },
	{ "logits", "Both models computed the same for these tokens, as the section logits says." },
	{ "record", "The record was written whole." },
	{ "atlas", "Every tensor of the source, but for drafts where the result has none, was found in the result, and its error was measured from the values that lie there. That is "
		"the error of weights and not the quality of the model, which dsv4-verify logits measures." },
	{ "replay", "The model computes what the record says, within the limits that are printed." },
	{ NULL, "Nothing was found that is not as it must be." },
};
/* clang-format on */

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
	r->seconds = -1;
}

void report_free(struct report *r)
{
	free(r->findings);
	free(r->groups);
	free(r->group_at);
	free(r->rows);
	text_free(&r->drawn);
	grid_free(&r->grid);
	arena_free(&r->arena);
	memset(r, 0, sizeof *r);
}

void report_call(struct report *r, int argc, char **argv, int64_t began, double seconds)
{
	struct text t = { 0 };
	int i;

	for (i = 0; i < argc; i++)
		text_fmt(&t, "%s%s", i ? " " : "", text_quote(argv[i]).s);
	r->failed = r->failed || t.failed;
	r->command = keep(r, t.s);
	r->began = began;
	r->seconds = seconds;
	text_free(&t);
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

/* FNV-1a of what makes a group; the table of groups is small and its input bounded, so that collisions cost
 * at most REPORT_GROUPS comparisons. */
static uint32_t group_hash(enum err_kind kind, const char *rule, const char *like)
{
	uint32_t h = 2166136261u ^ (uint32_t)kind;
	const char *p;

	for (p = rule ? rule : ""; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	for (p = like; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	return h;
}

enum { GROUP_SLOTS = 4 * REPORT_GROUPS }; /* a power of two; at most a quarter is used */

/* The group of such findings, made if need be; the last one takes all when there are too many. NULL without
 * memory. */
static struct report_group *group_of(struct report *r, enum err_kind kind, const char *rule,
	const char *cause)
{
	struct report_group *g;
	char like[256];
	uint32_t slot;

	pattern_of(cause, like, sizeof like);
	if (!r->group_at)
		r->group_at = calloc(GROUP_SLOTS, sizeof *r->group_at);
	if (!r->group_at || mem_grow(&r->groups, &r->groups_cap, r->n_groups + 1, sizeof *g))
		return NULL;
	slot = group_hash(kind, rule, like) % GROUP_SLOTS;
	for (; r->group_at[slot]; slot = (slot + 1) % GROUP_SLOTS) {
		g = &r->groups[r->group_at[slot] - 1];
		if (g->kind == kind && g->rule == rule && !strcmp(g->like, like))
			return g;
	}
	if (r->n_groups == REPORT_GROUPS)
		return &r->groups[REPORT_GROUPS - 1];
	g = &r->groups[r->n_groups++];
	*g = (struct report_group){
		.kind = kind, .rule = rule, .like = keep(r, like), .first = r->n
	};
	r->group_at[slot] = (uint32_t)r->n_groups;
	return g->like ? g : NULL;
}

static void add(struct report *r, enum err_kind kind, const char *rule,
	const struct report_place *at, const char *cause)
{
	struct report_finding f = { .kind = kind, .rule = rule };
	struct report_group *g = group_of(r, kind, rule, cause);

	r->errors += is_false(kind);
	r->warnings += kind == ERR_NONE;
	r->unknown += !is_false(kind) && kind != ERR_NONE;
	if (!g || mem_grow(&r->findings, &r->cap, r->n + 1, sizeof f)) {
		r->failed = true;
		return;
	}
	g->tensors += at ? at->n_tensors : 0;
	if (g->n++ >= REPORT_EACH || r->n == FINDINGS_KEPT)
		return;
	f.at = keep_place(r, at);
	f.cause = keep(r, cause);
	f.group = (uint32_t)(g - r->groups);
	if (!r->failed)
		r->findings[r->n++] = f;
}

void report_add(struct report *r, enum rule_id rule, const struct report_place *at, const char *fmt,
	...)
{
	const struct rule *broken = rule_broken(rule);
	char cause[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cause, sizeof cause, fmt, ap);
	va_end(ap);
	add(r, broken->kind, broken->id, at, cause);
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

static const struct report_section *section_of(const char *title)
{
	const struct report_section *s;

	for (s = report_sections; s->title && strcmp(s->title, title) != 0; s++)
		;
	return s->title ? s : NULL;
}

void report_row(struct report *r, const char *section, const char *name, uint64_t count,
	uint64_t bytes, const char *text)
{
	struct report_row row = { .section = section_of(section), .count = count, .bytes = bytes };

	if (!row.section || mem_grow(&r->rows, &r->rows_cap, r->n_rows + 1, sizeof row)) {
		r->failed = true;
		return;
	}
	row.name = keep(r, name);
	row.text = keep(r, text);
	if (!r->failed)
		r->rows[r->n_rows++] = row;
}

void report_figure(struct report *r, const char *name, double value)
{
	struct report_row *w = r->n_rows ? &r->rows[r->n_rows - 1] : NULL;

	if (w && !w->figures)
		w->figures = arena_alloc(&r->arena, REPORT_FIGURES * sizeof *w->figures);
	if (!w || !w->figures || w->n_figures == REPORT_FIGURES) {
		r->failed = true;
		return;
	}
	w->figures[w->n_figures++] = (struct report_figure){ name, value };
}

void report_count(struct report *r, const char *section, const char *name, uint64_t count,
	uint64_t bytes)
{
	size_t i;

	for (i = 0; i < r->n_rows; i++)
		if (!strcmp(r->rows[i].section->title, section) && !strcmp(r->rows[i].name, name)) {
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

/* Errors, then what could not be told, then warnings; inside of each by the first finding. */
static int cmp_group(const void *a, const void *b)
{
	const struct report_group *x = a, *y = b;
	int rank_x = is_false(x->kind) ? 0 : x->kind == ERR_NONE ? 2 : 1;
	int rank_y = is_false(y->kind) ? 0 : y->kind == ERR_NONE ? 2 : 1;

	if (rank_x != rank_y)
		return rank_x - rank_y;
	return x->first < y->first ? -1 : x->first > y->first;
}

/* Puts groups in order; findings and the hash table follow them. */
static void sort_groups(struct report *r)
{
	uint32_t *now = calloc(r->n_groups + 1, sizeof *now), slot;
	size_t i;

	if (!now) {
		r->failed = true;
		return;
	}
	for (i = 0; i < r->n_groups; i++)
		r->groups[i].was = (uint32_t)i;
	qsort(r->groups, r->n_groups, sizeof *r->groups, cmp_group);
	memset(r->group_at, 0, GROUP_SLOTS * sizeof *r->group_at);
	for (i = 0; i < r->n_groups; i++) {
		now[r->groups[i].was] = (uint32_t)i;
		slot = group_hash(r->groups[i].kind, r->groups[i].rule, r->groups[i].like) %
			GROUP_SLOTS;
		while (r->group_at[slot])
			slot = (slot + 1) % GROUP_SLOTS;
		r->group_at[slot] = (uint32_t)i + 1;
	}
	for (i = 0; i < r->n; i++)
		r->findings[i].group = now[r->findings[i].group];
	free(now);
}

void report_strict(struct report *r)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (r->findings[i].kind == ERR_NONE)
			r->findings[i].kind = ERR_MISMATCH;
	for (i = 0; i < r->n_groups; i++)
		if (r->groups[i].kind == ERR_NONE)
			r->groups[i].kind = ERR_MISMATCH;
	r->errors += r->warnings;
	r->warnings = 0;
}

void report_sort(struct report *r)
{
	size_t i;

	if (r->n)
		qsort(r->findings, r->n, sizeof *r->findings, cmp_finding);
	for (i = r->n; i; i--)
		r->groups[r->findings[i - 1].group].first = i - 1;
	if (r->n_groups)
		sort_groups(r);
}

const char *report_severity(enum err_kind kind)
{
	return is_false(kind) ? "error" : kind == ERR_NONE ? "warning" : "unknown";
}

const char *report_verdict(const struct report *r)
{
	return r->errors ? "false" : r->unknown ? "unknown" : "true";
}

const char *report_meaning(const struct report *r)
{
	size_t i;

	for (i = 0; meanings[i].verb && strcmp(meanings[i].verb, r->verb) != 0; i++)
		;
	return meanings[i].meaning;
}

const char *report_remedy(const struct report_finding *f)
{
	const struct rule *u = f->rule ? rule_find(f->rule) : NULL;

	return u ? u->remedy : "look at what the system says, and try again";
}

const char *report_folder(const struct report *r)
{
	if (!strcmp(r->verb, "diff"))
		return NULL; /* of either of two */
	return r->subject[!strcmp(r->verb, "compare") || !strcmp(r->verb, "logits") ||
		!strcmp(r->verb, "atlas")];
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
	return err_set(e, kind, "%s: undecided, for %llu reason%s", text_quote(of).s,
		(unsigned long long)r->unknown, r->unknown == 1 ? "" : "s");
}
