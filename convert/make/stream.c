/* SPDX-License-Identifier: MIT */
#include "convert/make/stream.h"

#include "convert/make/tiling.h"
#include "core/text.h"
#include "quant/num.h"

#include <stdlib.h>
#include <string.h>

enum { BAND = FP4TO8_BLOCK };
#define NONE UINT64_MAX

void stream_tools_make(struct stream_tools *t, unsigned features, bool lossy)
{
	t->cast = fp4to8_best(features);
	fp4to8_table_make(&t->table);
	t->lossy = lossy;
	t->features = features;
}

/* --- sizes --- */

static uint64_t row_bytes(const struct tensor *t)
{
	uint64_t rows = t->rank ? t->dim[0] : 1;

	return rows ? (t->end - t->begin) / rows : 0;
}

/* --- reading --- */

int stream_get(struct stream *s, uint32_t i, uint64_t off, uint8_t *dst, size_t n, struct err *e)
{
	const struct ckpt *c = s->p->ckpt;

	return c->payload ? c->payload->read(s->reader, i, off, dst, n, e)
			  : ckpt_read(c, &c->tensors[i], off, dst, n, e);
}

static int read_src(struct stream *s, const struct step *st, unsigned k, uint64_t off, uint8_t *dst,
	size_t n, struct err *e)
{
	uint64_t known;

	if (stream_get(s, step_source(st, k), off, dst, n, e))
		return -1;
	if (step_records(st, k) && off <= s->src_at[k] && off + n > s->src_at[k]) {
		known = s->src_at[k] - off;
		xxh_update(s->src[k], dst + known, n - known);
		s->src_at[k] = off + n;
	}
	return 0;
}

int stream_bad_byte(const struct stream *s, const struct step *st, uint32_t k, uint64_t off,
	enum rule_id rule, const char *what, struct err *e)
{
	const struct tensor *t = &s->p->ckpt->tensors[step_source(st, k)];
	const struct shard *sh = &s->p->ckpt->shards[t->shard];
	uint64_t pos = sh->data_at + t->begin + off;

	return err_rule(e, rule, pos, "%s: tensor %s, byte %llu (byte %llu of the tensor): %s",
		sh->name, text_quote(t->name).s, (unsigned long long)pos, (unsigned long long)off,
		what);
}

static int check_scales(const struct stream *s, const struct step *st, unsigned k, const uint8_t *p,
	size_t n, uint64_t off, struct err *e)
{
	const uint8_t *nan = memchr(p, NUM_E8M0_NAN, n);

	if (!nan)
		return 0;
	return stream_bad_byte(s, st, k, off + (uint64_t)(nan - p), RULE_DATA_SCALE_NAN,
		"scale byte 255 is NaN, expected 0 to 254", e);
}

/* --- operations: rows row..row+n of the output; how many at most, rows_at_once says --- */

static int cols(struct stream *s, const struct step *st, uint64_t row, size_t n, uint8_t *dst,
	struct err *e)
{
	uint64_t full = row_bytes(&s->p->ckpt->tensors[st->src[0]]);
	size_t i;

	if (read_src(s, st, 0, row * full, s->stage, n * (size_t)full, e))
		return -1;
	if (st->check_scale && check_scales(s, st, 0, s->stage, n * (size_t)full, row * full, e))
		return -1;
	for (i = 0; i < n; i++)
		memcpy(dst + i * st->cols, s->stage + i * full + st->col, st->cols);
	return 0;
}

/* Rows of expert ids, of which cols are left: who is gone becomes the next that the row has not. */
static int remap(struct stream *s, const struct step *st, uint64_t row, size_t n, uint8_t *dst,
	struct err *e)
{
	size_t width = (size_t)st->out.dim[1], i, k, j;
	uint64_t v[64], most = s->p->ckpt->config.E;

	if (width > sizeof v / sizeof *v)
		return err_set(e, ERR_UNSUPPORTED, "more than 64 experts for a token");
	if (read_src(s, st, 0, row * width * 8, s->stage, n * width * 8, e))
		return -1;
	for (i = 0; i < n; i++) {
		memcpy(v, s->stage + i * width * 8, width * 8);
		for (k = 0; k < width; k++) {
			if (v[k] >= most)
				return stream_bad_byte(s, st, 0, ((row + i) * width + k) * 8,
					RULE_DATA_EXPERT_ID, "an expert id that is no expert's", e);
			v[k] %= st->cols;
			for (j = 0; j < k; j++)
				if (v[j] == v[k]) { /* taken: the next one, and from the start */
					v[k] = (v[k] + 1) % st->cols;
					j = (size_t)-1;
				}
		}
		memcpy(dst + i * width * 8, v, width * 8);
	}
	return 0;
}

