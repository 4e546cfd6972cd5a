/* reforming.c -- OP_REFORM: the tensors of a matrix in another number format, by a row of quant/reform.h. A unit is a row
 * of the tensor; of the two that are one number, that.
 *
 * Scratch, in this order: the state, what the reformer wants, rows of scales and of codes on their way, and of codes
 * whose way back is kept what was kept so far and the frame that it is packed into.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/make/maker.h"

#include "core/text.h"

#include <stdio.h>
#include <string.h>

enum { SCALES_STAGE = 64 << 10 }; /* bytes of scales that are read at a time to find the largest */

struct reforming {
	struct reformer r;
	uint64_t
		band; /* whose scales are at hand, where several rows share them; UINT64_MAX nobody's */
	bool has_second;
	uint8_t *scales, *stage;
	size_t scales_bytes, stage_bytes;
	struct reform_kept kept;
	uint8_t *frame;
	size_t frame_bytes;
};

struct sizes {
	uint64_t rows, cols, old_row,
		scale_row; /* of the matrix; bytes of its old codes and scales */
	size_t reformer, scales, stage, kept, frame;
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

	z.old_row = codec_row_bytes(f->how->from, z.cols);
	z.scale_row = step_row_bytes(&p->ckpt->tensors[f->scales]);
	z.reformer = aligned(reform_room(f->how, (size_t)z.cols));
	z.stage = aligned(maker_stage(s->as.reform.part == PART_CODES ? z.old_row : 1));
	z.scales = aligned((size_t)((z.stage / z.old_row + 2) * z.scale_row) + SCALES_STAGE);
	if (s->as.reform.part == PART_CODES && p->opts.back) {
		z.kept = aligned(reform_kept_room(f->how, f->signs, z.rows, z.cols));
		z.frame = reform_kept_frame(z.kept);
	}
	return z;
}

static size_t need(const struct plan *p, const struct step *s)
{
	struct sizes z = sizes_of(p, s);

	return aligned(sizeof(struct reforming)) + z.reformer + z.scales + z.stage + z.kept +
		z.frame;
}

static uint64_t unit(const struct plan *p, const struct step *s)
{
	(void)p;
	return step_row_bytes(&s->out);
}

static void begin(struct maker *m)
{
	const struct step_reform *f = m->st->as.reform.of;
	struct sizes z = sizes_of(m->p, m->st);
	struct reforming *x = m->scratch;
	uint8_t *at = (uint8_t *)m->scratch + aligned(sizeof *x);

	m->holds = NULL;
	reformer_begin(&x->r, f->how, (size_t)z.cols, f->signs, at);
	x->band = UINT64_MAX;
	x->has_second = false;
	x->scales = at += z.reformer;
	x->scales_bytes = z.scales;
	x->stage = at += z.scales;
	x->stage_bytes = z.stage;
	at += z.stage;
	x->frame = at + z.kept;
	x->frame_bytes = z.frame;
	if (z.kept)
		reform_kept_begin(&x->kept, &x->r, z.rows, at);
}

/* --- scales --- */

/* Scale i of tensor t is not sound. */
static int bad_scale(struct maker *m, uint32_t t, uint64_t i, enum reform_scale what, struct err *e)
{
	uint64_t each = dtypes[m->p->ckpt->tensors[t].dtype].bits / 8;

	if (what == REFORM_SCALE_POWER)
		return source_bad_byte(&m->source, t, i * each, RULE_DATA_SCALE_NUMBER,
			"the scale is no power of two that E8M0 has, 2^-127 to 2^127", e);
	return source_bad_byte(&m->source, t, i * each, RULE_DATA_SCALE_NAN,
		each == 1 ? "scale byte 255 is NaN, expected 0 to 254"
			  : "the scale is no finite number",
		e);
}

/* Holds n scales of tensor t, which begin with number first, to what the way takes. */
static int hold_scales(struct maker *m, uint32_t t, const uint8_t *p, size_t n, uint64_t first,
	struct err *e)
{
	enum reform_scale what;
	size_t bad = reform_sound(m->st->as.reform.of->how, p, n, &what);

	return bad < n ? bad_scale(m, t, first + bad, what, e) : 0;
}

