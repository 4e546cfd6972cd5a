/* SPDX-License-Identifier: MIT */
#include "convert/cli/inspect_gguf.h"

#include "convert/cli/inspect.h"
#include "core/pattern.h"
#include "formats/format_id.h"
#include "formats/gguf/ggml_type.h"
#include "formats/json/jwrite.h"
#include "formats/model/gguf_folder.h"
#include "quant/gguf_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATTERN = 160, SHOWN = 12 }; /* of an array: that many numbers are shown */

/* Tensors whose names differ in numbers alone, of one type. */
struct group {
	char name[PATTERN];
	uint32_t type;
	uint64_t n, bytes;
};

struct groups {
	struct group *v; /* owns */
	size_t n, cap;
	uint64_t tensors, bytes;
};

static int by_name(const void *a, const void *b)
{
	const struct group *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : (x->type > y->type) - (x->type < y->type);
}

/* Adds up tensors by the pattern of their names, or by type where patterns is false. */
static int sum_up(struct groups *g, const struct gguf_in *x, bool patterns, struct err *e)
{
	size_t i, k, n = 0;

	memset(g, 0, sizeof *g);
	for (i = 0; i < x->set.n; i++)
		for (k = 0; k < x->set.parts[i].file.n; k++) {
			const struct gguf_tensor *t = &x->set.parts[i].file.tensors[k];
			struct group *v;

			if (mem_grow(&g->v, &g->cap, g->n + 1, sizeof *g->v))
				return err_nomem(e);
			v = &g->v[g->n++];
			*v = (struct group){ .type = t->type, .n = 1, .bytes = t->bytes };
			if (patterns)
				pattern_of(t->name, v->name, sizeof v->name);
			g->tensors++;
			g->bytes += t->bytes;
		}
	if (g->n)
		qsort(g->v, g->n, sizeof *g->v, by_name);
	for (i = 0; i < g->n; i++) {
		if (n && !by_name(&g->v[n - 1], &g->v[i])) {
			g->v[n - 1].n++;
			g->v[n - 1].bytes += g->v[i].bytes;
		} else {
			g->v[n++] = g->v[i];
		}
	}
	g->n = n;
	return 0;
}

/* --- text --- */

static void put_value(struct text *out, const struct gguf_entry *x)
{
	uint64_t i;

	if (x->type == GGUF_STRING) {
		text_fmt(out, "\"%.60s\"%s", text_quote(x->text).s, x->count > 60 ? " ..." : "");
		return;
	}
	if (x->type != GGUF_ARRAY) {
		text_fmt(out, "%.9g", x->number);
		return;
	}
	for (i = 0; x->v && i < x->count && i < SHOWN; i++)
		text_fmt(out, i ? ", %.9g" : "%.9g", x->v[i]);
	text_fmt(out, "%s%s", x->v && x->count > SHOWN ? ", .. " : "", x->v ? "" : "(not shown)");
}

static void put_keys(struct text *out, const struct gguf_in *x)
{
	const struct gguf_entry *k;
	char type[40];

	text_fmt(out, "\n  %-48s %-14s %s\n", "key", "type", "value");
	for (k = x->meta.v; k < x->meta.v + x->meta.n; k++) {
		if (k->type == GGUF_ARRAY)
			snprintf(type, sizeof type, "%s[%llu]", gguf_type_name(k->item),
				(unsigned long long)k->count);
		else
			snprintf(type, sizeof type, "%s", gguf_type_name(k->type));
		text_fmt(out, "  %-48s %-14s ", text_quote(k->key).s, type);
		put_value(out, k);
		text_str(out, "\n");
	}
}

static void put_groups(struct text *out, const struct groups *g, const char *head)
{
	size_t i;

	text_fmt(out, "\n  %-40s %9s %19s  %s\n", head, "tensors", "bytes", "type");
	for (i = 0; i < g->n; i++)
		text_fmt(out, "  %-40s %9s %19s  %s\n", g->v[i].name, text_thousands(g->v[i].n).s,
			text_thousands(g->v[i].bytes).s, ggml_type_name(g->v[i].type));
}

static int put_set(struct text *out, const struct gguf_in *x, struct err *e)
{
	struct groups g;
	size_t i;
	int rc;

	text_fmt(out, "\n%s: %s\n", text_quote(x->name).s, gguf_is_names[x->is]);
	for (i = 0; x->set.n > 1 && i < x->set.n; i++)
		text_fmt(out, "  part %zu: %s tensors, %s bytes\n", i + 1,
			text_thousands(x->set.parts[i].file.n).s,
			text_thousands(x->set.parts[i].size).s);
	put_keys(out, x);
	rc = sum_up(&g, x, true, e);
	if (!rc)
		put_groups(out, &g, "tensors (# = a number)");
	free(g.v);
	return rc;
}

static int put_text(struct text *out, const struct folder *f, const struct gguf_folder *g,
	struct err *e)
{
	size_t i;
	int rc = 0;

	text_fmt(out, "%s: %s\n", text_quote(f->path).s, kind_rows[f->kind].text);
	for (i = 0; !rc && i < g->n; i++)
		if (g->v[i].err.kind == ERR_NONE)
			rc = put_set(out, &g->v[i], e);
	inspect_put_findings(out, &f->found,
		"\nno findings: the headers are sound, and the model has the tensors that its keys say\n");
	return rc;
}

