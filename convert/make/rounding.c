/* rounding.c -- OP_REFORM of pairs that round (quant/round.h): the tensors of a matrix whose scales are searched for. A unit
 * is a row of the tensor; of the two that are one number, and of the shape, that.
 *
 * Codes, scales and zero points of a row are found together, and the tensors follow each other: what was found with the codes
 * is kept for the steps behind. Where a run begins with one of those it is found once more.
 *
 * State, in this order: the struct, values and room of a row, importance of columns, scales of a source row, scales of all
 * rows. Stage: source rows on their way, codes of a row.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/make/rounding.h"

#include "core/text.h"
#include "quant/round.h"

#include <math.h>
#include <string.h>

enum { SCALES_STAGE = 64 << 10 }; /* bytes of scales that are read at a time to find the factor */

struct sizes {
	uint64_t rows, cols, old_row,
		old_scales; /* of the matrix; bytes of a source row, and of its scales */
	uint64_t codes,
		scales; /* bytes of a row that is made; scales as codec_scale_row() has them */
	size_t groups, scale;                              /* of a row; bytes of a scale */
	size_t x, room, weights, changed, old, all, stage; /* bytes of state and stage */
};

/* Its address says that the state is one of these (maker.holds). */
static const char mine;

struct rounding_row {
	struct round_job job;
	struct sizes z;
	float *x;
	uint8_t *changed, *old, *all;
	uint64_t
		band; /* of formats whose blocks have several rows: whose scales are at hand, UINT64_MAX nobody's */
	const struct step_reform *of; /* whose scales are in all, and whose factor is known */
	bool whole, known;            /* all rows are there; the factor is */
};

static size_t aligned(size_t n)
{
	return mem_ceil_div(n, 16) * 16;
}

static struct sizes sizes_of(const struct plan *p, const struct step *s)
{
	const struct step_reform *f = s->as.reform.of;
	const struct tensor *w = &p->ckpt->tensors[f->codes];
	struct sizes z = { .rows = w->dim[0], .cols = codec_cols(f->how->from, w->dim[1]) };
	size_t cols = (size_t)z.cols;

	z.old_row = codec_row_bytes(f->how->from, z.cols);
	z.old_scales = step_row_bytes(&p->ckpt->tensors[f->scales]);
	z.codes = codec_row_bytes(f->how->to, z.cols);
	z.groups = round_groups(f->how->to, cols);
	z.scale = dtypes[codecs[f->how->to].scale].bits / 8;
	z.scales = codec_scale_row(f->how->to, cols);
	z.x = aligned(cols * sizeof(float));
	z.room = aligned(round_room(cols) * sizeof(float));
	z.weights = f->importance ? z.x : 0;
	z.changed = aligned(z.groups);
	z.old = aligned((size_t)z.old_scales);
	z.all = aligned((size_t)(z.rows * z.scales));
	z.stage = aligned(maker_rows(z.old_row)) + aligned((size_t)z.codes) + SCALES_STAGE;
	return z;
}

size_t rounding_state(const struct plan *p, const struct step *s)
{
	struct sizes z = sizes_of(p, s);

	return aligned(sizeof(struct rounding_row)) + z.x + z.room + z.weights + z.changed + z.old +
		z.all;
}

size_t rounding_stage(const struct plan *p, const struct step *s)
{
	return sizes_of(p, s).stage;
}

void rounding_begin(struct maker *m)
{
	const struct step_reform *f = m->st->as.reform.of;
	struct rounding_row *x = m->state;
	bool same = m->holds == &mine && x->of == f;
	uint8_t *at = (uint8_t *)m->state + aligned(sizeof *x);

	if (same)
		return;
	m->holds = &mine;
	*x = (struct rounding_row){ .z = sizes_of(m->p, m->st), .of = f, .band = UINT64_MAX };
	x->x = (float *)(void *)at;
	at += x->z.x;
	x->job = (struct round_job){ .how = rounding_find(f->how->to),
		.way = lowbit_best(m->features),
		.room = (float *)(void *)at };
	at += x->z.room;
	if (f->importance)
		x->job.weights = (const float *)(const void *)at;
	at += x->z.weights;
	x->changed = at;
	x->old = x->changed + x->z.changed;
	x->all = x->old + x->z.old;
}

