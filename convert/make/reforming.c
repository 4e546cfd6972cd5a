/* reforming.c -- OP_REFORM: the tensors of a matrix in another number format, by a row of quant/reform.h. A unit is a row
 * of the tensor; of the two that are one number, that.
 *
 * State, in this order: the struct, what the reformer wants, scales that several rows share. Stage: rows of codes and of
 * scales on their way, and of codes whose way back is kept what was kept so far and the frame that it is packed into.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/make/rounding.h"

#include "core/text.h"

#include <stdio.h>
#include <string.h>

enum { SCALES_STAGE = 64 << 10 }; /* bytes of scales that are read at a time to find the largest */

struct sizes {
	uint64_t rows, cols, old_row,
		scale_row;                 /* of the matrix; bytes of its old codes and scales */
	size_t reformer, shared;           /* of the state */
	size_t codes, scales, kept, frame; /* of the stage, one behind the other */
};

/* The factor of two matrices, which may be one: known from the step before where that was of the same, as codes, scales and
 * the factor itself follow each other. */
struct factor {
	const struct reform *how;
	uint32_t low, high; /* tensors of scales that share it */
	bool known;
	int second; /* it is 2^second */
};

struct reforming {
	struct reformer r;
	struct sizes z;
	uint8_t *shared; /* scales of a band of rows, where several rows share them */
	uint64_t band;   /* whose those are, UINT64_MAX nobody's */
	struct factor factor;
	struct reform_kept kept; /* lies in the stage */
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
	bool codes = s->as.reform.part == PART_CODES;

	z.old_row = codec_row_bytes(f->how->from, z.cols);
	z.scale_row = step_row_bytes(&p->ckpt->tensors[f->scales]);
	z.reformer = aligned(reform_room(f->how, (size_t)z.cols));
	z.shared = codecs[f->how->from].rows > 1 ? aligned((size_t)z.scale_row) : 0;
	z.codes = aligned(maker_rows(codes ? z.old_row : 1));
	z.scales = aligned((size_t)((z.codes / z.old_row + 2) * z.scale_row) + SCALES_STAGE);
	if (codes && p->opts.back) {
		z.kept = aligned(reform_kept_room(f->how, f->signs, z.rows, z.cols));
		z.frame = reform_kept_frame(z.kept);
	}
	return z;
}

static bool rounds(const struct step *s)
{
	return reform_rounds(s->as.reform.of->how);
}

static size_t state(const struct plan *p, const struct step *s)
{
	struct sizes z;

	if (rounds(s))
		return rounding_state(p, s);
	z = sizes_of(p, s);

	return aligned(sizeof(struct reforming)) + z.reformer + z.shared;
}

static size_t stage(const struct plan *p, const struct step *s)
{
	struct sizes z;

	if (rounds(s))
		return rounding_stage(p, s);
	z = sizes_of(p, s);

	return z.codes + z.scales + z.kept + z.frame;
}

static uint64_t unit(const struct plan *p, const struct step *s)
{
	(void)p;
	return step_row_bytes(&s->out);
}

static struct factor factor_of(const struct step_reform *f)
{
	bool before = f->scales < f->partner;

	return (struct factor){ .how = f->how,
		.low = before ? f->scales : f->partner,
		.high = before ? f->partner : f->scales };
}

static void begin(struct maker *m)
{
	const struct step_reform *f = m->st->as.reform.of;
	struct reforming *x = m->state;
	struct factor was;
	uint8_t *at = (uint8_t *)m->state + aligned(sizeof *x);

	if (rounds(m->st)) {
		rounding_begin(m);
		return;
	}
	was = m->holds == &reforming_op ? x->factor : (struct factor){ .how = NULL };
	m->holds = &reforming_op;
	x->z = sizes_of(m->p, m->st);
	reformer_begin(&x->r, f->how, (size_t)x->z.cols, f->signs, m->features, at);
	x->factor = factor_of(f);
	if (was.known && was.how == f->how && was.low == x->factor.low &&
		was.high == x->factor.high)
		x->factor = was;
	x->r.second = x->factor.second;
	x->shared = at + x->z.reformer;
	x->band = UINT64_MAX;
	memset(&x->kept, 0, sizeof x->kept);
}

/* Whether what the matrix does not say any more is kept. */
static bool keeps(const struct maker *m)
{
	const struct reforming *x = m->state;

	return m->keep && x->z.kept;
}