/* --- JSON --- */

static void put_json_keys(struct jwrite *o, const struct gguf_in *x)
{
	const struct gguf_entry *k;
	uint64_t i;

	jwrite_open(o, "keys", '[');
	for (k = x->meta.v; k < x->meta.v + x->meta.n; k++) {
		jwrite_open(o, NULL, '{');
		if (k->type == GGUF_ARRAY) {
			jwrite_u64(o, "count", k->count);
			jwrite_str(o, "items", gguf_type_name(k->item));
		}
		jwrite_str(o, "key", k->key);
		jwrite_str(o, "type", gguf_type_name(k->type));
		if (k->type == GGUF_STRING)
			jwrite_str(o, "value", k->text);
		else if (k->type == GGUF_BOOL)
			jwrite_bool(o, "value", k->number != 0);
		else if (k->type != GGUF_ARRAY)
			jwrite_f64(o, "value", k->number);
		if (k->v) {
			jwrite_open(o, "values", '[');
			for (i = 0; i < k->count; i++)
				jwrite_f64(o, NULL, k->v[i]);
			jwrite_close(o, ']');
		}
		jwrite_close(o, '}');
	}
	jwrite_close(o, ']');
}

static void put_json_groups(struct jwrite *o, const char *key, const struct groups *g, bool types)
{
	size_t i;

	jwrite_open(o, key, '[');
	for (i = 0; i < g->n; i++) {
		jwrite_open(o, NULL, '{');
		jwrite_u64(o, "bytes", g->v[i].bytes);
		if (!types)
			jwrite_str(o, "dtype", ggml_type_name(g->v[i].type));
		jwrite_str(o, "name", types ? ggml_type_name(g->v[i].type) : g->v[i].name);
		jwrite_u64(o, "tensors", g->v[i].n);
		jwrite_close(o, '}');
	}
	jwrite_close(o, ']');
}

static int put_json_set(struct jwrite *o, const struct gguf_in *x, struct err *e)
{
	struct groups types, roles = { 0 };
	size_t i;
	int rc = sum_up(&types, x, false, e);

	rc = rc ? rc : sum_up(&roles, x, true, e);
	if (!rc) {
		jwrite_open(o, NULL, '{');
		jwrite_u64(o, "bytes", types.bytes);
		put_json_groups(o, "dtypes", &types, true);
		jwrite_open(o, "files", '[');
		for (i = 0; i < x->set.n; i++) {
			jwrite_open(o, NULL, '{');
			jwrite_u64(o, "bytes", x->set.parts[i].size);
			jwrite_str(o, "name", x->set.parts[i].name);
			jwrite_u64(o, "tensors", x->set.parts[i].file.n);
			jwrite_close(o, '}');
		}
		jwrite_close(o, ']');
		jwrite_str(o, "is", gguf_is_names[x->is]);
		put_json_keys(o, x);
		put_json_groups(o, "roles", &roles, false);
		jwrite_u64(o, "tensors", types.tensors);
		jwrite_close(o, '}');
	}
	free(types.v);
	free(roles.v);
	return rc;
}

static int put_json(struct text *out, const struct folder *f, const struct gguf_folder *g,
	struct err *e)
{
	struct jwrite o;
	size_t i;
	int rc = 0;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	inspect_put_json_findings(&o, &f->found);
	jwrite_str(&o, "format", FORMAT_INSPECT_JSON);
	jwrite_open(&o, "gguf", '[');
	for (i = 0; !rc && i < g->n; i++)
		if (g->v[i].err.kind == ERR_NONE)
			rc = put_json_set(&o, &g->v[i], e);
	jwrite_close(&o, ']');
	jwrite_str(&o, "kind", kind_rows[f->kind].id);
	jwrite_close(&o, '}');
	return rc;
}

/* --- what is wrong --- */

static int find(struct folder *f, struct gguf_in *x, struct err *e)
{
	struct gguf_model m;
	struct ckpt c;
	struct err why = { 0 };

	if (x->err.kind != ERR_NONE) {
		why = x->err; /* which stays, so that the set is passed over */
		return finding_take(&f->found, x->name, &why) ? err_nomem(e) : 0;
	}
	if (x->is != GGUF_IS_MODEL && x->is != GGUF_IS_MTP)
		return 0;
	if (gguf_model_open(&m, &c, f->io, f->dir, x->name,
		    x->is == GGUF_IS_MTP ? GGUF_OF_MTP : GGUF_OF_MODEL, &f->found, &why)) {
		if (why.kind == ERR_SYSTEM)
			return err_move(e, &why);
		return finding_take(&f->found, x->name, &why) ? err_nomem(e) : 0;
	}
	gguf_model_close(&m, &c);
	return 0;
}

int inspect_gguf(struct text *out, struct folder *f, bool json, struct err *e)
{
	struct gguf_folder g;
	size_t i;
	int rc = gguf_folder_read(&g, f->io, f->dir, f->gguf, e);

	if (rc)
		return -1;
	for (i = 0; !rc && i < g.n; i++)
		rc = find(f, &g.v[i], e);
	rc = rc ? rc : json ? put_json(out, f, &g, e) : put_text(out, f, &g, e);
	gguf_folder_free(&g);
	return rc;
}