/* --- scales of the source, and what follows from them --- */

static int read_scales(struct maker *m, uint32_t t, uint64_t at, uint8_t *p, size_t n,
	struct err *e)
{
	size_t each = dtypes[m->p->ckpt->tensors[t].dtype].bits / 8;

	return source_read(&m->source, t, at, p, n, e) ||
			maker_hold_scales(m, t, p, n / each, at / each, e)
		? -1
		: 0;
}

static int top_of(struct maker *m, uint32_t t, int *top, struct err *e)
{
	const struct rounding_row *x = m->state;
	uint8_t *p = m->stage + x->z.stage - SCALES_STAGE;
	const struct tensor *s = &m->p->ckpt->tensors[t];
	uint64_t at, bytes = s->end - s->begin, each = dtypes[s->dtype].bits / 8;
	size_t n;

	for (at = 0; at < bytes; at += n) {
		n = bytes - at < SCALES_STAGE ? (size_t)(bytes - at) : SCALES_STAGE;
		if (read_scales(m, t, at, p, n, e))
			return -1;
		*top = reform_second(m->st->as.reform.of->how->from, *top, p, n / (size_t)each);
	}
	return 0;
}

/* Sets the factor of the matrix, and reads the importance of its columns. */
static int find_rest(struct maker *m, struct err *e)
{
	const struct step_reform *f = m->st->as.reform.of;
	struct rounding_row *x = m->state;
	int top = REFORM_TOP_NONE;
	double tokens;

	if (x->known)
		return 0;
	if (f->how->second &&
		(top_of(m, f->scales, &top, e) ||
			(f->partner != f->scales && top_of(m, f->partner, &top, e))))
		return -1;
	x->job.second = f->how->second ? top : 0;
	if (f->importance &&
		imatrix_mean(m->p->opts.imatrix, f->importance, f->matrix,
			(float *)(uintptr_t)x->job.weights, &tokens, e))
		return -1;
	x->known = true;
	return 0;
}

/* --- rows --- */

/* Counts what became of the groups of a row. */
static int judge(struct maker *m, uint64_t row, struct err *e)
{
	const struct rounding_row *x = m->state;
	size_t g;

	m->res->blocks += x->z.groups;
	for (g = 0; g < x->z.groups; g++) {
		m->res->inexact += x->changed[g];
		if (x->changed[g] && maker_lost(m, row, g, e))
			return -1;
	}
	return 0;
}

/* Names what is wrong with column col of a row. */
static int bad_value(struct maker *m, uint64_t row, size_t col, struct err *e)
{
	const struct rounding_row *x = m->state;
	enum codec from = m->st->as.reform.of->how->from;
	bool nan = isnan(x->x[col]);

	return source_bad_byte(&m->source, m->st->as.reform.of->codes,
		row * x->z.old_row + col * codecs[from].bits / 8,
		nan ? RULE_DATA_FP8_NAN : RULE_DATA_OVERFLOW,
		nan ? "the FP8 code is NaN" : "the product with its scale is above 2^126", e);
}

/* Encodes the row whose source codes are at src: codes to dst, its scales to their place. */
static int make_row(struct maker *m, uint64_t row, const uint8_t *src, uint8_t *dst, struct err *e)
{
	struct rounding_row *x = m->state;
	const struct step_reform *f = m->st->as.reform.of;
	uint64_t band = row / codecs[f->how->from].rows;
	size_t cols = (size_t)x->z.cols, col;

	if (x->band != band) {
		x->band = band;
		if (read_scales(m, f->scales, band * x->z.old_scales, x->old,
			    (size_t)x->z.old_scales, e))
			return -1;
	}
	round_source(f->how->from, src, x->old, cols, x->x);
	col = round_row(&x->job, x->x, cols, dst, x->all + row * x->z.scales, x->changed);
	return col < cols ? bad_value(m, row, col, e) : 0;
}

static uint64_t at_once(const struct maker *m)
{
	const struct rounding_row *x = m->state;

	return maker_rows(x->z.old_row) / x->z.old_row;
}

