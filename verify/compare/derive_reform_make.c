/* derive_reform_make.c -- rows of a matrix in another number format, made once more: see derive_reform.c.
 *
 * SPDX-License-Identifier: MIT */
#include "verify/compare/derive.h"

#include "quant/num.h"
#include "verify/compare/derive_look.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { E8M0_BIAS = 127 };
static const double e4m3_least = 0x1p-9;

/* Writes number i of a row of scales: v in the type of the new format. */
static void put_scale(const struct derive *d, uint8_t *scales, uint64_t i, double v)
{
	float f = (float)v;

	switch (codecs[d->to].meant) {
	case SCALE_E8M0:
		scales[i] = (uint8_t)(ilogb(v) + E8M0_BIAS);
		break;
	case SCALE_E4M3:
		scales[i] = num_e4m3_from((float)(v < e4m3_least ? e4m3_least : v));
		break;
	case SCALE_F32:
		memcpy(scales + 4 * i, &f, sizeof f);
		break;
	default:
		break;
	}
}

/* The old scale of column c of the row, over the factor. */
static double scale_at(const struct derive *d, const uint8_t *old, uint64_t c)
{
	return codec_scale(d->from, old, (size_t)(c / codecs[d->from].cols)) / d->second;
}

static void put_scales(const struct derive *d, const uint8_t *old, uint64_t cols, uint8_t *scales)
{
	uint64_t i, each = codecs[d->to].cols;

	for (i = 0; codecs[d->to].scale != DT_COUNT && i * each < cols; i++)
		put_scale(d, scales, i, scale_at(d, old, i * each));
}

/* Whether the code of column c, which is not zero, is no more to be told: its scale is, and the new format has none. */
static bool forgets(const struct derive *d, const uint8_t *codes, const uint8_t *old, uint64_t c)
{
	return codecs[d->from].meant == SCALE_F32 && codecs[d->to].scale == DT_COUNT &&
		(codes[c] & 0x7f) && scale_at(d, old, c) == 0;
}

bool derive_reform_changed(const struct derive *d, const struct derive_row *r, const uint8_t *codes,
	const uint8_t *old, uint64_t c)
{
	return r->was[c] != r->is[c] || forgets(d, codes, old, c);
}

uint32_t derive_reform_block(const struct derive *d)
{
	bool finer = codecs[d->to].scale != DT_COUNT && codecs[d->to].meant == SCALE_E4M3;

	return codecs[finer ? d->to : d->from].cols;
}

bool derive_reform_below(const struct derive *d, const uint8_t *old, uint64_t c)
{
	return codecs[d->to].meant == SCALE_E4M3 && scale_at(d, old, c) < e4m3_least;
}

int derive_count_block(struct derive_maker *m, uint64_t row, uint64_t block, bool changed,
	bool rescued, struct err *e)
{
	m->blocks.n++;
	m->blocks.lossy += changed;
	m->blocks.rescued += !changed && rescued;
	if (!changed || m->n_lost == SIDECAR_LOST)
		return 0;
	if (mem_grow(&m->lost, &m->lost_cap, m->n_lost + 1, sizeof *m->lost))
		return err_nomem(e);
	m->lost[m->n_lost++] = (struct sidecar_block){ (uint32_t)row, (uint32_t)block };
	return 0;
}

static int count(struct derive_maker *m, const struct derive *d, uint64_t row,
	const struct derive_row *r, const uint8_t *codes, const uint8_t *old, uint64_t cols,
	struct err *e)
{
	uint64_t block = derive_reform_block(d), c;
	bool changed = false, any = false;

	for (c = 0; c < cols; c++) {
		changed = changed || derive_reform_changed(d, r, codes, old, c);
		any = any || r->was[c] != 0;
		if ((c + 1) % block)
			continue;
		if (derive_count_block(m, row, c / block, changed,
			    any && derive_reform_below(d, old, c), e))
			return -1;
		changed = any = false;
	}
	return 0;
}

static void drop_signs(const struct derive *d, double *v, uint64_t cols)
{
	uint64_t c;

	for (c = 0; d->t->unsigned_zeros && c < cols; c++)
		if (v[c] == 0)
			v[c] = 0;
}

