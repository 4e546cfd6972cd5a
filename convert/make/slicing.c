/* slicing.c -- ops that move elements and change none of them: all of a tensor, some of its rows, some
 * columns; and ids of experts, made ids of fewer experts, or written in fewer bits.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/make/maker.h"

#include <string.h>

static const struct tensor *source_of(const struct plan *p, const struct step *s)
{
	return &p->ckpt->tensors[step_source(s, 0)];
}

static size_t no_state(const struct plan *p, const struct step *s)
{
	(void)p, (void)s;
	return 0;
}

/* Source rows on their way. */
static size_t stage_need(const struct plan *p, const struct step *s)
{
	return maker_rows(step_row_bytes(source_of(p, s)));
}

static void begin(struct maker *m)
{
	m->holds = NULL;
}

/* As many rows of the source as the stage has room for. */
static uint64_t rows_at_once(const struct maker *m, uint64_t at)
{
	uint64_t bytes = step_row_bytes(source_of(m->p, m->st));

	(void)at;
	return maker_rows(bytes) / bytes;
}

/* The source may have more rows than were taken: the rest is read for its digest alone. */
static int end(struct maker *m, struct err *e)
{
	return maker_end_records(m, m->stage, stage_need(m->p, m->st), e);
}

/* --- OP_COPY, OP_ROWS: bytes that lie together; a unit is a byte --- */

static uint64_t byte_unit(const struct plan *p, const struct step *s)
{
	(void)p, (void)s;
	return 1;
}

static uint64_t bytes_at_once(const struct maker *m, uint64_t at)
{
	(void)m, (void)at;
	return UINT64_MAX;
}

static int make_bytes(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e)
{
	const struct step *s = m->st;
	uint64_t off = at + s->take.row * s->take.cols;

	/* A copy is its source: its digest serves for both, see end_bytes. */
	if (s->op == OP_COPY ? source_read(&m->source, s->as.copy.src, off, dst, n, e)
			     : maker_read(m, 0, off, dst, n, e))
		return -1;
	return s->as.copy.e8m0 ? source_check_e8m0(&m->source, s->as.copy.src, dst, n, off, e) : 0;
}

static int end_bytes(struct maker *m, struct err *e)
{
	if (m->st->op != OP_COPY)
		return end(m, e);
	m->res->src[0] = m->res->out;
	return source_check(&m->source, m->st->as.copy.src, &m->res->out, e);
}

const struct make_op slicing_bytes = { no_state, stage_need, byte_unit, begin, NULL, bytes_at_once,
	make_bytes, end_bytes };

/* --- OP_COLS: a unit is a row --- */

static uint64_t row_unit(const struct plan *p, const struct step *s)
{
	(void)p;
	return step_row_bytes(&s->out);
}

static int make_columns(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e)
{
	const struct step_slice *t = &m->st->take;
	uint64_t full = step_row_bytes(source_of(m->p, m->st));
	const uint8_t *stage = m->stage;
	size_t i;

	if (maker_read(m, 0, at * full, m->stage, n * (size_t)full, e))
		return -1;
	if (m->st->as.copy.e8m0 &&
		source_check_e8m0(&m->source, m->st->as.copy.src, stage, n * (size_t)full,
			at * full, e))
		return -1;
	for (i = 0; i < n; i++)
		memcpy(dst + i * t->cols, stage + i * full + t->col, (size_t)t->cols);
	return 0;
}

const struct make_op slicing_columns = { no_state, stage_need, row_unit, begin, NULL, rows_at_once,
	make_columns, end };

/* --- OP_REMAP: a unit is the ids of a token --- */

enum { WIDTH_MAX = 64 }; /* experts of a token; released models have 6 and 8 */

/* Reads the ids of tokens at..at+n to the stage. Each is that of an expert. */
static int read_ids(struct maker *m, uint64_t at, size_t n, struct err *e)
{
	size_t width = (size_t)m->st->out.dim[1], first = (size_t)at * width, i;
	uint64_t id;

	if (maker_read(m, 0, first * sizeof id, m->stage, n * width * sizeof id, e))
		return -1;
	for (i = 0; i < n * width; i++) {
		memcpy(&id, m->stage + i * sizeof id, sizeof id);
		if (id >= m->p->ckpt->config.E)
			return source_bad_byte(&m->source, step_source(m->st, 0),
				(first + i) * sizeof id, RULE_DATA_EXPERT_ID,
				"an expert id that is no expert's", e);
	}
	return 0;
}

