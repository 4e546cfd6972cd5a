/* SPDX-License-Identifier: MIT */
#include "formats/conversion/engine_meta.h"

#include "core/file.h"
#include "core/text.h"
#include "formats/conversion/vllm_form.h"
#include "formats/layout/engine.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char experts[] = ".ffn.experts.";

/* The tensors of experts of a file, as they are named after that. */
static const char *const stacks[] = { "w13.weight", "w13.scale", "w2.weight", "w2.scale" };
enum { STACKS = sizeof stacks / sizeof *stacks };

/* What is expected. */
struct meta {
	const struct sidecar_tensor *stack[STACKS]; /* NULL: the file has none */
	struct text ids, layouts;
};

static void find_stacks(struct meta *m, const struct sidecar *s)
{
	const char *at;
	size_t i, k;

	for (i = 0; i < s->n; i++) {
		at = s->tensors[i].op == OP_TILE ? strstr(s->tensors[i].name, experts) : NULL;
		for (k = 0; at && k < STACKS; k++)
			if (!strcmp(at + sizeof experts - 1, stacks[k]))
				m->stack[k] = &s->tensors[i];
	}
}

/* Layouts that this program does not know are said so by who wants to read them (set.layout). */
static bool known(const struct meta *m)
{
	const struct tile *t;
	size_t k;

	for (k = 0; k < STACKS; k++) {
		t = m->stack[k] ? tile_find(m->stack[k]->layout) : NULL;
		if (m->stack[k] && (!t || t->version != m->stack[k]->version))
			return false;
	}
	return true;
}

/* The id in the name of a source: "layers.3.ffn.experts.17.w1.weight". */
static void put_id(struct text *t, const char *name)
{
	const char *at = strstr(name, experts);
	int n;

	at = at ? at + sizeof experts - 1 : "";
	n = (int)strspn(at, "0123456789");
	text_fmt(t, "%s%.*s", t->n ? "," : "", n, at);
}

static void put_all(struct meta *m, const struct sidecar *s)
{
	const struct sidecar_tensor *t = m->stack[0];
	uint32_t i;
	size_t k;

	for (i = 0; t && t->parts && i < t->n; i += t->parts)
		put_id(&m->ids, s->sources[t->first + i].tensor);
	for (k = 0; k < STACKS; k++)
		if (m->stack[k])
			text_fmt(&m->layouts, "%s%s %s/%u", m->layouts.n ? ", " : "", stacks[k],
				m->stack[k]->layout, m->stack[k]->version);
}

/* All layers of the file have the experts that the header names, once for all of them. */
static int same_ids(const struct meta *m, const struct sidecar *s, struct err *e)
{
	const struct sidecar_tensor *t;
	struct text ids = { 0 };
	const char *at;
	uint32_t i;
	int rc = 0;

	for (t = s->tensors; !rc && t < s->tensors + s->n; t++) {
		at = t->op == OP_TILE && t->parts ? strstr(t->name, experts) : NULL;
		if (!at ||
			(strcmp(at + sizeof experts - 1, stacks[0]) &&
				strcmp(at + sizeof experts - 1, stacks[2])))
			continue;
		ids.n = 0;
		for (i = 0; i < t->n; i += t->parts)
			put_id(&ids, s->sources[t->first + i].tensor);
		if (ids.failed)
			rc = err_nomem(e);
		else if (ids.n != m->ids.n || memcmp(ids.s, m->ids.s, ids.n))
			rc = err_rule(e, RULE_SET_FORM, ERR_NOPOS,
				"tensor %s has the experts %s, and others of its file have others or another order",
				text_quote(t->name).s, text_quote(ids.s ? ids.s : "").s);
	}
	text_free(&ids);
	return rc;
}

/* Reads the object as it stands in the header. NULL: *e says why. */
static json_t *load(const struct io *io, int fd, const struct st_header *h, struct err *e)
{
	size_t n = (size_t)(h->meta_end - h->meta_at); /* the reader of the header has bounded it */
	char *p = malloc(n + 1), *from;
	json_t *o = NULL;

	if (!p) {
		err_nomem(e);
		return NULL;
	}
	if (!file_read(io, fd, p, n, h->meta_at, e)) {
		from = memchr(p, '{', n);
		if (from)
			o = json_loadb(from, n - (size_t)(from - p), JSON_REJECT_DUPLICATES, NULL);
		if (!o)
			err_nomem(e); /* its form was looked at before */
	}
	free(p);
	return o;
}

static int hold_text(const char *key, const char *is, const char *want, struct err *e)
{
	if (is && (!want || !strcmp(is, want)))
		return 0;
	return err_rule(e, RULE_CHECK_HEADER, ERR_NOPOS,
		"its header says %s of %s, its sidecar makes it %s",
		is ? text_quote(is).s : "nothing", key, want ? text_quote(want).s : "something");
}