/* The largest of all scales of tensor t. */
static int top_of(struct maker *m, uint32_t t, int *top, struct err *e)
{
	struct reforming *x = m->scratch;
	const struct tensor *s = &m->p->ckpt->tensors[t];
	uint64_t at, bytes = s->end - s->begin;
	size_t n;

	for (at = 0; at < bytes; at += n) {
		n = bytes - at < x->scales_bytes ? (size_t)(bytes - at) : x->scales_bytes;
		if (source_read(&m->source, t, at, x->scales, n, e) ||
			hold_scales(m, t, x->scales, n, at, e))
			return -1;
		*top = reform_top(*top, x->scales, n);
	}
	return 0;
}

/* Sets the factor of the matrix, if the format has one and it is not known yet. */
static int find_second(struct maker *m, struct err *e)
{
	const struct step_reform *f = m->st->as.reform.of;
	struct reforming *x = m->scratch;
	int top = REFORM_TOP_NONE;

	if (x->has_second || !f->how->second)
		return 0;
	if (top_of(m, f->scales, &top, e) ||
		(f->partner != f->scales &&
			top_of(m, f->partner, &top, e)))
		return -1;
	if (!reformer_second(&x->r, top))
		return source_bad_byte(&m->source, f->scales, 0, RULE_DATA_OVERFLOW,
			"all its scales are so small that F32 has no divisor for them", e);
	x->has_second = true;
	x->band = UINT64_MAX;
	return 0;
}

/* Reads the scales of rows row .. row + n of the matrix to x->scales, unless they are there: k is which source they
 * are. */
static int load_scales(struct maker *m, unsigned k, uint64_t row, uint64_t n, struct err *e)
{
	const struct step_reform *f = m->st->as.reform.of;
	struct reforming *x = m->scratch;
	uint64_t bytes = step_row_bytes(&m->p->ckpt->tensors[f->scales]),
		 tall = codecs[f->how->from].rows, first = row / tall, last = (row + n - 1) / tall;
	size_t each = dtypes[m->p->ckpt->tensors[f->scales].dtype].bits / 8,
	       all = (size_t)((last - first + 1) * bytes);

	if (tall > 1 && x->band == first && first == last)
		return 0;
	if (maker_read(m, k, first * bytes, x->scales, all, e) ||
		hold_scales(m, f->scales, x->scales, all / each, first * bytes / each, e))
		return -1;
	x->band = first == last ? first : UINT64_MAX;
	return 0;
}

/* --- codes: a unit is a row --- */

static uint64_t codes_at_once(const struct maker *m, uint64_t at)
{
	const struct reforming *x = m->scratch;
	uint64_t n = x->stage_bytes / codec_row_bytes(x->r.how->from, x->r.cols);
	uint64_t tall = codecs[x->r.how->from].rows, band = tall - at % tall;

	return tall > 1 && band < n ? band : n;
}

static int lossy_block(struct maker *m, uint64_t row, size_t b, enum reform_verdict v,
	struct err *e)
{
	const struct tensor *t = &m->p->ckpt->tensors[m->st->as.reform.of->codes];
	const struct reforming *x = m->scratch;
	bool over = v == REFORM_OVERFLOW;

	return err_rule(e, over ? RULE_DATA_OVERFLOW : RULE_DATA_REFORM_INEXACT, ERR_NOPOS,
		"%s: tensor %s, row %llu, columns %zu to %zu: a value %s in %s%s",
		m->p->ckpt->shards[t->shard].name, text_quote(t->name).s, (unsigned long long)row,
		b * x->r.how->block, (b + 1) * x->r.how->block - 1,
		over ? "is infinite" : "would be rounded", codecs[x->r.how->to].name,
		over ? "" : " (--lossy goes on)");
}

static int judge(struct maker *m, uint64_t row, struct err *e)
{
	const struct reforming *x = m->scratch;
	size_t b, n = x->r.cols / x->r.how->block;
	uint8_t worst = 0;

	m->res->blocks += n;
	for (b = 0; b < n; b++)
		worst = x->r.verdict[b] > worst ? x->r.verdict[b] : worst;
	for (b = 0; worst && b < n; b++) {
		m->res->rescued += x->r.verdict[b] == REFORM_RESCUED;
		if (x->r.verdict[b] < REFORM_LOSSY)
			continue;
		m->res->inexact++;
		if (x->r.verdict[b] == REFORM_OVERFLOW || !m->lossy)
			return lossy_block(m, row, b, (enum reform_verdict)x->r.verdict[b], e);
		if (maker_lost(m, row, b, e))
			return -1;
	}
	return 0;
}

