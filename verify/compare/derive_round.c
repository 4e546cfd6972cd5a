/* derive_round.c -- a tensor of a matrix whose values were rounded (quant/round.h), made once more from the source.
 *
 * Values are those of quant/codec.h, and what was written is decoded by it, so that blocks are judged without the encoder; the
 * search itself is that of quant/round.h, run again. Of the converter nothing is used but the tables of formats.
 *
 * SPDX-License-Identifier: MIT */
#include "verify/compare/derive.h"

#include "core/cpu.h"
#include "formats/model/gguf_name.h"
#include "quant/reform.h"
#include "quant/round.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- opening --- */

/* The importance of its columns, where the file has it. Returns NULL, or what is wrong. */
static const char *find_importance(struct derive *d, uint64_t cols)
{
	char name[GGUF_NAME_MAX + 1];
	uint64_t experts = d->c->config.E;
	long expert;

	d->importance = NULL;
	if (!d->imatrix ||
		!gguf_name_of(name, &expert, d->src[0]->name, false, GGUF_OF_MODEL, &d->c->config))
		return NULL;
	d->importance = imatrix_find(d->imatrix, name);
	d->matrix = expert < 0 ? 0 : (uint64_t)expert;
	return d->importance &&
			(d->importance->cols != cols ||
				d->importance->mats != (expert < 0 ? 1 : experts))
		? "its importance is of another shape"
		: NULL;
}

/* The largest of all scales of a tensor. */
static int largest(const struct derive *d, const struct tensor *s, double *top, struct err *e)
{
	uint8_t some[4096];
	uint64_t at, bytes = s->end - s->begin;
	size_t each = dtypes[s->dtype].bits / 8, n, i;
	double v;

	for (at = 0; at < bytes; at += n) {
		n = bytes - at < sizeof some ? (size_t)(bytes - at) : sizeof some;
		if (derive_read(d, s, at, some, n, e))
			return -1;
		for (i = 0; i < n / each; i++) {
			v = fabs(codec_scale(d->from, some, i));
			*top = v > *top ? v : *top;
		}
	}
	return 0;
}

/* The factor: a quarter of the least power of two that is not below the largest scale, and not below 2^-120. */
static int find_second(struct derive *d, const struct tensor *other, struct err *e)
{
	double top = 0, power = 0x1p-120;

	d->second = 1;
	if (!codecs[d->to].second.name || d->t->of == PART_INPUT)
		return 0;
	if (largest(d, d->src[1], &top, e) || (other && largest(d, other, &top, e)))
		return -1;
	while (4 * power < top && power < 0x1p127)
		power *= 2;
	d->second = power;
	return 0;
}

/* Returns how many rows of the matrix a row of the tensor is of. */
static uint64_t tall_of(const struct derive *d)
{
	return d->t->of == PART_ZEROS ? CODEC_ZERO_ROWS : 1;
}

int derive_round_open(struct derive *d, const struct tensor *other, uint64_t cols,
	const char **what, struct err *e)
{
	uint64_t scales = d->src[1]->dim[1] * dtypes[d->src[1]->dtype].bits / 8, tall = tall_of(d),
		 most = tall * d->src_bytes;

	*what = find_importance(d, cols);
	if (*what)
		return 0;
	most = d->row_bytes > most ? d->row_bytes : most;
	if (d->t->of == PART_CODES || d->t->of == PART_SCALES || d->t->of == PART_ZEROS) {
		d->unit_rows = DERIVE_UNIT / most ? DERIVE_UNIT / most : 1;
		d->unit_rows = d->unit_rows < d->n_rows ? d->unit_rows : d->n_rows;
		d->stage = (size_t)(d->unit_rows * tall * d->src_bytes +
			(d->unit_rows * tall + 1) * scales);
	}
	return find_second(d, other, e);
}

/* --- rows --- */

/* What a row is made with: owns all. */
struct rounder {
	struct round_job job;
	size_t cols, groups;
	double *was, *is;
	float *x, *weights;
	uint8_t *codes, *scales, *changed;
};

static void end(struct rounder *r)
{
	free(r->was);
	free(r->x);
	free(r->codes);
}

static int begin(struct rounder *r, const struct derive *d, const struct lowbit_way *way,
	struct err *e)
{
	size_t cols = (size_t)codec_cols(d->from, d->src[0]->dim[1]), scales;
	double tokens;