/* Where rows of scales lie on their way. */
static uint8_t *scales_of(const struct maker *m)
{
	const struct reforming *x = m->state;

	return m->stage + x->z.codes;
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

int maker_hold_scales(struct maker *m, uint32_t t, const uint8_t *p, size_t n, uint64_t first,
	struct err *e)
{
	enum reform_scale what;
	size_t bad = m->st->as.reform.of->how->sound(p, n, &what);

	return bad < n ? bad_scale(m, t, first + bad, what, e) : 0;
}

/* The largest of all scales of tensor t. */
static int top_of(struct maker *m, uint32_t t, int *top, struct err *e)
{
	const struct reforming *x = m->state;
	uint8_t *p = scales_of(m);
	const struct tensor *s = &m->p->ckpt->tensors[t];
	uint64_t at, bytes = s->end - s->begin;
	size_t n;

	for (at = 0; at < bytes; at += n) {
		n = bytes - at < x->z.scales ? (size_t)(bytes - at) : x->z.scales;
		if (source_read(&m->source, t, at, p, n, e) || maker_hold_scales(m, t, p, n, at, e))
			return -1;
		*top = reform_top(*top, p, n);
	}
	return 0;
}

/* Sets the factor of the matrix, if the format has one and it is not known yet. */
static int find_second(struct maker *m, struct err *e)
{
	const struct step_reform *f = m->st->as.reform.of;
	struct reforming *x = m->state;
	int top = REFORM_TOP_NONE;

	if (x->factor.known || !f->how->second)
		return 0;
	if (top_of(m, f->scales, &top, e) ||
		(f->partner != f->scales && top_of(m, f->partner, &top, e)))
		return -1;
	if (!reformer_second(&x->r, top))
		return source_bad_byte(&m->source, f->scales, 0, RULE_DATA_OVERFLOW,
			"all its scales are so small that F32 has no divisor for them", e);
	x->factor.known = true;
	x->factor.second = x->r.second;
	return 0;
}

/* Reads the scales of rows row .. row + n of the matrix, of one band where rows share them; k is which source they are.
 * They are at *p. */
static int load_scales(struct maker *m, unsigned k, uint64_t row, uint64_t n, const uint8_t **p,
	struct err *e)
{
	const struct step_reform *f = m->st->as.reform.of;
	struct reforming *x = m->state;
	uint64_t bytes = x->z.scale_row, tall = codecs[f->how->from].rows;
	size_t each = dtypes[m->p->ckpt->tensors[f->scales].dtype].bits / 8;
	uint8_t *to = tall > 1 ? x->shared : scales_of(m);

	*p = to;
	if (tall > 1 && x->band == row / tall)
		return 0;
	n = tall > 1 ? 1 : n;
	if (maker_read(m, k, row / tall * bytes, to, (size_t)(n * bytes), e))
		return -1;
	x->band = row / tall;
	return maker_hold_scales(m, f->scales, to, (size_t)(n * bytes) / each,
		row / tall * bytes / each, e);
}

/* --- codes: a unit is a row --- */

/* What was kept so far lies in the stage until the end of the matrix. */
static uint64_t matrix(const struct maker *m, uint64_t at)
{
	const struct reforming *x = m->state;

	return !rounds(m->st) && m->st->as.reform.part == PART_CODES && keeps(m) ? x->z.rows
										 : at + 1;
}

static uint64_t codes_at_once(const struct maker *m, uint64_t at)
{
	const struct reforming *x = m->state;
	uint64_t n = x->z.codes / x->z.old_row;
	uint64_t tall = codecs[x->r.how->from].rows, band = tall - at % tall;

	return tall > 1 && band < n ? band : n;
}

static int lossy_block(struct maker *m, uint64_t row, size_t b, enum reform_verdict v,
	struct err *e)
{
	const struct tensor *t = &m->p->ckpt->tensors[m->st->as.reform.of->codes];
	const struct reforming *x = m->state;
	static const char *const what[] = {
		[REFORM_FORGOT] =
			"is a code other than zero under a scale of zero, and could not be told again",
		[REFORM_LOSSY] = "would be rounded",
		[REFORM_OVERFLOW] = "is infinite"
	};
	bool over = v == REFORM_OVERFLOW;

	return err_rule(e, over ? RULE_DATA_OVERFLOW : RULE_DATA_REFORM_INEXACT, ERR_NOPOS,
		"%s: tensor %s, row %llu, columns %zu to %zu: a value %s in %s%s",
		m->p->ckpt->shards[t->shard].name, text_quote(t->name).s, (unsigned long long)row,
		b * x->r.how->block, (b + 1) * x->r.how->block - 1, what[v],
		codecs[x->r.how->to].name, over ? "" : " (--lossy goes on)");
}

static int judge(struct maker *m, uint64_t row, struct err *e)
{
	const struct reforming *x = m->state;
	size_t b, n = x->r.cols / x->r.how->block;

	m->res->blocks += n;
	if (x->r.verdict[0] == REFORM_EXACT && !memcmp(x->r.verdict, x->r.verdict + 1, n - 1))
		return 0; /* all are equal */
	for (b = 0; b < n; b++) {
		m->res->rescued += x->r.verdict[b] == REFORM_RESCUED;
		if (x->r.verdict[b] < REFORM_FORGOT)
			continue;
		m->res->inexact++;
		if (x->r.verdict[b] == REFORM_OVERFLOW || !m->lossy)
			return lossy_block(m, row, b, (enum reform_verdict)x->r.verdict[b], e);
		if (maker_lost(m, row, b, e))
			return -1;
	}
	return 0;
}

static int make_row(struct maker *m, uint64_t row, const uint8_t *src, const uint8_t *s,
	uint8_t *dst, struct err *e)
{
	struct reforming *x = m->state;
	size_t nan = x->r.how->codes(&x->r, src, s, dst);

	if (nan < x->r.cols)
		return source_bad_byte(&m->source, m->st->as.reform.of->codes,
			row * x->z.old_row + nan, RULE_DATA_FP8_NAN, "the FP8 code is NaN", e);
	if (judge(m, row, e))
		return -1;
	if (keeps(m))
		reform_keep(&x->kept, &x->r, row, src, s);
	return 0;
}

static int make_codes(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e)
{
	struct reforming *x = m->state;
	uint64_t to = codec_row_bytes(x->r.how->to, x->r.cols), i,
		 tall = codecs[x->r.how->from].rows;
	const uint8_t *s;

	if (!at && keeps(m))
		reform_kept_begin(&x->kept, &x->r, x->z.rows, m->stage + x->z.codes + x->z.scales);
	if (find_second(m, e) || load_scales(m, 1, at, n, &s, e) ||
		maker_read(m, 0, at * x->z.old_row, m->stage, n * (size_t)x->z.old_row, e))
		return -1;
	for (i = 0; i < n; i++)
		if (make_row(m, at + i, m->stage + i * x->z.old_row,
			    s + (tall > 1 ? 0 : i * x->z.scale_row), dst + i * to, e))
			return -1;
	return 0;
}

static int end_codes(struct maker *m, struct err *e)
{
	struct reforming *x = m->state;
	uint8_t *frame = m->stage + x->z.codes + x->z.scales + x->z.kept;

	if (keeps(m) && x->kept.any && !m->res->inexact &&
		keep_frame(m->keep, frame, reform_pack(&x->kept, frame, x->z.frame),
			&m->res->dropped, e))
		return -1;
	return maker_end_records(m, m->stage, x->z.codes, e);
}

/* --- scales: a unit is a row --- */

static uint64_t one(const struct maker *m, uint64_t at)
{
	(void)m, (void)at;
	return 1;
}

static uint64_t scales_at_once(const struct maker *m, uint64_t at)
{
	const struct reforming *x = m->state;

	return codecs[x->r.how->from].rows > 1 ? one(m, at) : x->z.scales / x->z.scale_row;
}

static int make_scales(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e)
{
	struct reforming *x = m->state;
	uint64_t i, to = step_row_bytes(&m->st->out);
	const uint8_t *s;

	if (find_second(m, e) || load_scales(m, 0, at * codecs[x->r.how->to].rows, n, &s, e))
		return -1;
	for (i = 0; i < n; i++)
		x->r.how->scales(&x->r, s + i * x->z.scale_row, dst + i * to);
	return 0;
}

static int end_scales(struct maker *m, struct err *e)
{
	const struct reforming *x = m->state;

	return maker_end_records(m, m->stage, x->z.codes, e);
}

/* --- the two that are one number --- */

static int make_number(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e)
{
	const struct step_reform *f = m->st->as.reform.of;
	struct reforming *x = m->state;

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
	return rounds(m->st) ? rounding_at_once(m, at)
			     : parts[m->st->as.reform.part].at_once(m, at);
}

static int make(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e)
{
	return rounds(m->st) ? rounding_make(m, at, n, dst, e)
			     : parts[m->st->as.reform.part].make(m, at, n, dst, e);
}

static int end(struct maker *m, struct err *e)
{
	return rounds(m->st) ? rounding_end(m, e) : parts[m->st->as.reform.part].end(m, e);
}

const struct make_op reforming_op = { state, stage, unit, begin, matrix, at_once, make, end };
