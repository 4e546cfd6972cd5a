/* recoding.c -- ops that change a number format: decode and encode by a row of quant/recode.h.
 *
 * State, in this order: struct recoding, what the recoder wants, scales of a band. Stage: source rows on their
 * way and, where what a cast drops is kept, what was dropped so far and the frame that it is packed into; then an
 * episode is all of a tensor.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/make/maker.h"

#include "core/text.h"
#include "formats/model/sglang_name.h"
#include "quant/num.h"
#include "quant/residue.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT64_MAX

/* What a step needs, for laying it out: all of it follows from the matrix. */
struct sizes {
	size_t cols, recoder, scales, stage, drop, frame;
	size_t residues, residue_frame; /* of OP_DEQUANT where its way back is kept */
};

struct recoding {
	struct recoder r;
	uint64_t band; /* whose scales are at hand, NONE nobody's */
	struct sizes z;
	uint8_t *scales;          /* of the band, old */
	struct dropped dropped;   /* of the tensor that is cast; lies in the stage */
	struct residues residues; /* of the one that is dequantized */
};

static size_t aligned(size_t n)
{
	return mem_ceil_div(n, 16) * 16;
}

static struct sizes sizes_of(const struct plan *p, const struct step *s)
{
	const struct recode *how = s->as.recode.how;
	const struct tensor *scales = &p->ckpt->tensors[s->as.recode.scales];
	bool codes = s->op == OP_CAST || s->op == OP_DEQUANT;
	uint64_t cols = scales->dim[1] * codecs[how->from].cols;
	struct sizes z = { .cols = (size_t)cols };

	z.recoder = aligned(recode_room(how, z.cols));
	z.scales = aligned((size_t)(step_row_bytes(scales) * (how->rows / codecs[how->from].rows)));
	z.stage = aligned(maker_rows(codes ? codec_row_bytes(how->from, cols) : 1));
	if (s->op == OP_CAST && p->opts.back) {
		z.drop = aligned(dropped_room(s->out.dim[0], cols));
		z.frame = dropped_frame(dropped_room(s->out.dim[0], cols));
	}
	if (s->op == OP_DEQUANT && p->opts.back && !rank_target(p->opts.target)) {
		z.residues = aligned(residues_room(how->from, s->out.dim[0], cols));
		z.residue_frame = residues_frame(how->from, s->out.dim[0], cols);
	}
	return z;
}

static size_t state(const struct plan *p, const struct step *s)
{
	struct sizes z = sizes_of(p, s);

	return aligned(sizeof(struct recoding)) + z.recoder + z.scales + z.residues;
}

static size_t stage(const struct plan *p, const struct step *s)
{
	struct sizes z = sizes_of(p, s);

	return z.stage + z.drop + z.frame + z.residue_frame;
}

static uint64_t unit(const struct plan *p, const struct step *s)
{
	(void)p;
	return step_row_bytes(&s->out);
}

static void begin(struct maker *m)
{
	struct sizes z = sizes_of(m->p, m->st);
	const struct recode *how = m->st->as.recode.how;
	struct recoding *x = m->state;
	uint8_t *at = (uint8_t *)m->state + aligned(sizeof *x);

	if (m->holds == how)
		recoder_resize(&x->r, z.cols);
	else
		recoder_begin(&x->r, how, z.cols, at, m->features);
	m->holds = how;
	x->band = NONE;
	x->scales = at + z.recoder;
	x->z = z;
	memset(&x->dropped, 0, sizeof x->dropped);
	if (z.residues)
		residues_begin(&x->residues, how->from, m->st->out.dim[0], z.cols,
			x->scales + z.scales);
}

static bool drops(const struct maker *m)
{
	return m->st->op == OP_CAST && m->keep;
}

static bool keeps_residues(const struct maker *m)
{
	const struct recoding *x = m->state;

	return m->keep && x->z.residues;
}

