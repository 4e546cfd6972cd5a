/* SPDX-License-Identifier: MIT */
#include "verify/atlas/ids.h"

#include "core/file.h"
#include "formats/gguf/ggml_type.h"

#include <string.h>

enum { WINDOW = 1024 }; /* ids that are read at once */

/* Where the ids lie. */
struct ids {
	const struct values *v;
	const struct tensor *t;
	uint64_t n;
	size_t each; /* bytes of an id; 0: there is no table */
};

static struct ids table(const struct values *v, const struct tensor *t)
{
	struct ids x = { .v = v, .t = t, .n = 1 };
	const struct gguf_matrix *m;
	unsigned i;

	if (!t)
		return x;
	if (v->is_gguf) {
		m = &v->g.v[t - v->c.tensors];
		x.n = m->rows * m->cols;
		x.each = m->type == GGML_I32 ? 4 : 0;
		return x;
	}
	for (i = 0; i < t->rank; i++)
		x.n *= t->dim[i];
	x.each = t->dtype == DT_I64 ? 8 : t->dtype == DT_I32 ? 4 : 0;
	return x;
}

/* Reads ids at .. at + n. */
static int get(const struct ids *x, uint64_t at, size_t n, int64_t *ids, struct err *e)
{
	const struct gguf_matrix *m = x->v->is_gguf ? &x->v->g.v[x->t - x->v->c.tensors] : NULL;
	uint8_t raw[8 * WINDOW];
	int32_t narrow;
	size_t i;

	if (m ? file_read(x->v->io, x->v->g.fds[m->part], raw, n * x->each, m->at + at * x->each, e)
	      : ckpt_read(&x->v->c, x->t, at * x->each, raw, n * x->each, e))
		return -1;
	for (i = 0; i < n; i++)
		if (x->each == sizeof narrow) {
			memcpy(&narrow, raw + i * sizeof narrow, sizeof narrow);
			ids[i] = narrow;
		} else {
			memcpy(&ids[i], raw + i * sizeof *ids, sizeof *ids);
		}
	return 0;
}

/* Sets *same to whether the result has the ids of the source. */
static int hold(const struct ids *was, const struct ids *is, bool *same, struct err *e)
{
	int64_t a[WINDOW], b[WINDOW];
	uint64_t at;
	size_t n, i;

	*same = is->each && is->n == was->n;
	for (at = 0; *same && at < was->n; at += n) {
		n = was->n - at < WINDOW ? (size_t)(was->n - at) : WINDOW;
		if (get(was, at, n, a, e) || get(is, at, n, b, e))
			return -1;
		for (i = 0; i < n && a[i] == b[i]; i++)
			;
		*same = i == n;
	}
	return 0;
}

int ids_hold(struct report *r, const struct values *source, const struct values *out, struct err *e)
{
	struct report_place at = { .n_tensors = 1 };
	uint64_t looked = 0;
	struct ids was, is;
	bool same;
	size_t i;

	for (i = 0; i < source->c.n; i++) {
		was = table(source, &source->c.tensors[i]);
		if (!was.each || values_source(source, i).form)
			continue;
		is = table(out, ckpt_find(&out->c, was.t->name));
		if (hold(&was, &is, &same, e))
			return err_at(e, "tensor %s", text_quote(was.t->name).s);
		looked++;
		at.tensors = &was.t->name;
		if (!same)
			report_add(r, RULE_ATLAS_LOST, &at,
				"tensor %s: the result has not the ids of the source, by which tokens find their experts",
				text_quote(was.t->name).s);
	}
	if (looked)
		report_row(r, "looked at", "tables of ids", looked, 0,
			"held to those of the source: they have no error");
	return 0;
}