/* Makes rows at .. at + n; dst NULL: for their scales alone. */
static int make_rows(struct maker *m, uint64_t at, uint64_t n, uint8_t *dst, struct err *e)
{
	const struct rounding_row *x = m->state;
	uint8_t *own = m->stage + aligned(maker_rows(x->z.old_row));
	uint64_t i;

	if (dst ? maker_read(m, 0, at * x->z.old_row, m->stage, (size_t)(n * x->z.old_row), e)
		: source_read(&m->source, m->st->as.reform.of->codes, at * x->z.old_row, m->stage,
			  (size_t)(n * x->z.old_row), e))
		return -1;
	for (i = 0; i < n; i++)
		if (make_row(m, at + i, m->stage + i * x->z.old_row,
			    dst ? dst + i * x->z.codes : own, e) ||
			(dst && judge(m, at + i, e)))
			return -1;
	return 0;
}

/* Finds the scales of all rows that are not there yet. */
static int find_scales(struct maker *m, struct err *e)
{
	struct rounding_row *x = m->state;
	uint64_t row, take;

	for (row = 0; !x->whole && row < x->z.rows; row += take) {
		take = x->z.rows - row < at_once(m) ? x->z.rows - row : at_once(m);
		if (make_rows(m, row, take, NULL, e))
			return -1;
	}
	x->whole = true;
	return 0;
}

static void put_scales(const struct rounding_row *x, uint64_t at, uint64_t n, uint8_t *dst)
{
	size_t bytes = x->z.groups * x->z.scale;
	uint64_t i;

	for (i = 0; i < n; i++)
		memcpy(dst + i * bytes, x->all + (at + i) * x->z.scales, bytes);
}

/* Rows at .. at + n of words of zero points. */
static void put_zeros(const struct rounding_row *x, uint64_t at, uint64_t n, uint8_t *dst)
{
	uint64_t row, end = (at + n) * CODEC_ZERO_ROWS, words = x->z.groups * sizeof(uint32_t);

	memset(dst, 0, (size_t)(n * words));
	for (row = at * CODEC_ZERO_ROWS; row < end && row < x->z.rows; row++)
		codec_zeros_put(x->all + row * x->z.scales + x->z.groups * x->z.scale, row,
			x->z.groups, dst + (row / CODEC_ZERO_ROWS - at) * words);
}

/* The number that is unit `at`: of the shape rows, then columns. */
static void put_number(const struct maker *m, uint64_t at, uint8_t *dst)
{
	const struct rounding_row *x = m->state;
	const struct step_reform *f = m->st->as.reform.of;
	const int64_t shape[2] = { (int64_t)x->z.rows, (int64_t)x->z.cols };
	int second = x->job.second;
	float v = m->st->as.reform.part == PART_INPUT
		? f->input
		: ldexpf(1, codecs[f->how->to].second.divides ? -second : second);

	if (m->st->as.reform.part == PART_SHAPE)
		memcpy(dst, &shape[at], sizeof *shape);
	else
		memcpy(dst, &v, sizeof v);
}

uint64_t rounding_at_once(const struct maker *m, uint64_t at)
{
	const struct rounding_row *x = m->state;
	enum op_part part = m->st->as.reform.part;

	(void)at;
	return part == PART_CODES     ? at_once(m)
		: part == PART_SCALES ? x->z.rows
		: part == PART_ZEROS  ? mem_ceil_div(x->z.rows, CODEC_ZERO_ROWS)
				      : 1;
}

int rounding_make(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e)
{
	enum op_part part = m->st->as.reform.part;

	if (part != PART_SHAPE && part != PART_INPUT && find_rest(m, e))
		return -1;
	if (part == PART_CODES)
		return make_rows(m, at, n, dst, e);
	if ((part == PART_SCALES || part == PART_ZEROS) && find_scales(m, e))
		return -1;
	if (part == PART_SCALES)
		put_scales(m->state, at, n, dst);
	else if (part == PART_ZEROS)
		put_zeros(m->state, at, n, dst);
	else
		put_number(m, at, dst);
	return 0;
}

int rounding_end(struct maker *m, struct err *e)
{
	struct rounding_row *x = m->state;

	x->whole = x->whole || m->st->as.reform.part == PART_CODES;
	return maker_end_records(m, m->stage, x->z.stage, e);
}
