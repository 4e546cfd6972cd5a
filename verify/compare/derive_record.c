/* derive_record.c -- tables of Engram as records, made once more from the source: as they are, or rounded to 4 bits.
 *
 * SPDX-License-Identifier: MIT */
#include "verify/compare/derive.h"

#include "formats/model/engram.h"
#include "quant/cb4_learn.h"
#include "quant/table4.h"

#include <stdlib.h>
#include <string.h>

static int wrong(const struct derive *d, struct err *e, const char *what)
{
	return err_rule(e, RULE_COMPARE_SHAPE, ERR_NOPOS, "tensor %s (%s): %s",
		text_quote(d->t->name).s, ops[d->t->op].name, what);
}

/* Bytes of a row of codes, and of scales. */
static struct rowrec_dim dim_of(const struct derive *d)
{
	return (struct rowrec_dim){ d->src_bytes, d->src[1]->dim[1] };
}

/* Whether codes and scales are those of a table. */
static bool is_table(const struct tensor *w, const struct tensor *s)
{
	uint64_t dim[2];

	if (!w || !s || w->rank != 2 || s->rank != 2 || w->dtype != codecs[CODEC_FP8_ROW].code ||
		s->dtype != codecs[CODEC_FP8_ROW].scale)
		return false;
	codec_scale_dim(CODEC_FP8_ROW, w->dim[0], w->dim[1], dim);
	return s->dim[0] == dim[0] && s->dim[1] == dim[1];
}

static bool has_form(const struct derive *d)
{
	const struct sidecar_tensor *t = d->t;

	return t->dtype == DT_U8 && t->rank == 2 && t->dim[0] == d->rows &&
		t->dim[1] == d->row_bytes;
}

/* --- levels --- */

/* Whether rows of the table w can be had in 4 bits. */
static bool in_blocks(const struct tensor *w)
{
	return w->dim[1] && w->dim[1] % CB4_BLOCK == 0 && w->dim[1] <= CB4_COLS;
}

static int read_source(void *ctx, bool scales, uint64_t off, uint8_t *dst, size_t n, struct err *e)
{
	const struct derive *d = ctx;

	return derive_read(d, d->src[scales], off, dst, n, e);
}

/* Chooses the levels of the table once more. */
static int learn(struct derive *d, struct err *e)
{
	const struct cb4_table t = { read_source, d, d->src[0]->dim[0], (size_t)d->src_bytes };
	void *room = malloc(cb4_learn_room());
	int rc = room ? cb4_learn(&d->book, &t, 0, room, e) : err_nomem(e);

	free(room);
	return rc;
}

/* Name of what the tensor says to be, of the table w: levels, or records of a layout. */
static bool is_called(const struct derive *d, const struct tensor *w, const char *word,
	struct engram_share *h)
{
	char name[ENGRAM_NAME];
	const char *is = engram_record_of(h, d->t->name);

	return is && !strcmp(is, word) && engram_record_name(name, w->name, word, h) &&
		!strcmp(name, d->t->name);
}

/* Whether the file has the levels that the records have numbers of. */
static bool has_levels(const struct derive *d, const struct engram_share *h)
{
	char name[ENGRAM_NAME];
	size_t i;

	if (!engram_record_name(name, d->src[0]->name, ENGRAM_LEVELS, h))
		return false;
	for (i = 0; i < d->a->n; i++)
		if (d->a->tensors[i].op == OP_LEVELS && !strcmp(d->a->tensors[i].name, name))
			return true;
	return false;
}

int derive_levels_open(struct derive *d, const char *target, struct err *e)
{
	const struct tensor *w = d->src[0];
	struct engram_share h;

	(void)target;
	if (d->t->n != 2 || !d->record || d->record->form != ROWREC_CB4 ||
		!is_table(w, d->src[1]) || !in_blocks(w) || d->t->row[1] || d->t->col[1])
		return wrong(d, e, "its sources are no table in 4 bits and its scales");
	if (!is_called(d, w, ENGRAM_LEVELS, &h))
		return wrong(d, e, "it is made of a table of another name");
	if (d->t->dtype != DT_F32 || d->t->rank != 1 || d->t->dim[0] != CB4_LEVELS)
		return wrong(d, e, "type or shape are not those of levels");
	d->n_rows = d->unit_rows = 1;
	d->row_bytes = CB4_LEVELS * sizeof(float);
	return learn(d, e);
}

int derive_levels_make(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	(void)m, (void)row, (void)n, (void)e;
	cb4_put_levels(&d->book, out);
	return 0;
}

/* --- records --- */

int derive_record_open(struct derive *d, const char *target, struct err *e)
{
	const struct tensor *w = d->src[0];
	struct engram_share h, rule;

	(void)target;
	if (d->t->n != 2 || !d->record || !is_table(w, d->src[1]) || d->t->col[1])
		return wrong(d, e, "its sources are no table and its scales");
	if (!is_called(d, w, d->record->tensor, &h))
		return wrong(d, e, "it is made of a table of another name");
	rule = h;
	if (engram_share_rows(&rule, &d->c->config, engram_layer(w->name)) ||
		rule.first != d->row || rule.end != d->row + d->rows)
		return wrong(d, e, "its rows are not those that are the rank's");
	d->row_bytes = rowrec_bytes(d->record, dim_of(d));
	d->n_rows = d->rows;
	if (!has_form(d))
		return wrong(d, e, "type or shape are not those of records");
	d->unit_rows = d->row_bytes && d->row_bytes < DERIVE_UNIT ? DERIVE_UNIT / d->row_bytes : 1;
	d->stage = (size_t)(d->unit_rows * (d->src_bytes + d->src[1]->dim[1]));
	if (d->record->form != ROWREC_KEPT && !in_blocks(w))
		return wrong(d, e, "its source has rows that are no whole number of blocks");
	if (d->record->form != ROWREC_CB4)
		return 0;
	return has_levels(d, &h) ? learn(d, e) : wrong(d, e, "its levels are not in the file");
}

