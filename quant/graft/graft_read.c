/* graft_read.c -- how a checkpoint with grafted experts is read: matrices of FORM made FP4 as a whole, of which a reader
 * holds a few, and all else as it lies in DIR.
 *
 * SPDX-License-Identifier: MIT */
#include "quant/graft/graft.h"

#include "core/text.h"

#include <stdlib.h>
#include <string.h>

enum { SLOTS = 3 }; /* matrices that are held: w1 and w3 are read in turn */

static size_t bytes_of(const struct tensor *t)
{
	return t ? (size_t)(t->end - t->begin) : 0;
}

struct slot {
	size_t matrix; /* SIZE_MAX: none */
	uint64_t used;
	uint8_t *codes, *scales; /* own */
};

struct reader {
	const struct graft *g;
	struct slot slot[SLOTS];
	uint64_t now;
	uint8_t *raw; /* owns */
	double *v;    /* owns */
	struct regain n;
};

static size_t need(void *ctx)
{
	const struct graft *g = ctx;

	return g->raw + SLOTS * (g->plain + g->scales) + g->cols * sizeof(double);
}

static void reader_close(void *reader)
{
	struct reader *r = reader;
	int i;

	for (i = 0; i < SLOTS; i++) {
		free(r->slot[i].codes);
		free(r->slot[i].scales);
	}
	free(r->raw);
	free(r->v);
	free(r);
}

static void *reader_open(void *ctx)
{
	const struct graft *g = ctx;
	struct reader *r = calloc(1, sizeof *r);
	bool ok;
	int i;

	if (!r)
		return NULL;
	r->g = g;
	r->raw = malloc(g->raw + 1);
	r->v = malloc(g->cols * sizeof *r->v + 1);
	ok = r->raw && r->v;
	for (i = 0; i < SLOTS; i++) {
		r->slot[i] = (struct slot){ .matrix = SIZE_MAX,
			.codes = malloc(g->plain + 1),
			.scales = malloc(g->scales + 1) };
		ok = ok && r->slot[i].codes && r->slot[i].scales;
	}
	if (ok)
		return r;
	reader_close(r);
	return NULL;
}

static int bad_row(const struct graft *g, const struct graft_matrix *m, enum rule_id rule,
	uint32_t row, size_t col, const char *what, struct err *e)
{
	const struct tensor *t = m->lies.codes;

	return err_rule(e, rule, ERR_NOPOS,
		"--experts-from %s: %s: tensor %s, row %u, column %zu: %s", text_quote(g->path).s,
		g->form.shards[t->shard].name, text_quote(t->name).s, row, col, what);
}

/* The matrix that was proved is the one that is read again. */
static int as_proved(const struct graft *g, const struct graft_matrix *m, const struct slot *s,
	struct err *e)
{
	struct xxh_digest codes = xxh_of(s->codes, (size_t)m->rows * m->cols / 2),
			  scales = xxh_of(s->scales,
				  (size_t)m->rows * m->cols / codecs[CODEC_MXFP4].cols);

	if (!memcmp(&codes, &m->codes, sizeof codes) && !memcmp(&scales, &m->scales, sizeof scales))
		return 0;
	return err_rule(e, RULE_CKPT_CHANGED, ERR_NOPOS,
		"--experts-from %s: %s: tensor %s was changed while it was read",
		text_quote(g->path).s, g->form.shards[m->lies.codes->shard].name,
		text_quote(m->lies.codes->name).s);
}

/* Reads all of a tensor of FORM, n bytes, which are as its sidecar says where FORM is a conversion of ours. */
static int read_form(const struct graft *g, const struct tensor *t, void *dst, size_t n,
	struct err *e)
{
	if (ckpt_read(&g->form, t, 0, dst, n, e) ||
		tensor_digests_check_bytes(&g->form_said, t, dst, n, e))
		return graft_at(g, e);
	return 0;
}

/* Makes all of a matrix FP4. */
static int regain_matrix(struct reader *r, const struct graft_matrix *m, struct slot *s,
	struct err *e)
{
	const struct graft *g = r->g;
	const struct codec_form *f = &codecs[m->lies.form];
	uint64_t row_bytes = codec_row_bytes(m->lies.form, m->cols), scale_bytes = 0;
	uint8_t *scales = r->raw + bytes_of(m->lies.codes);
	uint8_t second[4];
	double factor = 1;
	uint32_t i;
	size_t col;

	if (read_form(g, m->lies.codes, r->raw, bytes_of(m->lies.codes), e))
		return -1;
	if (m->lies.scales) {
		scale_bytes = m->lies.scales->dim[1] * (dtypes[f->scale].bits / 8);
		if (read_form(g, m->lies.scales, scales, bytes_of(m->lies.scales), e))
			return -1;
	}
	if (m->lies.second) {
		if (read_form(g, m->lies.second, second, sizeof second, e))
			return -1;
		factor = codec_second(m->lies.form, second);
	}
	for (i = 0; i < m->rows; i++) {
		col = regain_row(m->lies.form, r->raw + i * row_bytes,
			scale_bytes ? scales + i / f->rows * scale_bytes : NULL, factor, m->cols,
			r->v, s->codes + (size_t)i * m->cols / 2,
			s->scales + (size_t)i * m->cols / codecs[CODEC_MXFP4].cols, &r->n);
		if (col < m->cols)
			return bad_row(g, m, RULE_DATA_NOT_FINITE, i, col,
				"a value that is NaN or infinite", e);
		if (r->n.first < m->cols && !g->lossy)
			return bad_row(g, m, RULE_DATA_EXPERTS_INEXACT, i, r->n.first,
				"32 columns that FP4 has not: it was rounded before, or is no form of FP4 (--lossy rounds)",
				e);
	}
	return m->proved ? as_proved(g, m, s, e) : 0;
}

static struct slot *slot_of(struct reader *r, size_t matrix, struct err *e)
{
	struct slot *s, *old = r->slot;

	r->now++;
	for (s = r->slot; s < r->slot + SLOTS; s++) {
		if (s->matrix == matrix) {
			s->used = r->now;
			return s;
		}
		if (s->used < old->used)
			old = s;
	}
	old->matrix = SIZE_MAX;
	if (regain_matrix(r, &r->g->m[matrix], old, e))
		return NULL;
	old->matrix = matrix;
	old->used = r->now;
	return old;
}

static int read_tensor(void *reader, uint32_t i, uint64_t off, uint8_t *dst, size_t n,
	struct err *e)
{
	struct reader *r = reader;
	const struct graft *g = r->g;
	const struct slot *s;

	if (!g->of[i])
		return ckpt_read(g->c, &g->c->tensors[i], off, dst, n, e);
	s = slot_of(r, (g->of[i] - 1) / 2, e);
	if (!s)
		return -1;
	memcpy(dst, (g->of[i] % 2 ? s->codes : s->scales) + off, n);
	return 0;
}

struct regain graft_counts(const void *reader)
{
	return ((const struct reader *)reader)->n;
}

struct ckpt_payload graft_payload(struct graft *g)
{
	return (struct ckpt_payload){ .ctx = g,
		.open = reader_open,
		.close = reader_close,
		.need = need,
		.read = read_tensor,
		.has = ckpt_payload_has_all,
		.missing = ckpt_payload_misses_none,
		.check = ckpt_payload_knows_none };
}
