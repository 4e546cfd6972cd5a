/* SPDX-License-Identifier: MIT */
#include "convert/cli/delta_show.h"

#include "formats/format_id.h"
#include "formats/json/jwrite.h"

#include <stdio.h>

/* What a state is called: in JSON, and for people. */
static const struct {
	const char *id, *text;
} tensor_words[DELTA_KINDS] = {
	[DELTA_SAME] = { "same", "same" },
	[DELTA_BYTES] = { "bytes", "other bytes" },
	[DELTA_FORM] = { "form", "other type or shape" },
	[DELTA_NEW] = { "new", "new" },
	[DELTA_GONE] = { "gone", "gone" },
}, file_words[DELTA_FILE_KINDS] = {
	[DELTA_FILE_SAME] = { "same", "same" },
	[DELTA_FILE_MADE] = { "same-made", "same, but not for run --base to take" },
	[DELTA_FILE_CHANGED] = { "changed", "of other tensors, types or places" },
	[DELTA_FILE_UNKNOWN] = { "unknown", "not known" },
	[DELTA_FILE_NEW] = { "new", "new" },
	[DELTA_FILE_GONE] = { "gone", "gone" },
};

/* Files of the new conversion that run --base has to make. */
static struct delta_sum to_make(const struct delta *d)
{
	static const enum delta_file_is made[] = { DELTA_FILE_MADE, DELTA_FILE_CHANGED,
		DELTA_FILE_UNKNOWN, DELTA_FILE_NEW };
	struct delta_sum s = { 0, 0 };
	size_t i;

	for (i = 0; i < sizeof made / sizeof *made; i++) {
		s.n += d->file_sum[made[i]].n;
		s.bytes += d->file_sum[made[i]].bytes;
	}
	return s;
}

/* --- for people --- */

static void put_sum(struct text *out, const char *what, struct delta_sum s)
{
	text_fmt(out, "  %-46s %9s %19s\n", what, text_thousands(s.n).s, text_thousands(s.bytes).s);
}

static void put_role(struct text *out, const struct delta_role *r)
{
	char what[200];
	int k;

	for (k = DELTA_SAME + 1; k < DELTA_KINDS; k++) {
		if (!r->sum[k].n)
			continue;
		snprintf(what, sizeof what, "%s%s: %s", r->role->name, r->scale ? " (scale)" : "",
			tensor_words[k].text);
		put_sum(out, what, r->sum[k]);
	}
}

static void put_roles(struct text *out, const struct delta *d)
{
	size_t i;

	if (d->sum[DELTA_BYTES].n + d->sum[DELTA_FORM].n + d->sum[DELTA_NEW].n +
			d->sum[DELTA_GONE].n ==
		0)
		return;
	text_fmt(out, "\n  %-46s %9s %19s\n", "by role", "tensors", "bytes");
	for (i = 0; i < d->n_roles; i++)
		put_role(out, &d->roles[i]);
}

/* Calls put for each tensor that is not the same: those of the new release by name, then those that are gone. */
static void each_tensor(const struct delta *d, void *ctx,
	void (*put)(void *ctx, const struct tensor *t, enum delta_is is))
{
	const struct delta_side *was = &d->side[DELTA_OLD], *now = &d->side[DELTA_RECENT];
	size_t i;

	for (i = 0; i < now->c->n; i++)
		if (now->is[i] != DELTA_SAME)
			put(ctx, &now->c->tensors[i], (enum delta_is)now->is[i]);
	for (i = 0; i < was->c->n; i++)
		if (was->is[i] == DELTA_GONE)
			put(ctx, &was->c->tensors[i], DELTA_GONE);
}

static void put_tensor(void *ctx, const struct tensor *t, enum delta_is is)
{
	text_fmt(ctx, "  %-20s %s\n", tensor_words[is].text, text_quote(t->name).s);
}

static void put_files(struct text *out, const struct delta *d, const char *target, bool all)
{
	const struct delta_file *f;
	struct delta_sum make = to_make(d);
	int k;

	text_fmt(out, "\n  %-46s %9s %19s\n", "output files of weights", "files", "bytes");
	for (k = 0; k < DELTA_FILE_KINDS; k++)
		if (d->file_sum[k].n || k == DELTA_FILE_SAME)
			put_sum(out, file_words[k].text, d->file_sum[k]);
	text_str(out, "\n");
	for (f = d->files; f < d->files + d->n_files; f++)
		if (all || f->is != DELTA_FILE_SAME)
			text_fmt(out, "  %s%s%s: %s\n", f->folder, *f->folder ? "/" : "", f->name,
				file_words[f->is].text);
	text_fmt(out,
		"run NEW --target %s --base OUT_OLD writes at least %s bytes, in %s file%s; more where a file of OUT_OLD has a\n"
		"NAME.dropped or rounded blocks, or is of another version. Small files and manifests are written in any case.\n",
		target, text_thousands(make.bytes).s, text_thousands(make.n).s,
		make.n == 1 ? "" : "s");
}