/* Reads the old scales of a band and has the new ones made. */
static int load_band(struct maker *m, unsigned k, uint64_t band, struct err *e)
{
	struct recoding *x = m->state;
	const struct recode *how = m->st->as.recode.how;
	const struct tensor *t = &m->p->ckpt->tensors[m->st->as.recode.scales];
	uint64_t each = dtypes[t->dtype].bits / 8;
	size_t n = (size_t)(step_row_bytes(t) * (how->rows / codecs[how->from].rows));
	long bad;

	if (maker_read(m, k, band * n, x->scales, n, e))
		return -1;
	bad = recoder_band(&x->r, x->scales);
	if (bad >= 0)
		return source_bad_byte(&m->source, m->st->as.recode.scales,
			band * n + (uint64_t)bad * each, RULE_DATA_SCALE_NAN,
			t->dtype == DT_F8_E8M0 ? "scale byte 255 is NaN, expected 0 to 254"
					       : "the scale is no finite number",
			e);
	x->band = band;
	return 0;
}

/* --- codes: a unit is a row --- */

/* What was dropped so far lies in the stage until the end of the tensor. */
static uint64_t tensor(const struct maker *m, uint64_t at)
{
	return drops(m) ? m->st->out.dim[0] : at + 1;
}

static uint64_t codes_at_once(const struct maker *m, uint64_t at)
{
	const struct recoding *x = m->state;
	const struct recode *how = m->st->as.recode.how;
	uint64_t n = x->z.stage / codec_row_bytes(how->from, x->r.cols);
	uint64_t band = how->rows - (m->st->take.row + at) % how->rows;

	return n < band ? n : band;
}

/* All rows of the band were cast: counts its blocks, and those that lost something. */
static int judge_band(struct maker *m, struct err *e)
{
	const struct recoding *x = m->state;
	const struct tensor *t = &m->p->ckpt->tensors[m->st->as.recode.codes];
	const struct recode *how = m->st->as.recode.how;
	size_t b;

	for (b = 0; b < x->r.cols / how->cols; b++) {
		m->res->blocks++;
		if (!recode_inexact(x->r.verdict[b]))
			continue;
		m->res->inexact++;
		if (maker_lost(m, x->band, b, e))
			return -1;
		if (!m->lossy)
			return err_rule(e, RULE_DATA_CAST_INEXACT, ERR_NOPOS,
				"%s: tensor %s, block %llu,%zu of %u x %u: %s (--lossy goes on)",
				m->p->ckpt->shards[t->shard].name, text_quote(t->name).s,
				(unsigned long long)x->band, b, how->rows, how->cols,
				x->r.verdict[b] == RECODE_LOW
					? "its scales are too small, the new one would be below 2^-127"
					: "its scales lie more than 2^14 apart and a small value would be "
					  "rounded in FP8");
	}
	return 0;
}

/* Formats without scales have no blocks to count: the element is named. What would be rounded may be with --lossy, what
 * would be infinite never. The new format is BF16. */
static int judge_row(struct maker *m, uint64_t row, const uint8_t *src, const uint8_t *dst,
	struct err *e)
{
	const struct recoding *x = m->state;
	size_t b, n = x->r.cols / x->r.how->cols, col;
	uint16_t h;
	double *v;

	for (b = 0; b < n && !recode_inexact(x->r.verdict[b]); b++)
		;
	if (b == n)
		return 0;
	for (col = 0; m->lossy && col < x->r.cols; col++) {
		memcpy(&h, dst + col * sizeof h, sizeof h);
		if (isinf(num_bf16(h)))
			return source_bad_byte(&m->source, m->st->as.recode.codes,
				row * x->r.cols + col, RULE_DATA_OVERFLOW,
				"the product with its scale is infinite in BF16", e);
	}
	if (m->lossy)
		return 0;
	v = malloc(2 * x->r.cols * sizeof *v);
	if (!v)
		return err_nomem(e);
	col = recoder_changed(&x->r, (uint32_t)(row % x->r.how->rows), src, dst, v);
	free(v);
	return source_bad_byte(&m->source, m->st->as.recode.codes, row * x->r.cols + col,
		RULE_DATA_DEQUANT_INEXACT,
		"the product with its scale is not exact in BF16 (--lossy rounds it)", e);
}