/* The scales of the block row that holds source row. */
static int load_luts(struct stream *s, const struct step *st, uint64_t band, struct err *e)
{
	const struct tensor *scale = &s->p->ckpt->tensors[st->src[1]];
	size_t n = (size_t)row_bytes(scale), b;
	float v;

	if (read_src(s, st, 1, band * n, s->scales, n, e))
		return -1;
	if (scale->dtype == DT_F8_E8M0 && check_scales(s, st, 1, s->scales, n, band * n, e))
		return -1;
	for (b = 0; b < (size_t)st->out.dim[1] / BAND; b++) {
		if (scale->dtype == DT_F8_E8M0)
			v = num_e8m0(s->scales[b]);
		else
			memcpy(&v, s->scales + 4 * b, sizeof v);
		fp8to16_table_make(&s->luts[b], v);
	}
	s->band_no = band;
	return 0;
}

static int dequant_row(struct stream *s, const struct step *st, uint64_t row, const uint8_t *src,
	uint8_t *dst, struct err *e)
{
	uint32_t b, bad, k = (uint32_t)st->out.dim[1];

	for (b = 0; b < k / BAND; b++) {
		bad = fp8to16_run(&s->luts[b], dst + 2 * b * BAND, src + b * BAND, BAND);
		if (bad < BAND)
			return stream_bad_byte(s, st, 0, row * k + b * BAND + bad,
				RULE_DATA_FP8_NAN,
				"the FP8 code is NaN, its product with the scale is no number", e);
		if (s->tools->lossy)
			continue;
		bad = fp8to16_loses(&s->luts[b], src + b * BAND, BAND);
		if (bad < BAND)
			return stream_bad_byte(s, st, 0, row * k + b * BAND + bad,
				RULE_DATA_DEQUANT_INEXACT,
				"the product with its scale is not exact in BF16 (--lossy rounds it)",
				e);
	}
	return 0;
}

static int dequant(struct stream *s, const struct step *st, uint64_t row, size_t n, uint8_t *dst,
	struct err *e)
{
	uint64_t k = st->out.dim[1], from = st->row + row;
	size_t i;

	if (s->band_no != from / BAND && load_luts(s, st, from / BAND, e))
		return -1;
	if (read_src(s, st, 0, from * k, s->stage, n * (size_t)k, e))
		return -1;
	for (i = 0; i < n; i++)
		if (dequant_row(s, st, from + i, s->stage + i * k, dst + 2 * i * k, e))
			return -1;
	return 0;
}

/* Reads the scales of a band of source k and derives the new ones. */
static int load_band(struct stream *s, const struct step *st, unsigned k, uint64_t band,
	size_t width, struct err *e)
{
	size_t n = BAND * width / FP4TO8_GROUP;
	long nan;

	if (read_src(s, st, k, band * n, s->scales, n, e))
		return -1;
	nan = fp4to8_band(s->scales, width, s->band_t, s->band_v);
	if (nan >= 0)
		return stream_bad_byte(s, st, k, band * n + (uint64_t)nan, RULE_DATA_SCALE_NAN,
			"scale byte 255 is NaN, expected 0 to 254", e);
	s->band_no = band;
	return 0;
}

/* E8M0 bytes as the FP32 numbers that they mean. */
static void put_floats(uint8_t *dst, const uint8_t *scales, size_t n)
{
	float v;
	size_t i;

	for (i = 0; i < n; i++) {
		v = num_e8m0(scales[i]);
		memcpy(dst + 4 * i, &v, sizeof v);
	}
}

static int widen_scales(struct stream *s, const struct step *st, uint64_t row, size_t n,
	uint8_t *dst, struct err *e)
{
	size_t width = (size_t)st->out.dim[1];

	if (read_src(s, st, 0, row * width, s->stage, n * width, e) ||
		check_scales(s, st, 0, s->stage, n * width, row * width, e))
		return -1;
	put_floats(dst, s->stage, n * width);
	return 0;
}

