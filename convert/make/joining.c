/* joining.c -- OP_JOIN, OP_JOIN_F32: tensors below one another in one, of each the same rows and columns. A unit is a
 * row of the result.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/make/maker.h"

#include "quant/num.h"

#include <string.h>

#define NONE UINT32_MAX

/* State: whose rows are read. */
struct joining {
	uint32_t k; /* NONE: nobody's */
};

static const struct tensor *source_of(const struct maker *m, uint32_t k)
{
	return &m->p->ckpt->tensors[m->st->as.join->src[k]];
}

/* Bytes of a row of any source: they are alike. */
static uint64_t full_row(const struct plan *p, const struct step *s)
{
	return step_row_bytes(&p->ckpt->tensors[s->as.join->src[0]]);
}

static size_t state(const struct plan *p, const struct step *s)
{
	(void)p, (void)s;
	return sizeof(struct joining);
}

/* Source rows on their way. */
static size_t stage(const struct plan *p, const struct step *s)
{
	return maker_rows(full_row(p, s));
}

static uint64_t unit(const struct plan *p, const struct step *s)
{
	(void)p;
	if (s->op == OP_JOIN)
		return s->take.cols;
	return sizeof(float) * s->take.cols / (s->as.join->e8m0 ? 1 : sizeof(uint16_t));
}

static void begin(struct maker *m)
{
	struct joining *j = m->state;

	m->holds = NULL;
	j->k = NONE;
}

/* Rows of one source, as many as the stage has room for. */
static uint64_t at_once(const struct maker *m, uint64_t at)
{
	const struct step_join *g = m->st->as.join;
	uint64_t bytes = full_row(m->p, m->st), n = maker_rows(bytes) / bytes,
		 left = g->first[maker_run(g->first, g->n, at) + 1] - at;

	return n < left ? n : left;
}

/* The digest of what was taken of a source; a new record for the next one. */
static int end_source(struct maker *m, struct err *e)
{
	const struct joining *j = m->state;
	struct xxh_digest *d;

	if (j->k == NONE || !m->st->record)
		return 0;
	d = &m->res->many[j->k];
	*d = recorder_end(&m->recorder[0]);
	recorder_begin(&m->recorder[0], true);
	return step_part(m->st, j->k, source_of(m, j->k))
		? 0
		: source_check(&m->source, m->st->as.join->src[j->k], d, e);
}

/* A row of numbers as FP32. */
static void put_wide(const struct maker *m, uint8_t *dst, const uint8_t *src)
{
	uint64_t n = m->st->take.cols, i;
	bool e8m0 = m->st->as.join->e8m0;
	uint16_t h = 0;
	float v;

	for (i = 0; i < (e8m0 ? n : n / sizeof h); i++) {
		if (!e8m0)
			memcpy(&h, src + i * sizeof h, sizeof h);
		v = e8m0 ? num_e8m0(src[i]) : num_bf16(h);
		memcpy(dst + i * sizeof v, &v, sizeof v);
	}
}

static int make(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e)
{
	const struct step_join *g = m->st->as.join;
	const struct step_slice *take = &m->st->take;
	struct joining *j = m->state;
	uint64_t full = full_row(m->p, m->st), off;
	uint32_t k = maker_run(g->first, g->n, at);
	bool wide = m->st->op == OP_JOIN_F32;
	uint8_t *rows = take->cols == full && !wide ? dst : m->stage;
	size_t i;

	if (k != j->k) {
		if (end_source(m, e))
			return -1;
		j->k = k;
	}
	off = (take->row + at - g->first[k]) * full;
	if (source_read(&m->source, g->src[k], off, rows, n * (size_t)full, e) ||
		(g->e8m0 &&
			source_check_e8m0(&m->source, g->src[k], rows, n * (size_t)full, off, e)))
		return -1;
	if (m->st->record)
		recorder_rows(&m->recorder[0], rows + take->col, n, full, take->cols);
	for (i = 0; rows != dst && i < n; i++)
		if (wide)
			put_wide(m, dst + i * unit(m->p, m->st), rows + i * full + take->col);
		else
			memcpy(dst + i * take->cols, rows + i * full + take->col,
				(size_t)take->cols);
	return 0;
}

const struct make_op joining_f32 = { state, stage, unit, begin, NULL, at_once, make, end_source };
const struct make_op joining_op = { state, stage, unit, begin, NULL, at_once, make, end_source };