static int recode_row(struct maker *m, uint64_t row, const uint8_t *src, uint8_t *dst,
	struct err *e)
{
	struct recoding *x = m->state;
	const struct recode *how = x->r.how;
	uint32_t in = (uint32_t)(row % how->rows);
	size_t nan = recoder_row(&x->r, in, src, dst);

	if (nan < x->r.cols)
		return source_bad_byte(&m->source, m->st->as.recode.codes, row * x->r.cols + nan,
			RULE_DATA_FP8_NAN,
			"the FP8 code is NaN, its product with the scale is no number", e);
	if (drops(m))
		dropped_row(&x->dropped, src, recoder_scales(&x->r, in), x->r.exponents, x->r.cols,
			fp4to8_of(how->cols));
	if (keeps_residues(m) && !residues_row(&x->residues, row, src, x->scales))
		return source_bad_byte(&m->source, m->st->as.recode.scales, 0,
			RULE_DATA_SCALE_NUMBER,
			"a scale is zero, and the values do not tell its codes (--no-restore leaves out the way back)",
			e);
	return m->st->op == OP_DEQUANT ? judge_row(m, row, src, dst, e) : 0;
}

static int make_codes(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e)
{
	struct recoding *x = m->state;
	const struct recode *how = x->r.how;
	uint64_t row = m->st->take.row + at, bytes = codec_row_bytes(how->from, x->r.cols), i;

	if (!at && drops(m))
		dropped_begin(&x->dropped, m->stage + x->z.stage, m->st->out.dim[0], x->r.cols,
			m->features);
	if (x->band != row / how->rows && load_band(m, 1, row / how->rows, e))
		return -1;
	if (maker_read(m, 0, row * bytes, m->stage, n * (size_t)bytes, e))
		return -1;
	for (i = 0; i < n; i++)
		if (recode_row(m, row + i, m->stage + i * bytes,
			    dst + i * codec_row_bytes(how->to, x->r.cols), e))
			return -1;
	return m->st->op == OP_CAST && (row + n) % how->rows == 0 ? judge_band(m, e) : 0;
}

/* --- scales: a unit is a row of new scales, one band of old ones --- */

static uint64_t scales_at_once(const struct maker *m, uint64_t at)
{
	(void)m, (void)at;
	return 1;
}

static int make_scales(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e)
{
	struct recoding *x = m->state;

	(void)n; /* one at a time */
	if (load_band(m, 0, at, e))
		return -1;
	memcpy(dst, x->r.to_scales, (size_t)step_row_bytes(&m->st->out));
	return 0;
}

/* What is kept of a tensor that was dequantized. */
static int end_residues(struct maker *m, struct err *e)
{
	const struct recoding *x = m->state;
	uint8_t *frame = m->stage + x->z.stage;

	if (!keeps_residues(m) || !x->residues.any)
		return 0;
	return keep_frame(m->keep, frame, residues_pack(&x->residues, frame, x->z.residue_frame),
		&m->res->dropped, e);
}

static int end(struct maker *m, struct err *e)
{
	struct recoding *x = m->state;

	if (end_residues(m, e))
		return -1;

	if (drops(m) && !m->res->inexact &&
		keep_tensor(m->keep, &x->dropped, m->stage + x->z.stage + x->z.drop, x->z.frame,
			&m->res->dropped, e))
		return -1;
	return maker_end_records(m, m->stage, x->z.stage, e);
}

const struct make_op recoding_codes = { state, stage, unit, begin, tensor, codes_at_once,
	make_codes, end };
const struct make_op recoding_scales = { state, stage, unit, begin, NULL, scales_at_once,
	make_scales, end };