static int cast_scale(struct stream *s, const struct step *st, uint64_t row, size_t n, uint8_t *dst,
	struct err *e)
{
	(void)n; /* one at a time */
	if (load_band(s, st, 0, row, (size_t)st->out.dim[1] * BAND, e))
		return -1;
	if (st->out.dtype == DT_F32)
		put_floats(dst, s->band_t, (size_t)st->out.dim[1]);
	else
		memcpy(dst, s->band_t, (size_t)st->out.dim[1]);
	return 0;
}

/* Counts the blocks of the band that lost something: marked in band_v by cast_rows. */
enum { LOST = 0x80 };

static int keep_lost(struct stream *s, uint64_t row, size_t col, struct err *e)
{
	if (s->n_lost == LOST_KEPT)
		return 0;
	if (mem_grow(&s->lost, &s->lost_cap, s->n_lost + 1, sizeof *s->lost))
		return err_nomem(e);
	s->lost[s->n_lost++] = (struct lost_block){ s->step, (uint32_t)row, (uint32_t)col };
	return 0;
}

static int judge_band(struct stream *s, const struct step *st, struct err *e)
{
	struct step_result *r = &s->res[s->step];
	const struct tensor *t = &s->p->ckpt->tensors[st->src[0]];
	size_t b, n = (size_t)st->out.dim[1] / BAND;

	for (b = 0; b < n; b++) {
		r->blocks++;
		if (!(s->band_v[b] & LOST) && s->band_v[b] != FP4TO8_LOW)
			continue;
		r->inexact++;
		if (keep_lost(s, s->band_no, b, e))
			return -1;
		if (!s->tools->lossy)
			return err_rule(e, RULE_DATA_CAST_INEXACT, ERR_NOPOS,
				"%s: tensor %s, block %llu,%zu of 128 x 128: %s (--lossy goes on)",
				s->p->ckpt->shards[t->shard].name, text_quote(t->name).s,
				(unsigned long long)s->band_no, b,
				s->band_v[b] == FP4TO8_LOW
					? "its scales are too small, the new one would be below 2^-127"
					: "its scales lie more than 2^14 apart and a small value would be "
					  "rounded in FP8");
	}
	return 0;
}

static int cast(struct stream *s, const struct step *st, uint64_t row, size_t n, uint8_t *dst,
	struct err *e)
{
	size_t k = (size_t)st->out.dim[1], groups = k / FP4TO8_GROUP, i, b;
	const uint8_t *src = s->stage, *scales;

	if (s->band_no != row / BAND && load_band(s, st, 1, row / BAND, k, e))
		return -1;
	if (read_src(s, st, 0, row * (k / 2), s->stage, n * (k / 2), e))
		return -1;
	for (i = 0; i < n; i++, src += k / 2, dst += k) {
		scales = s->scales + (row + i) % BAND * groups;
		s->tools->cast->row(&s->tools->table, dst, src, scales, s->band_t, k);
		if (s->keep)
			dropped_row(&s->dropped, src, scales, s->band_t, k);
		for (b = 0; b < k / BAND; b++)
			if (s->band_v[b] == FP4TO8_DEPENDS &&
				fp4to8_row_loses(&s->tools->table, src, scales, s->band_t, b))
				s->band_v[b] |= LOST;
	}
	return (row + n) % BAND ? 0 : judge_band(s, st, e);
}

/* Of the operations that work by rows; NULL for those whose bytes lie together in the source. */
static int (*const by_rows[OP_COUNT])(struct stream *, const struct step *, uint64_t, size_t,
	uint8_t *, struct err *) = { [OP_COLS] = cols,
	[OP_DEQUANT] = dequant,
	[OP_CAST] = cast,
	[OP_CAST_SCALE] = cast_scale,
	[OP_REMAP] = remap,
	[OP_WIDEN] = widen_scales,
	[OP_TILE] = tiling_make };

/* Of the result, what such an operation makes at a time: a row, a slab. */
static uint64_t unit_bytes(const struct stream *s, const struct step *st)
{
	return st->tile ? s->tiling.grid.bytes : row_bytes(&st->out);
}