/* Codes that stay: of 8 bits on both sides, since the new scale is the same number. To encode their values would be to
 * ask for the same, but for a scale that is 0 or no power of two. */
static bool same_codes(const struct derive *d)
{
	return codecs[d->from].code == DT_F8_E4M3 && codecs[d->to].code == DT_F8_E4M3;
}

void derive_reform_row(const struct derive *d, const uint8_t *codes, const uint8_t *old,
	uint64_t cols, struct derive_row *r, uint8_t *out)
{
	put_scales(d, old, cols, r->scales);
	codec_ops[d->from].decode(codes, old, 1, (size_t)cols, r->was);
	drop_signs(d, r->was, cols);
	if (same_codes(d))
		memcpy(out, codes, (size_t)codec_row_bytes(d->to, cols));
	else
		codec_ops[d->to].encode(r->was, r->scales, d->second, (size_t)cols, out);
	codec_ops[d->to].decode(out, r->scales, d->second, (size_t)cols, r->is);
}

/* --- reading --- */

/* Columns of the matrix; bytes of a row of its old scales. */
static uint64_t cols_of(const struct derive *d)
{
	return codec_cols(d->from, d->src[0]->dim[1]);
}

static uint64_t scale_bytes(const struct derive *d)
{
	return d->src[1]->dim[1] * dtypes[d->src[1]->dtype].bits / 8;
}

/* Reads the old scales of rows row .. row + n of the matrix, each once, to p. */
static int read_scales(const struct derive *d, uint64_t row, uint64_t n, uint8_t *p, struct err *e)
{
	uint64_t tall = codecs[d->from].rows, first = row / tall, last = (row + n - 1) / tall;

	return derive_read(d, d->src[1], first * scale_bytes(d), p,
		(size_t)((last - first + 1) * scale_bytes(d)), e);
}

const uint8_t *derive_reform_scales(const struct derive *d, uint64_t row, uint64_t i,
	const uint8_t *p)
{
	uint64_t tall = codecs[d->from].rows;

	return p + ((row + i) / tall - row / tall) * scale_bytes(d);
}

int derive_reform_read(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t **old, struct err *e)
{
	*old = m->stage + n * d->src_bytes;
	return derive_read(d, d->src[0], row * d->src_bytes, m->stage, (size_t)(n * d->src_bytes),
		       e) ||
			read_scales(d, row, n, *old, e)
		? -1
		: 0;
}

/* --- the plain way --- */

static int plain_codes(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	size_t cols = (size_t)cols_of(d);
	struct derive_row r = { .was = malloc(2 * cols * sizeof *r.was),
		.scales = malloc(4 * cols + 1) };
	const uint8_t *codes, *s;
	uint8_t *old;
	uint64_t i;
	int rc = r.was && r.scales ? 0 : err_nomem(e);

	r.is = r.was + cols;
	rc = rc || derive_reform_read(m, d, row, n, &old, e) ? -1 : 0;
	for (i = 0; !rc && i < n; i++) {
		codes = m->stage + i * d->src_bytes;
		s = derive_reform_scales(d, row, i, old);
		derive_reform_row(d, codes, s, cols, &r, out + i * d->row_bytes);
		rc = count(m, d, row + i, &r, codes, s, cols, e);
	}
	free(r.was);
	free(r.scales);
	return rc;
}

/* The first row of the matrix that row `row` of scales is of. */
static uint64_t row_of_scales(const struct derive *d, uint64_t row)
{
	return row * codecs[d->to].rows;
}

static int plain_scales(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	uint64_t first = row_of_scales(d, row), i;

	if (read_scales(d, first, row_of_scales(d, n - 1) + 1, m->stage, e))
		return -1;
	for (i = 0; i < n; i++)
		put_scales(d, derive_reform_scales(d, first, row_of_scales(d, i), m->stage),
			cols_of(d), out + i * d->row_bytes);
	return 0;
}