void delta_show_text(struct text *out, const struct delta *d, const char *target, bool tensors)
{
	int k;

	text_fmt(out, "  %-46s %9s %19s\n", "tensors", "number", "bytes");
	for (k = 0; k < DELTA_KINDS; k++)
		put_sum(out, tensor_words[k].text, d->sum[k]);
	if (d->unread.n)
		put_sum(out, "of the same: not read: same blob", d->unread);
	put_roles(out, d);
	if (tensors) {
		text_str(out, "\n");
		each_tensor(d, out, put_tensor);
	}
	if (d->has_files)
		put_files(out, d, target, tensors);
	text_str(out, "config.json, tokenizer and other small files were not compared\n");
}

/* --- as JSON --- */

static void json_members(struct jwrite *o, struct delta_sum s, const char *of)
{
	jwrite_u64(o, "bytes", s.bytes);
	jwrite_u64(o, of, s.n);
}

static void json_sum(struct jwrite *o, const char *key, struct delta_sum s, const char *of)
{
	jwrite_open(o, key, '{');
	json_members(o, s, of);
	jwrite_close(o, '}');
}

static void json_sums(struct jwrite *o, const struct delta_sum sum[DELTA_KINDS])
{
	/* by name */
	static const enum delta_is order[] = { DELTA_BYTES, DELTA_FORM, DELTA_GONE, DELTA_NEW,
		DELTA_SAME };
	size_t i;

	for (i = 0; i < sizeof order / sizeof *order; i++)
		json_sum(o, tensor_words[order[i]].id, sum[order[i]], "tensors");
}

static void json_roles(struct jwrite *o, const struct delta *d)
{
	const struct delta_role *r;

	jwrite_open(o, "roles", '[');
	for (r = d->roles; r < d->roles + d->n_roles; r++) {
		jwrite_open(o, NULL, '{');
		jwrite_str(o, "role", r->role->name);
		jwrite_bool(o, "scale", r->scale);
		jwrite_open(o, "sums", '{');
		json_sums(o, r->sum);
		jwrite_close(o, '}');
		jwrite_close(o, '}');
	}
	jwrite_close(o, ']');
}

static void json_tensor(void *ctx, const struct tensor *t, enum delta_is is)
{
	struct jwrite *o = ctx;

	jwrite_open(o, NULL, '{');
	jwrite_u64(o, "bytes", t->end - t->begin);
	jwrite_str(o, "is", tensor_words[is].id);
	jwrite_str(o, "name", t->name);
	jwrite_close(o, '}');
}

static void json_files(struct jwrite *o, const struct delta *d, bool all)
{
	const struct delta_file *f;

	jwrite_open(o, "files", '[');
	for (f = d->files; f < d->files + d->n_files; f++) {
		if (!all && f->is == DELTA_FILE_SAME)
			continue;
		jwrite_open(o, NULL, '{');
		jwrite_u64(o, "bytes", f->bytes);
		jwrite_str(o, "folder", f->folder);
		jwrite_str(o, "is", file_words[f->is].id);
		jwrite_str(o, "name", f->name);
		jwrite_close(o, '}');
	}
	jwrite_close(o, ']');
}

static void json_output(struct jwrite *o, const struct delta *d, const char *target, bool all)
{
	/* by name */
	static const enum delta_file_is order[] = { DELTA_FILE_CHANGED, DELTA_FILE_GONE,
		DELTA_FILE_NEW, DELTA_FILE_SAME, DELTA_FILE_MADE, DELTA_FILE_UNKNOWN };
	size_t i;

	jwrite_open(o, "output", '{');
	json_files(o, d, all);
	jwrite_open(o, "sums", '{');
	for (i = 0; i < sizeof order / sizeof *order; i++)
		json_sum(o, file_words[order[i]].id, d->file_sum[order[i]], "files");
	jwrite_close(o, '}');
	jwrite_str(o, "target", target);
	json_sum(o, "write_at_least", to_make(d), "files");
	jwrite_close(o, '}');
}

void delta_show_json(struct text *out, const struct delta *d, const char *target, bool tensors)
{
	struct jwrite o;

	jwrite_begin(&o, out, 2);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "format", FORMAT_DELTA_JSON);
	json_sum(&o, "not_read", d->unread, "tensors");
	if (d->has_files)
		json_output(&o, d, target, tensors);
	json_roles(&o, d);
	jwrite_open(&o, "sums", '{');
	json_sums(&o, d->sum);
	jwrite_close(&o, '}');
	if (tensors) {
		jwrite_open(&o, "tensors", '[');
		each_tensor(d, &o, json_tensor);
		jwrite_close(&o, ']');
	}
	jwrite_close(&o, '}');
}