static int hold(const json_t *o, const char *key, const char *want, struct err *e)
{
	return hold_text(key, json_string_value(json_object_get(o, key)), want, e);
}

/* Which rank the file is of, where the manifest says that too. */
static int hold_share(const json_t *o, const struct sidecar *s, struct err *e)
{
	const char *is = json_string_value(json_object_get(o, "dsv4.share"));

	if (!s->share[0] || (is && !strcmp(is, s->share)))
		return 0;
	return err_rule(e, RULE_CHECK_HEADER, ERR_NOPOS,
		"its header says %s of dsv4.share, its manifest makes it %s",
		is ? text_quote(is).s : "nothing", text_quote(s->share).s);
}

static int hold_all(const json_t *o, const struct meta *m, const struct sidecar *s,
	const struct engine *g, struct err *e)
{
	const struct {
		const char *key, *want; /* NULL: any text */
		bool stacked;           /* it is there where experts are */
	} rows[] = {
		{ "dsv4.alignment", "4096", false },
		{ "dsv4.target", s->target, false },
		{ "dsv4.share", NULL, false },
		{ "format", "pt", false },
		{ "dsv4.experts", m->ids.s, true },
		{ "dsv4.layouts", m->layouts.s, true },
		{ "dsv4.w13", g->w13, true },
		{ "dsv4.w2", g->w2, true },
	};
	size_t i, n = 0;

	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (rows[i].stacked && !m->stack[0])
			continue;
		if (hold(o, rows[i].key, rows[i].want, e))
			return -1;
		n++;
	}
	if (json_object_size(o) == n)
		return hold_share(o, s, e);
	return err_rule(e, RULE_CHECK_HEADER, ERR_NOPOS,
		"the metadata in its header has %zu members, %zu are made", json_object_size(o), n);
}

/* "rank R of N, experts tp", where R is what the name of the file says. */
static int hold_rank(const json_t *o, const struct sidecar *s, struct err *e)
{
	const char *is = json_string_value(json_object_get(o, "dsv4.share"));
	char want[40];

	if (!strcmp(s->name, rank_kept_file(s->target)))
		return hold_text("dsv4.share", is,
			strcmp(s->name, SGLANG_KEPT) != 0 ? "drafts" : "kept", e);
	snprintf(want, sizeof want, "rank %ld of ", vllm_rank_of(s->name));
	if (is && !strncmp(is, want, strlen(want)))
		return hold_share(o, s, e);
	return err_rule(e, RULE_CHECK_HEADER, ERR_NOPOS,
		"its header says %s of dsv4.share, its name that it is %s a number of ranks",
		is ? text_quote(is).s : "nothing", want);
}

/* Files of ranks for vLLM and SGLang: their headers say nothing of how experts are laid out. */
static int hold_vllm(const json_t *o, const struct sidecar *s, struct err *e)
{
	const char *const rows[][2] = { { "dsv4.alignment", "4096" }, { "dsv4.target", s->target },
		{ "format", "pt" }, { "dsv4.share", NULL } };
	const size_t n = sizeof rows / sizeof *rows;
	size_t i;

	for (i = 0; i < n; i++)
		if (hold(o, rows[i][0], rows[i][1], e))
			return -1;
	if (json_object_size(o) != n)
		return err_rule(e, RULE_CHECK_HEADER, ERR_NOPOS,
			"the metadata in its header has %zu members, %zu are made",
			json_object_size(o), n);
	return hold_rank(o, s, e);
}

int engine_meta_check(const struct io *io, int fd, const struct st_header *h,
	const struct sidecar *s, struct err *e)
{
	const struct engine *g = engine_find(s->target);
	struct meta m = { .ids = { 0 } };
	bool vllm = rank_target(s->target);
	json_t *o;
	int rc;

	find_stacks(&m, s);
	if (!vllm && (!g || !known(&m)))
		return 0;
	if (!h->metadata)
		return err_rule(e, RULE_CHECK_HEADER, ERR_NOPOS, "its header has no metadata");
	o = load(io, fd, h, e);
	if (!o)
		return -1;
	if (vllm) {
		rc = hold_vllm(o, s, e);
		json_decref(o);
		return rc;
	}
	put_all(&m, s);
	rc = m.ids.failed || m.layouts.failed ? err_nomem(e) : hold_all(o, &m, s, g, e);
	rc = rc || !m.stack[0] ? rc : same_ids(&m, s, e);
	text_free(&m.ids);
	text_free(&m.layouts);
	json_decref(o);
	return rc;
}
