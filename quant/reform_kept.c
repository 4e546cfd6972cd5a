/* reform_kept.c -- what a matrix in a new number format does not say any more, kept beside it, and the way back.
 *
 * A frame unpacks to what how->keep writes, and behind it, where minus zeros became zeros, a bit for each zero of the
 * matrix in row order (1: minus zero), the lowest bit of a byte first. Where all of it is zero there is no frame.
 *
 * SPDX-License-Identifier: MIT */
#include "quant/reform.h"

#include "core/mem.h"

#include <string.h>
#include <zstd.h>

enum {
	LEVEL = 1
}; /* bits of zeros are noise, the rest is nearly always zero: more gains nothing */

static uint64_t own(const struct reform *how, uint64_t rows, uint64_t cols)
{
	return how->keeps ? how->keeps(rows, cols) : 0;
}

size_t reform_kept_room(const struct reform *how, bool signs, uint64_t rows, uint64_t cols)
{
	return (size_t)(own(how, rows, cols) +
		(how->second && !signs ? rows * cols / 8 + SIGNS_SLACK : 0));
}

size_t reform_kept_frame(size_t room)
{
	return room ? ZSTD_compressBound(room) : 0;
}

void reform_kept_begin(struct reform_kept *k, const struct reformer *r, uint64_t rows, uint8_t *p)
{
	k->any = false;
	signs_begin(&k->signs, p, own(r->how, rows, r->cols), r->features);
}

void reform_keep(struct reform_kept *k, const struct reformer *r, uint64_t i, const uint8_t *src,
	const uint8_t *s)
{
	if (r->how->keep && r->how->keep(r, i, src, s, k->signs.p))
		k->any = true;
	if (r->signs)
		return;
	k->signs.add(&k->signs, src, r->cols / 2);
	k->any = k->any || k->signs.any;
}

size_t reform_pack(struct reform_kept *k, uint8_t *p, size_t room)
{
	size_t end = k->signs.in_word ? signs_end(&k->signs) : k->signs.end,
	       n = ZSTD_compress(p, room, k->signs.p, end, LEVEL);

	return ZSTD_isError(n) ? 0 : n;
}

/* --- back --- */

size_t reform_work(const struct reform *how, uint64_t rows, uint64_t cols)
{
	return mem_ceil_div(reform_room(how, (size_t)cols), 16) * 16 +
		reform_kept_room(how, false, rows, cols);
}

static int wrong(struct err *e, const char *what)
{
	return err_rule(e, RULE_SET_DIGEST, ERR_NOPOS, "%s: it was damaged since", what);
}

/* The signs of zeros, in row order. */
struct kept_signs {
	const uint8_t *p;
	uint64_t at, n; /* bits: used, there */
};

/* Gives the zeros of a row theirs. Returns false where a zero has a sign already, though that was kept beside. */
static bool put_signs(struct kept_signs *g, uint8_t *row, size_t cols)
{
	unsigned code;
	size_t c;

	for (c = 0; g->n && c < cols; c++) {
		code = row[c / 2] >> (c % 2 * 4) & 15;
		if (code & 7)
			continue;
		if (code)
			return false;
		if (g->at < g->n && g->p[g->at / 8] >> g->at % 8 & 1)
			row[c / 2] |= (uint8_t)(8 << c % 2 * 4);
		g->at++;
	}
	return true;
}

/* The exponent of the factor; false where it is no power of two. */
static bool second_of(struct reformer *r, const uint8_t *p)
{
	double f = codec_second(r->how->to, p);
	uint64_t bits;

	memcpy(&bits, &f, sizeof bits);
	if (!(f > 0) || f > 0x1p200 || bits << 12)
		return false;
	r->second = (int)(bits >> 52) - 1023;
	return true;
}

int reform_back(const struct reform_matrix *m, uint8_t *codes, uint8_t *scales, uint8_t *work,
	struct err *e)
{
	const struct reform *how = m->how;
	size_t cols = (size_t)m->cols, room = reform_kept_room(how, false, m->rows, cols), got = 0;
	uint64_t own_bytes = own(how, m->rows, cols), i, row = codec_row_bytes(how->to, cols),
		 old = codec_row_bytes(how->from, cols), dim[2], old_dim[2], each, old_each;
	uint8_t *kept = work + mem_ceil_div(reform_room(how, cols), 16) * 16;
	struct kept_signs g = { .p = kept + own_bytes };
	struct reformer r;

	reformer_begin(&r, how, cols, true, 0, work);
	if (m->second && !second_of(&r, m->second))
		return wrong(e, "its factor is no power of two");
	if (m->n_kept) {
		got = ZSTD_decompress(kept, room, m->kept, m->n_kept);
		if (ZSTD_isError(got) || got < own_bytes)
			return wrong(e, "what was kept of it cannot be read");
		g.n = (got - own_bytes) * 8;
	}
	codec_scale_dim(how->from, 1, cols, old_dim);
	codec_scale_dim(how->to, 1, cols, dim);
	old_each = old_dim[1] * dtypes[codecs[how->from].scale].bits / 8;
	each = m->scales ? dim[1] * dtypes[codecs[how->to].scale].bits / 8 : 0;
	for (i = 0; i < m->rows; i++) {
		if (!how->back(&r, i, m->codes + i * row,
			    m->scales ? m->scales + i / codecs[how->to].rows * each : NULL,
			    m->n_kept ? kept : NULL, codes + i * old,
			    scales + i / codecs[how->from].rows * old_each))
			return wrong(e, "a row that nothing was written as");
		if (!put_signs(&g, codes + i * old, cols))
			return wrong(e, "a minus zero where none was written");
	}
	return 0;
}