	*r = (struct rounder){ .cols = cols, .groups = round_groups(d->to, cols) };
	scales = codec_scale_row(d->to, cols);
	r->was = malloc(2 * cols * sizeof *r->was + 1);
	r->x = malloc((2 * cols + round_room(cols)) * sizeof *r->x + 1);
	r->codes = malloc((size_t)codec_row_bytes(d->to, cols) + scales + r->groups + 1);
	if (!r->was || !r->x || !r->codes) {
		end(r);
		return err_nomem(e);
	}
	r->is = r->was + cols;
	r->weights = r->x + cols;
	r->scales = r->codes + codec_row_bytes(d->to, cols);
	r->changed = r->scales + scales;
	r->job = (struct round_job){ .how = rounding_find(d->to),
		.way = way,
		.second = codecs[d->to].second.name ? ilogb(d->second) : 0,
		.weights = d->importance ? r->weights : NULL,
		.room = r->weights + cols };
	if (!d->importance ||
		!imatrix_mean(d->imatrix, d->importance, d->matrix, r->weights, &tokens, e))
		return 0;
	end(r);
	return -1;
}

/* Makes a row. Returns -1 where it has a value that cannot be rounded: no run has written a row of that, so that there are no bytes
 * that would be equal. */
static int make_row(struct rounder *r, const struct derive *d, uint64_t row, const uint8_t *codes,
	const uint8_t *old, struct err *e)
{
	size_t i;

	codec_ops[d->from].decode(codes, old, 1, r->cols, r->was);
	for (i = 0; i < r->cols; i++)
		r->x[i] = (float)r->was[i];
	if (round_row(&r->job, r->x, r->cols, r->codes, r->scales, r->changed) < r->cols)
		return err_rule(e, RULE_COMPARE_SHAPE, ERR_NOPOS,
			"tensor %s, row %llu: the source has a value there that %s has not",
			text_quote(d->t->name).s, (unsigned long long)row, codecs[d->to].name);
	codec_ops[d->to].decode(r->codes, r->scales, d->second, r->cols, r->is);
	return 0;
}

static int count(struct derive_maker *m, const struct rounder *r, uint64_t row, struct err *e)
{
	size_t n = r->groups ? r->cols / r->groups : 0, g, i;

	for (g = 0; g < r->groups; g++) {
		for (i = g * n; i < (g + 1) * n && r->was[i] == r->is[i]; i++)
			;
		if (derive_count_block(m, row, g, i < (g + 1) * n, false, e))
			return -1;
	}
	return 0;
}

/* Writes what the tensor has of a row of the matrix to a row of it, at dst. */
static void put_part(const struct derive *d, const struct rounder *r, uint64_t row, uint8_t *dst)
{
	const uint8_t *zeros = r->scales + r->groups * dtypes[codecs[d->to].scale].bits / 8;

	if (d->t->of != PART_ZEROS) {
		memcpy(dst, d->t->of == PART_CODES ? r->codes : r->scales, (size_t)d->row_bytes);
		return;
	}
	if (row % CODEC_ZERO_ROWS == 0)
		memset(dst, 0, (size_t)d->row_bytes);
	codec_zeros_put(zeros, row, r->groups, dst);
}

static int make_rows(struct derive_maker *m, const struct derive *d, const struct lowbit_way *way,
	uint64_t row, uint64_t n, uint8_t *out, struct err *e)
{
	uint64_t tall = tall_of(d), first = row * tall, last = (row + n) * tall, i;
	struct rounder r;
	uint8_t *old;
	int rc;

	if (begin(&r, d, way, e))
		return -1;
	last = last < d->rows ? last : d->rows;
	rc = derive_reform_read(m, d, first, last - first, &old, e);
	for (i = 0; !rc && i < last - first; i++) {
		rc = make_row(&r, d, first + i, m->stage + i * d->src_bytes,
			derive_reform_scales(d, first, i, old), e);
		if (rc)
			break;
		put_part(d, &r, first + i, out + i / tall * d->row_bytes);
		rc = d->t->of == PART_CODES ? count(m, &r, first + i, e) : 0;
	}
	end(&r);
	return rc;
}

int derive_round_make(struct derive_maker *m, const struct derive *d, bool plain, uint64_t row,
	uint64_t n, uint8_t *out, struct err *e)
{
	return make_rows(m, d, lowbit_best(plain ? 0 : cpu_features()), row, n, out, e);
}