static uint64_t rows_at_once(const struct stream *s, const struct step *st, uint64_t row)
{
	uint64_t n, band;

	if (st->tile)
		return tiling_at_once(st->tile, row);
	if (st->op == OP_CAST_SCALE)
		return 1;
	n = s->need.stage / row_bytes(&s->p->ckpt->tensors[st->src[0]]);
	band = BAND - (st->row + row) % BAND;
	return st->op == OP_COLS || st->op == OP_REMAP || st->op == OP_WIDEN || n < band ? n : band;
}

/* n bytes from byte off of the tensor that st makes, by whole rows and what is left of them. */
static int next_rows(struct stream *s, const struct step *st, uint64_t off, uint8_t *dst, size_t n,
	struct err *e)
{
	uint64_t bytes = unit_bytes(s, st), row, most;
	size_t in, take;

	while (n) {
		row = off / bytes;
		in = (size_t)(off % bytes);
		if (!in && n >= bytes) {
			most = rows_at_once(s, st, row);
			take = (size_t)(n / bytes < most ? n / bytes : most);
			if (by_rows[st->op](s, st, row, take, dst, e))
				return -1;
			take *= (size_t)bytes;
		} else {
			if (s->row_no != row && by_rows[st->op](s, st, row, 1, s->row, e))
				return -1;
			s->row_no = row;
			take = (size_t)bytes - in < n ? (size_t)bytes - in : n;
			memcpy(dst, s->row + in, take);
		}
		off += take;
		dst += take;
		n -= take;
	}
	return 0;
}

static int next_copy(struct stream *s, const struct step *st, uint64_t off, uint8_t *dst, size_t n,
	struct err *e)
{
	const struct tensor *t = &s->p->ckpt->tensors[st->src[0]];

	if (st->op == OP_ROWS)
		off += st->row * row_bytes(t);
	/* A whole copy is its source: one digest serves for both. */
	if (st->op == OP_COPY ? stream_get(s, st->src[0], off, dst, n, e)
			      : read_src(s, st, 0, off, dst, n, e))
		return -1;
	return st->check_scale ? check_scales(s, st, 0, dst, n, off, e) : 0;
}

/* --- steps --- */

static void begin_step(struct stream *s)
{
	const struct step *st = s->step < s->f->n ? &s->f->steps[s->step] : NULL;

	if (st)
		tiling_begin(&s->tiling, st->tile);
	if (st && st->op == OP_CAST && s->p->opts.back)
		dropped_begin(&s->dropped, s->drop + s->need.frame, st->out.dim[0], st->out.dim[1],
			s->tools->features);
	s->off = 0;
	s->row_no = NONE;
	s->band_no = NONE;
	s->src_at[0] = s->src_at[1] = 0;
	xxh_reset(s->out);
	xxh_reset(s->src[0]);
	xxh_reset(s->src[1]);
}

static int drain(struct stream *s, const struct step *st, unsigned k, struct err *e)
{
	const struct tensor *t = &s->p->ckpt->tensors[st->src[k]];
	uint64_t bytes = t->end - t->begin, n;

	while (s->src_at[k] < bytes) {
		n = bytes - s->src_at[k];
		if (n > s->need.stage)
			n = s->need.stage;
		if (read_src(s, st, k, s->src_at[k], s->stage, (size_t)n, e))
			return -1;
	}
	return 0;
}

/* A source that is put together from converted files was digested when those were made. */
static int check_src(const struct stream *s, uint32_t i, const struct xxh_digest *d, struct err *e)
{
	const struct ckpt_payload *p = s->p->ckpt->payload;

	return p ? p->check(p->ctx, i, d, e) : 0;
}

static int end_step(struct stream *s, const struct step *st, struct err *e)
{
	struct step_result *r = &s->res[s->step];
	unsigned k;

	r->out = xxh_final(s->out);
	if (st->op == OP_CAST && s->keep && !r->inexact &&
		keep_tensor(s->keep, &s->dropped, s->drop, s->need.frame, &r->dropped, e))
		return -1;
	if (st->op == OP_COPY) {
		r->src[0] = r->out;
		if (check_src(s, st->src[0], &r->out, e))
			return -1;
	} else if (st->tile) {
		if (tiling_end(s, st, e))
			return -1;
	} else {
		for (k = 0; k < st->n_src; k++) {
			if (!(st->record >> k & 1))
				continue;
			if (drain(s, st, k, e))
				return -1;
			r->src[k] = xxh_final(s->src[k]);
			if (check_src(s, st->src[k], &r->src[k], e))
				return -1;
		}
	}
	s->step++;
	begin_step(s);
	return 0;
}