/* Who is gone becomes the id modulo their number, or the next one that the row has not. */
static void remap_row(uint64_t *id, size_t width, uint64_t experts)
{
	size_t k, j;

	for (k = 0; k < width; k++) {
		id[k] %= experts;
		for (j = 0; j < k; j++)
			if (id[j] == id[k]) { /* taken: the next one, looked at from the start */
				id[k] = (id[k] + 1) % experts;
				j = (size_t)-1;
			}
	}
}

static int make_ids(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e)
{
	size_t width = (size_t)m->st->out.dim[1], bytes = width * sizeof(uint64_t), i;
	uint64_t id[WIDTH_MAX];

	if (width > WIDTH_MAX)
		return err_set(e, ERR_UNSUPPORTED, "more than %d experts for a token", WIDTH_MAX);
	if (read_ids(m, at, n, e))
		return -1;
	for (i = 0; i < n; i++) {
		memcpy(id, m->stage + i * bytes, bytes);
		remap_row(id, width, m->st->as.remap.experts);
		memcpy(dst + i * bytes, id, bytes);
	}
	return 0;
}

const struct make_op slicing_ids = { no_state, stage_need, row_unit, begin, NULL, rows_at_once,
	make_ids, end };

/* --- OP_NARROW: the same ids, of 32 bits --- */

static int make_narrow(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e)
{
	size_t ids = n * (size_t)m->st->out.dim[1], i;
	uint64_t id;
	int32_t v;

	if (read_ids(m, at, n, e))
		return -1;
	for (i = 0; i < ids; i++) {
		memcpy(&id, m->stage + i * sizeof id, sizeof id);
		v = (int32_t)id; /* below the number of experts */
		memcpy(dst + i * sizeof v, &v, sizeof v);
	}
	return 0;
}

const struct make_op slicing_narrow = { no_state, stage_need, row_unit, begin, NULL, rows_at_once,
	make_narrow, end };

/* --- OP_HALVES: all first halves of rows, then all second ones; a unit is all of it, which is small --- */

static size_t whole_stage(const struct plan *p, const struct step *s)
{
	const struct tensor *t = source_of(p, s);
	size_t bytes = (size_t)(t->end - t->begin), rows = stage_need(p, s);

	return bytes > rows ? bytes : rows;
}

static uint64_t whole_unit(const struct plan *p, const struct step *s)
{
	return source_of(p, s)->end - source_of(p, s)->begin;
}

static uint64_t one_at_once(const struct maker *m, uint64_t at)
{
	(void)m, (void)at;
	return 1;
}

static int make_halves(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e)
{
	uint64_t half = m->st->take.cols / 2, rows = m->st->take.rows, r, side;

	(void)at, (void)n; /* there is one unit */
	if (maker_read(m, 0, 0, m->stage, (size_t)whole_unit(m->p, m->st), e))
		return -1;
	for (side = 0; side < 2; side++)
		for (r = 0; r < rows; r++)
			memcpy(dst + (side * rows + r) * half, m->stage + (2 * r + side) * half,
				(size_t)half);
	return 0;
}

const struct make_op slicing_halves = { no_state, whole_stage, whole_unit, begin, NULL, one_at_once,
	make_halves, end };

/* --- OP_FIRSTS: of each column of a table its first rows; a unit is a row --- */

static size_t no_stage(const struct plan *p, const struct step *s)
{
	(void)p, (void)s;
	return 0;
}

/* Rows that lie together in the source. */
static uint64_t column_left(const struct maker *m, uint64_t at)
{
	const struct step_firsts *f = m->st->as.firsts;

	return f->to[maker_run(f->to, f->n, at) + 1] - at;
}

static int make_firsts(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e)
{
	const struct step_firsts *f = m->st->as.firsts;
	uint32_t k = maker_run(f->to, f->n, at);
	uint64_t row = step_row_bytes(&m->st->out), off = (f->from[k] + at - f->to[k]) * row;

	if (maker_read(m, 0, off, dst, n * (size_t)row, e))
		return -1;
	return f->e8m0 ? source_check_e8m0(&m->source, f->src, dst, n * (size_t)row, off, e) : 0;
}

/* Nothing of it is recorded: it takes a small part of tables of 100 GB, of which a digest of all would have to be read. */
const struct make_op slicing_firsts = { no_state, no_stage, row_unit, begin, NULL, column_left,
	make_firsts, NULL };