/* Codes and scales of n rows, to m->stage, the scales behind the codes. */
static int read_table(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	struct err *e)
{
	struct rowrec_dim x = dim_of(d);

	row += d->row;
	return derive_read(d, d->src[0], row * x.codes, m->stage, (size_t)(n * x.codes), e) ||
			derive_read(d, d->src[1], row * x.scales, m->stage + n * x.codes,
				(size_t)(n * x.scales), e)
		? -1
		: 0;
}

/* --- as they are --- */

/* What is no code and no scale is zero. */
static void put_rows(const struct derive_maker *m, const struct derive *d, uint64_t n, uint8_t *out)
{
	size_t codes = (size_t)d->src_bytes, scales = (size_t)d->src[1]->dim[1], i;

	memset(out, 0, (size_t)(n * d->row_bytes));
	for (i = 0; i < n; i++, out += d->row_bytes) {
		memcpy(out, m->stage + i * codes, codes);
		memcpy(out + codes, m->stage + n * codes + i * scales, scales);
	}
}

static void put_bytes(const struct derive_maker *m, const struct derive *d, uint64_t n,
	uint8_t *out)
{
	const struct rowrec_dim x = dim_of(d);
	struct rowrec_place p;
	uint64_t i;

	for (i = 0; i < n * d->row_bytes; i++) {
		p = rowrec_where(d->record, x, i);
		out[i] = p.part == ROWREC_FILL   ? 0
			: p.part == ROWREC_SCALE ? m->stage[n * x.codes + p.row * x.scales + p.b]
						 : m->stage[p.row * x.codes + p.b];
	}
}

/* --- in 4 bits --- */

struct scratch {
	bool *changed; /* owns; of the blocks of a row */
	double *v;     /* owns; for the plain way */
};

/* Row i of n that were read; -1 where it has a value that no 4-bit form has. */
static int row_in_four(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t i,
	uint64_t n, const struct scratch *x, uint8_t *out, struct err *e)
{
	struct rowrec_dim z = dim_of(d);
	const uint8_t *codes = m->stage + i * z.codes, *s = m->stage + n * z.codes + i * z.scales;
	size_t cols = (size_t)z.codes, b;
	struct table4_row is = { cols, cols / TABLE4_BLOCK };

	if (d->record->form == ROWREC_CB4)
		is.nan = x->v ? cb4_plain(&d->book, codes, s, cols, out, out + cols / 2, x->changed)
			      : cb4_quick(m->cb4, codes, s, cols, out, out + cols / 2, x->changed);
	else
		is = x->v
			? table4_plain(codes, s, cols, out, out + cols / 2, x->changed, x->v)
			: table4_quick(m->table4, codes, s, cols, out, out + cols / 2, x->changed);

	if (is.nan < cols || is.overflow < cols / TABLE4_BLOCK)
		return err_rule(e, RULE_COMPARE_SHAPE, ERR_NOPOS,
			"tensor %s, row %llu: the source has a value there that 4 bits have not",
			text_quote(d->t->name).s, (unsigned long long)(d->row + row + i));
	for (b = 0; b < cols / TABLE4_BLOCK; b++)
		if (derive_count_block(m, row + i, b, x->changed[b], false, e))
			return -1;
	return 0;
}

/* Makes what rows of d are encoded with by tables alone, which is not what the converter took. */
static int make_tables(struct derive_maker *m, const struct derive *d, struct err *e)
{
	if (d->record->form == ROWREC_CB4) {
		if (m->cb4 && !memcmp(&m->cb4->book, &d->book, sizeof d->book))
			return 0;
		m->cb4 = m->cb4 ? m->cb4 : malloc(sizeof *m->cb4);
		if (m->cb4)
			cb4_make(m->cb4, &d->book, 0);
		return m->cb4 ? 0 : err_nomem(e);
	}
	if (m->table4)
		return 0;
	m->table4 = malloc(sizeof *m->table4);
	if (m->table4)
		table4_make(m->table4, 0);
	return m->table4 ? 0 : err_nomem(e);
}

static int round_rows(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	bool plain, uint8_t *out, struct err *e)
{
	size_t cols = (size_t)d->src_bytes;
	struct scratch x = { .changed = malloc(cols + 1),
		.v = plain ? malloc(2 * cols * sizeof *x.v) : NULL };
	uint64_t i;
	int rc = x.changed && (!plain || x.v) ? 0 : err_nomem(e);

	rc = rc ? rc : make_tables(m, d, e);
	for (i = 0; !rc && i < n; i++)
		rc = row_in_four(m, d, row, i, n, &x, out + i * d->row_bytes, e);
	free(x.changed);
	free(x.v);
	return rc;
}

/* --- */

int derive_record_make(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	if (read_table(m, d, row, n, e))
		return -1;
	if (d->record->bits < 8)
		return round_rows(m, d, row, n, false, out, e);
	put_rows(m, d, n, out);
	return 0;
}

int derive_record_plain(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	if (read_table(m, d, row, n, e))
		return -1;
	if (d->record->bits < 8)
		return round_rows(m, d, row, n, true, out, e);
	put_bytes(m, d, n, out);
	return 0;
}