static int put_number(const struct derive *d, uint8_t *out)
{
	const int64_t shape[2] = { (int64_t)d->src[0]->dim[0], (int64_t)cols_of(d) };
	float f = (float)(codecs[d->to].second.divides ? 1 / d->second : d->second);

	if (d->t->of == PART_SHAPE)
		memcpy(out, shape, sizeof shape);
	else
		memcpy(out, &f, sizeof f);
	return 0;
}

static bool is_rounded(const struct derive *d)
{
	return d->rounds &&
		(d->t->of == PART_CODES || d->t->of == PART_SCALES || d->t->of == PART_ZEROS);
}

int derive_reform_plain(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	if (is_rounded(d))
		return derive_round_make(m, d, true, row, n, out, e);
	switch (d->t->of) {
	case PART_CODES:
		return plain_codes(m, d, row, n, out, e);
	case PART_SCALES:
		return plain_scales(m, d, row, n, out, e);
	default:
		return put_number(d, out);
	}
}

/* --- the quick way: what the plain one makes of a block is looked up --- */

/* A row, block by block; what is left behind the last whole block is not counted. */
static int look_row(struct derive_maker *m, const struct derive *d, uint64_t row,
	const uint8_t *codes, const uint8_t *old, uint8_t *out, struct err *e)
{
	uint64_t cols = cols_of(d), block = derive_reform_block(d), c, take;
	const struct derive_look *l;
	unsigned flags;
	size_t n;

	for (c = 0; c < cols; c += take) {
		take = cols - c < block ? cols - c : block;
		n = (size_t)codec_row_bytes(d->from, take);
		l = derive_look(m->looks, d, old, c / codecs[d->from].cols);
		flags = derive_look_up(l, codes, n, out);
		codes += n;
		out += n * l->each;
		if (take == block &&
			derive_count_block(m, row, c / block, flags & LOOK_CHANGED,
				(flags & LOOK_ANY) && (flags & LOOK_BELOW), e))
			return -1;
	}
	return 0;
}

static int look_codes(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	uint8_t *old;
	uint64_t i;

	if (!derive_look_fits(d))
		return plain_codes(m, d, row, n, out, e);
	if (derive_look_begin(&m->looks, d, e) || derive_reform_read(m, d, row, n, &old, e))
		return -1;
	for (i = 0; i < n; i++)
		if (look_row(m, d, row + i, m->stage + i * d->src_bytes,
			    derive_reform_scales(d, row, i, old), out + i * d->row_bytes, e))
			return -1;
	return 0;
}

/* New scales of old ones that are bytes: of each byte there is, they are made once. */
static int look_scales(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	uint64_t first = row_of_scales(d, row), i, k, each = codecs[d->to].cols,
		 old_each = codecs[d->from].cols, across = mem_ceil_div(cols_of(d), each);
	size_t size = dtypes[codecs[d->to].scale].bits / 8;
	uint8_t made[256 * 4], byte;
	const uint8_t *old;
	unsigned b;

	if (codecs[d->from].meant != SCALE_E8M0)
		return plain_scales(m, d, row, n, out, e);
	if (read_scales(d, first, row_of_scales(d, n - 1) + 1, m->stage, e))
		return -1;
	for (b = 0; b < 256; b++) {
		byte = (uint8_t)b;
		put_scale(d, made + b * size, 0, scale_at(d, &byte, 0));
	}
	for (i = 0; i < n; i++) {
		old = derive_reform_scales(d, first, row_of_scales(d, i), m->stage);
		for (k = 0; k < across; k++)
			memcpy(out + i * d->row_bytes + k * size,
				made + old[k * each / old_each] * size, size);
	}
	return 0;
}

int derive_reform_make(struct derive_maker *m, const struct derive *d, uint64_t row, uint64_t n,
	uint8_t *out, struct err *e)
{
	if (is_rounded(d))
		return derive_round_make(m, d, false, row, n, out, e);
	switch (d->t->of) {
	case PART_CODES:
		return look_codes(m, d, row, n, out, e);
	case PART_SCALES:
		return look_scales(m, d, row, n, out, e);
	default:
		return put_number(d, out);
	}
}
