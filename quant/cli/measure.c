/* SPDX-License-Identifier: MIT */
#include "quant/cli/measure.h"

#include "convert/make/source.h"
#include "core/par.h"
#include "quant/codec.h"
#include "quant/lowbit.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
	BYTES_OF_COLUMN =
		8 + 4 + 4 + 4,   /* values in double and float, weights, a row in F32 at most */
	SOURCE_OF_COLUMN = 4 + 4 /* codes and scales of a column in any format, at most */
};

struct job_of_bands {
	const struct measuring *m;
	struct band *v;
	size_t n;
	uint64_t cols; /* of the widest unit */
	atomic_size_t next;
};

/* What a thread works with. */
struct worker {
	const struct measuring *m;
	struct source source;
	const struct lowbit_way *way;
	double *v;    /* owns; [cols], and behind it the others */
	float *x, *w; /* [cols] */
	uint8_t *row, *scales, *dst;
	const struct unit *unit; /* whose importance is in w, of matrix mat; NULL: nobody's */
	uint32_t mat;
};

uint64_t measure_need(const struct ckpt *c, uint64_t cols)
{
	return cols * (BYTES_OF_COLUMN + SOURCE_OF_COLUMN) + source_need(c);
}

static int open_worker(struct worker *w, const struct job_of_bands *j, struct err *e)
{
	*w = (struct worker){ .m = j->m, .way = lowbit_best(j->m->features) };
	w->v = malloc((size_t)(j->cols * (BYTES_OF_COLUMN + SOURCE_OF_COLUMN)) + 1);
	if (!w->v)
		return err_nomem(e);
	w->x = (float *)(void *)(w->v + j->cols);
	w->w = w->x + j->cols;
	w->dst = (uint8_t *)(w->w + j->cols);
	w->row = w->dst + 4 * j->cols;
	w->scales = w->row + 4 * j->cols;
	return source_open(&w->source, j->m->c, e);
}

static void close_worker(struct worker *w)
{
	source_close(&w->source);
	free(w->v);
}

/* Reads row `row` of a matrix and what scales are its own. */
static int read_row(struct worker *w, const struct band *b, uint64_t row, bool first, struct err *e)
{
	const struct unit *u = b->unit;
	const uint32_t *src = u->src + 2 * (size_t)b->mat;
	const struct tensor *t = &w->m->c->tensors[src[0]], *s;
	uint64_t bytes = (t->end - t->begin) / u->rows, n, at;

	if (source_read(&w->source, src[0], row * bytes, w->row, (size_t)bytes, e))
		return -1;
	progress_add(w->m->progress, bytes);
	if (src[1] == UINT32_MAX || (codecs[u->from].rows > 1 && !first))
		return 0;
	s = &w->m->c->tensors[src[1]];
	n = s->dim[1] * (dtypes[s->dtype].bits / 8);
	at = row / codecs[u->from].rows * n;
	if (source_read(&w->source, src[1], at, w->scales, (size_t)n, e))
		return -1;
	return s->dtype == DT_F8_E8M0
		? source_check_e8m0(&w->source, src[1], w->scales, (size_t)n, at, e)
		: 0;
}

/* Decodes the row at hand to w->x. */
static int decode(struct worker *w, const struct band *b, uint64_t row, struct err *e)
{
	const struct unit *u = b->unit;
	uint32_t codes = u->src[2 * (size_t)b->mat];
	const struct tensor *t = &w->m->c->tensors[codes];
	uint64_t bytes = (t->end - t->begin) / u->rows, i;

	codec_ops[u->from].decode(w->row, w->scales, 1, (size_t)u->cols, w->v);
	for (i = 0; i < u->cols; i++) {
		w->x[i] = (float)w->v[i];
		if (!isfinite(w->x[i]))
			return source_bad_byte(&w->source, codes, row * bytes + i * bytes / u->cols,
				RULE_DATA_NOT_FINITE,
				"a value that is NaN or infinite in FP32 has no error", e);
	}
	return 0;
}

static void measure_row(struct worker *w, struct band *b)
{
	const float *weights = b->importance ? w->w : NULL;
	size_t cols = (size_t)b->unit->cols, i, k;
	double x;

	for (i = 0; i < cols; i++) {
		x = (double)w->x[i];
		b->energy += (weights ? (double)weights[i] : 1) * x * x;
	}
	for (k = 0; k < w->m->n_types; k++) {
		if (b->cannot[k] || !unit_takes(b->unit, w->m->types[k]))
			continue;
		b->cannot[k] = lowbit_row(lowbit_find(w->m->types[k]), w->way, LOWBIT_PLAIN, w->x,
				       cols, weights, w->dst, &b->error[k]) < cols;
	}
}

/* Reads the importance of the columns of the band's matrix, unless it is at hand. */
static int load_importance(struct worker *w, const struct band *b, struct err *e)
{
	double tokens;

	if (!b->importance || (w->unit == b->unit && w->mat == b->mat))
		return 0;
	w->unit = b->unit;
	w->mat = b->mat;
	return imatrix_mean(w->m->imatrix, b->importance, b->mat, w->w, &tokens, e);
}

static int measure_band(struct worker *w, struct band *b, struct err *e)
{
	uint64_t i;

	b->energy = 0;
	memset(b->error, 0, sizeof b->error);
	memset(b->cannot, 0, sizeof b->cannot);
	if (load_importance(w, b, e))
		return -1;
	for (i = b->row; i < b->row + b->rows; i++) {
		if (read_row(w, b, i, i == b->row, e) || decode(w, b, i, e))
			return -1;
		measure_row(w, b);
	}
	return 0;
}

static int work(struct par *p, unsigned me, struct err *e)
{
	struct job_of_bands *j = par_ctx(p);
	struct worker w;
	size_t i;
	int rc = open_worker(&w, j, e);

	(void)me;
	while (!rc && !par_stopping(p) && (i = atomic_fetch_add(&j->next, 1)) < j->n)
		rc = j->m->stop && *j->m->stop
			? err_set(e, ERR_SYSTEM, "stopped; the same call goes on")
			: measure_band(&w, &j->v[i], e);
	close_worker(&w);
	return rc;
}

int measure_bands(const struct measuring *m, struct band *v, size_t n, struct err *e)
{
	struct job_of_bands j = { .m = m, .v = v, .n = n };
	size_t i;

	atomic_init(&j.next, 0);
	for (i = 0; i < n; i++)
		j.cols = v[i].unit->cols > j.cols ? v[i].unit->cols : j.cols;
	return par_run(m->threads, work, &j, e);
}