static int make_codes(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e)
{
	struct reforming *x = m->scratch;
	const struct reform *how = x->r.how;
	uint64_t bytes = codec_row_bytes(how->from, x->r.cols),
		 to = codec_row_bytes(how->to, x->r.cols),
		 scales = step_row_bytes(&m->p->ckpt->tensors[m->st->as.reform.of->scales]), i,
		 first = at / codecs[how->from].rows;
	size_t nan;

	if (find_second(m, e) || load_scales(m, 1, at, n, e) ||
		maker_read(m, 0, at * bytes, x->stage, n * (size_t)bytes, e))
		return -1;
	for (i = 0; i < n; i++) {
		const uint8_t *src = x->stage + i * bytes,
			      *s = x->scales + ((at + i) / codecs[how->from].rows - first) * scales;

		nan = how->codes(&x->r, src, s, dst + i * to);
		if (nan < x->r.cols)
			return source_bad_byte(&m->source, m->st->as.reform.of->codes,
				(at + i) * bytes + nan, RULE_DATA_FP8_NAN, "the FP8 code is NaN",
				e);
		if (judge(m, at + i, e))
			return -1;
		if (m->keep && x->frame_bytes)
			reform_keep(&x->kept, &x->r, at + i, src, s);
	}
	return 0;
}

static int end_codes(struct maker *m, struct err *e)
{
	struct reforming *x = m->scratch;
	size_t n;

	if (m->keep && x->frame_bytes && x->kept.any && !m->res->inexact) {
		n = reform_pack(&x->kept, x->frame, x->frame_bytes);
		if (keep_frame(m->keep, x->frame, n, &m->res->dropped, e))
			return -1;
	}
	return maker_end_records(m, x->stage, x->stage_bytes, e);
}

/* --- scales: a unit is a row --- */

static uint64_t one(const struct maker *m, uint64_t at)
{
	(void)m, (void)at;
	return 1;
}

static uint64_t scales_at_once(const struct maker *m, uint64_t at)
{
	const struct reforming *x = m->scratch;
	uint64_t bytes = step_row_bytes(&m->p->ckpt->tensors[m->st->as.reform.of->scales]);

	return codecs[x->r.how->from].rows > 1 ? one(m, at) : x->scales_bytes / bytes;
}

static int make_scales(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e)
{
	struct reforming *x = m->scratch;
	const struct reform *how = x->r.how;
	uint64_t tall = codecs[how->to].rows, i, to = step_row_bytes(&m->st->out),
		 bytes = step_row_bytes(&m->p->ckpt->tensors[m->st->as.reform.of->scales]);

	if (find_second(m, e) || load_scales(m, 0, at * tall, n * tall, e))
		return -1;
	for (i = 0; i < n; i++)
		how->scales(&x->r, x->scales + i * bytes, dst + i * to);
	return 0;
}

static int end_scales(struct maker *m, struct err *e)
{
	struct reforming *x = m->scratch;

	return maker_end_records(m, x->stage, x->stage_bytes, e);
}

/* --- the two that are one number --- */

static int make_number(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e)
{
	const struct step_reform *f = m->st->as.reform.of;
	struct reforming *x = m->scratch;

	(void)at, (void)n;
	if (m->st->as.reform.part == PART_INPUT) {
		memcpy(dst, &f->input, sizeof f->input);
		return 0;
	}
	if (find_second(m, e))
		return -1;
	reformer_put_second(&x->r, dst);
	return 0;
}

/* --- by the part that the step makes --- */

static const struct {
	uint64_t (*at_once)(const struct maker *m, uint64_t at);
	int (*make)(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e);
	int (*end)(struct maker *m, struct err *e);
} parts[PART_COUNT] = { [PART_CODES] = { codes_at_once, make_codes, end_codes },
	[PART_SCALES] = { scales_at_once, make_scales, end_scales },
	[PART_SECOND] = { one, make_number, end_scales },
	[PART_INPUT] = { one, make_number, end_scales } };

static uint64_t at_once(const struct maker *m, uint64_t at)
{
	return parts[m->st->as.reform.part].at_once(m, at);
}

static int make(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e)
{
	return parts[m->st->as.reform.part].make(m, at, n, dst, e);
}

static int end(struct maker *m, struct err *e)
{
	return parts[m->st->as.reform.part].end(m, e);
}

const struct make_op reforming_op = { need, unit, begin, at_once, make, end };
