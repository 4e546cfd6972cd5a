/* records.c -- OP_RECORD: the codes and scales of a table row by row in one. A unit is a record. OP_LEVELS: the levels of a table whose
 * records have numbers of them; a unit is all of it.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/make/maker.h"

#include "quant/cb4_learn.h"
#include "quant/table4.h"

#include <stdlib.h>

static const struct tensor *source_of(const struct plan *p, const struct step *s, uint32_t k)
{
	return &p->ckpt->tensors[step_source(s, k)];
}

static struct rowrec_dim dim_of(const struct plan *p, const struct step *s)
{
	return (struct rowrec_dim){ step_row_bytes(source_of(p, s, 0)),
		step_row_bytes(source_of(p, s, 1)) };
}

/* Rows that are made together. */
static size_t rows_of(const struct plan *p, const struct step *s)
{
	uint64_t codes = dim_of(p, s).codes;

	return maker_rows(codes) / (size_t)codes;
}

/* State of tables that are rounded: what the encoder looks up, and which blocks of a row have changed. */
struct four_bits {
	struct table4 t;
	struct cb4 cb4;
	uint32_t codes; /* the table whose levels cb4 has */
	bool changed[]; /* [codes of a row / TABLE4_BLOCK] */
};

static enum rowrec_form form_of(const struct step *s)
{
	return s->as.record.how->form;
}

/* Levels are chosen in room behind the state, which is aligned as malloc has it. */
static size_t own_state(const struct plan *p, const struct step *s)
{
	enum { ALIGN = 64 };
	size_t n = sizeof(struct four_bits) + (size_t)dim_of(p, s).codes;

	return (n + ALIGN - 1) / ALIGN * ALIGN;
}

static size_t state(const struct plan *p, const struct step *s)
{
	return form_of(s) == ROWREC_KEPT   ? 0
		: form_of(s) == ROWREC_CB4 ? own_state(p, s) + cb4_learn_room()
					   : own_state(p, s);
}

/* Codes of so many rows, and their scales behind them. */
static size_t stage(const struct plan *p, const struct step *s)
{
	struct rowrec_dim d = dim_of(p, s);

	return rows_of(p, s) * (size_t)(d.codes + d.scales);
}

static uint64_t unit(const struct plan *p, const struct step *s)
{
	(void)p;
	return step_row_bytes(&s->out);
}

static void begin(struct maker *m)
{
	struct four_bits *r = m->state;

	if (form_of(m->st) != ROWREC_KEPT && m->holds != &records_op) {
		table4_make(&r->t, m->features);
		r->codes = UINT32_MAX;
	}
	m->holds = form_of(m->st) != ROWREC_KEPT ? &records_op : NULL;
}

static uint64_t at_once(const struct maker *m, uint64_t at)
{
	(void)at;
	return rows_of(m->p, m->st);
}

/* Notes what became of the blocks of a row. */
static int count(struct maker *m, uint64_t row, size_t n, struct err *e)
{
	const struct four_bits *r = m->state;
	size_t b;

	m->res->blocks += n;
	for (b = 0; b < n; b++) {
		if (!r->changed[b])
			continue;
		m->res->inexact++;
		if (maker_lost(m, row, b, e))
			return -1;
	}
	return 0;
}

static int read_table(void *ctx, bool scales, uint64_t off, uint8_t *dst, size_t n, struct err *e)
{
	struct maker *m = ctx;

	return source_read(&m->source, scales ? m->st->as.record.scales : m->st->as.record.codes,
		off, dst, n, e);
}

/* Makes the encoder that of the step's table. */
static int learn(struct maker *m, struct err *e)
{
	const struct step *s = m->st;
	struct four_bits *r = m->state;
	const struct cb4_table t = { read_table, m, step_tensor_rows(source_of(m->p, s, 0)),
		(size_t)dim_of(m->p, s).codes };
	struct cb4_book b;

	if (r->codes == s->as.record.codes)
		return 0;
	if (cb4_learn(&b, &t, m->features, (uint8_t *)m->state + own_state(m->p, s), e))
		return -1;
	cb4_make(&r->cb4, &b, m->features);
	r->codes = s->as.record.codes;
	return 0;
}

/* Row `row` of the step, in 4 bits. */
static int row_in_four(struct maker *m, uint64_t row, const uint8_t *codes, const uint8_t *scales,
	uint8_t *dst, struct err *e)
{
	const struct step *s = m->st;
	struct four_bits *r = m->state;
	size_t cols = (size_t)dim_of(m->p, s).codes;
	struct table4_row is = { cols, cols / TABLE4_BLOCK };

	if (form_of(s) == ROWREC_CB4)
		is.nan = cb4_quick(&r->cb4, codes, scales, cols, dst, dst + cols / 2, r->changed);
	else
		is = table4_quick(&r->t, codes, scales, cols, dst, dst + cols / 2, r->changed);

	if (is.nan < cols)
		return source_bad_byte(&m->source, s->as.record.codes,
			(s->take.row + row) * cols + is.nan, RULE_DATA_FP8_NAN,
			"the FP8 code is NaN", e);
	if (is.overflow < cols / TABLE4_BLOCK)
		return source_bad_byte(&m->source, s->as.record.codes,
			(s->take.row + row) * cols + is.overflow * TABLE4_BLOCK, RULE_DATA_OVERFLOW,
			"the scale of 4-bit codes from there on would be above 2^127", e);
	return count(m, row, cols / TABLE4_BLOCK, e);
}

static int make(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e)
{
	const struct step *s = m->st;
	struct rowrec_dim d = dim_of(m->p, s);
	uint64_t row = s->take.row + at;
	uint8_t *scales = m->stage + n * d.codes;
	size_t i;

	if (form_of(s) == ROWREC_CB4 && learn(m, e))
		return -1;
	if (maker_read(m, 0, row * d.codes, m->stage, n * (size_t)d.codes, e) ||
		maker_read(m, 1, row * d.scales, scales, n * (size_t)d.scales, e) ||
		source_check_e8m0(&m->source, s->as.record.scales, scales, n * (size_t)d.scales,
			row * d.scales, e))
		return -1;
	if (form_of(s) == ROWREC_KEPT) {
		rowrec_pack(s->as.record.how, d, m->stage, scales, n, dst);
		return 0;
	}
	for (i = 0; i < n; i++)
		if (row_in_four(m, at + i, m->stage + i * d.codes, scales + i * d.scales,
			    dst + i * rowrec_bytes(s->as.record.how, d), e))
			return -1;
	return 0;
}

/* Of a table that ranks share, the first one reads the rest of it for the digest alone. */
static int end(struct maker *m, struct err *e)
{
	return maker_end_records(m, m->stage, stage(m->p, m->st), e);
}

const struct make_op records_op = { state, stage, unit, begin, NULL, at_once, make, end };

/* --- levels --- */

static size_t no_stage(const struct plan *p, const struct step *s)
{
	(void)p, (void)s;
	return 0;
}

static uint64_t all_levels(const struct plan *p, const struct step *s)
{
	(void)p, (void)s;
	return CB4_LEVELS * sizeof(float);
}

static uint64_t one(const struct maker *m, uint64_t at)
{
	(void)m, (void)at;
	return 1;
}

static int make_levels(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e)
{
	const struct four_bits *r = m->state;

	(void)at, (void)n;
	if (learn(m, e))
		return -1;
	cb4_put_levels(&r->cb4.book, dst);
	return 0;
}

const struct make_op levels_op = { state, no_stage, all_levels, begin, NULL, one, make_levels,
	NULL };