int stream_next(struct stream *s, uint8_t *dst, size_t n, struct err *e)
{
	const struct step *st;
	uint64_t left;
	size_t take;

	if (s->at < s->f->header_bytes) {
		left = s->f->header_bytes - s->at;
		take = left < n ? (size_t)left : n;
		memcpy(dst, s->header.s + s->at, take);
		s->at += take;
		dst += take;
		n -= take;
		if (s->at == s->f->header_bytes)
			text_free(&s->header);
	}
	/* One more round than bytes: empty tensors, and the end of the last one. */
	while (s->step < s->f->n && s->at >= s->f->header_bytes) {
		st = &s->f->steps[s->step];
		left = st->out.end - st->out.begin - s->off;
		take = left < n ? (size_t)left : n;
		if (take &&
			(by_rows[st->op] ? next_rows(s, st, s->off, dst, take, e)
					 : next_copy(s, st, s->off, dst, take, e)))
			return -1;
		xxh_update(s->out, dst, take);
		s->off += take;
		s->at += take;
		dst += take;
		n -= take;
		if (take < left)
			break;
		if (end_step(s, st, e))
			return -1;
	}
	return n ? err_set(e, ERR_SYSTEM, "%s: the plan has fewer bytes than the file", s->f->name)
		 : 0;
}

/* How many sources the tiles of a file record. */
static size_t many_digests(const struct plan_file *f)
{
	size_t i, n = 0;

	for (i = 0; i < f->n; i++)
		n += f->steps[i].tile && f->steps[i].record ? step_sources(&f->steps[i]) : 0;
	return n;
}

static void place_digests(struct stream *s)
{
	struct xxh_digest *at = s->many;
	size_t i;

	for (i = 0; i < s->f->n; i++)
		if (s->f->steps[i].tile && s->f->steps[i].record) {
			s->res[i].many = at;
			at += step_sources(&s->f->steps[i]);
		}
}

int stream_open(struct stream *s, const struct plan *p, const struct plan_file *f,
	const struct stream_tools *tools, struct err *e)
{
	uint8_t *at;

	memset(s, 0, sizeof *s);
	s->p = p;
	s->f = f;
	s->tools = tools;
	s->need = stream_need(p, f);
	s->res = calloc(f->n + 1, sizeof *s->res);
	s->out = xxh_new();
	s->src[0] = xxh_new();
	s->src[1] = xxh_new();
	s->stage = at =
		malloc(s->need.stage + s->need.row + s->need.scales + 2 * s->need.blocks + 1);
	s->luts = malloc(s->need.luts + 1);
	s->tiling.row = malloc(s->need.rows + 1);
	s->tiling.from = malloc(s->need.map + 1);
	s->many = malloc(many_digests(f) * sizeof *s->many + 1);
	s->drop = malloc(s->need.drop + 1);
	if (!s->drop || !s->tiling.row || !s->tiling.from || !s->many || !s->res || !s->out ||
		!s->src[0] || !s->src[1] || !at || !s->luts) {
		stream_close(s);
		return err_nomem(e);
	}
	s->row = at += s->need.stage;
	s->scales = at += s->need.row;
	s->band_t = at += s->need.scales;
	s->band_v = at + s->need.blocks;
	if (p->ckpt->payload) {
		s->reader = p->ckpt->payload->open(p->ckpt->payload->ctx);
		if (!s->reader) {
			stream_close(s);
			return err_nomem(e);
		}
	}
	place_digests(s);
	begin_step(s);
	if (plan_header(p, f, &s->header, e)) {
		stream_close(s);
		return -1;
	}
	return 0;
}

void stream_close(struct stream *s)
{
	free(s->res);
	free(s->lost);
	text_free(&s->header);
	xxh_free(s->out);
	xxh_free(s->src[0]);
	xxh_free(s->src[1]);
	free(s->stage);
	free(s->luts);
	free(s->tiling.row);
	free(s->tiling.from);
	free(s->many);
	free(s->drop);
	if (s->reader)
		s->p->ckpt->payload->close(s->reader);
	memset(s, 0, sizeof *s);
}
