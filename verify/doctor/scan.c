/* SPDX-License-Identifier: MIT */
#include "verify/doctor/scan.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/par.h"
#include "core/text.h"
#include "formats/codec.h"
#include "quant/fp4to8.h"
#include "quant/num.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER = 1 << 20, SPREAD_EXACT = FP4TO8_SAFE };

static void spot(struct scan_spot *s, uint64_t n, uint64_t at)
{
	if (n && !s->n)
		s->first = at;
	s->n += n;
}

/* --- zeros --- */

/* Adds a region; one that goes on where the last ended makes that longer. */
static void zeros(struct scan_mark *m, uint64_t from, uint64_t to)
{
	if (!m->end) {
		m->zeros = from;
		m->end = to;
	} else if (m->end == from) {
		m->end = to;
	}
}

/* The longest run of zero bytes in p. */
static size_t longest(const uint8_t *p, size_t n, size_t *from)
{
	size_t i = 0, k, best = 0;
	uint64_t w;

	*from = 0;
	while (i < n) {
		if (i + 8 <= n) {
			memcpy(&w, p + i, 8);
			if (w && p[i + 7]) { /* no run of note crosses this word */
				i += 8;
				continue;
			}
		}
		if (p[i]) {
			i++;
			continue;
		}
		for (k = i; k + 8 <= n && (memcpy(&w, p + k, 8), !w); k += 8)
			;
		while (k < n && !p[k])
			k++;
		if (k - i > best) {
			best = k - i;
			*from = i;
		}
		i = k + 1;
	}
	return best;
}

static void look_zeros(const uint8_t *p, size_t n, uint64_t off, size_t enough, struct scan_mark *m)
{
	size_t from, run = longest(p, n, &from);

	if (run >= enough || (run == n && n >= SCAN_ZEROS_SMALL))
		zeros(m, off + from, off + from + run);
}

/* --- classes --- */

static void look_e8m0(const struct scan *s, const struct scan_item *t, const uint8_t *p, size_t n,
	uint64_t off, uint64_t *hist, struct scan_mark *m)
{
	uint32_t h[8][256] = { 0 };
	uint64_t of_255 = 0, below = 0, outside = 0, w, sum;
	size_t i;
	unsigned b, k;

	for (i = 0; i + 8 <= n; i += 8) { /* eight tables: the same byte again need not wait */
		memcpy(&w, p + i, 8);
		if (w == (w & 255) * 0x0101010101010101u) {
			h[0][w & 255] += 8;
			continue;
		}
		h[0][w & 255]++;
		h[1][w >> 8 & 255]++;
		h[2][w >> 16 & 255]++;
		h[3][w >> 24 & 255]++;
		h[4][w >> 32 & 255]++;
		h[5][w >> 40 & 255]++;
		h[6][w >> 48 & 255]++;
		h[7][w >> 56]++;
	}
	for (; i < n; i++)
		h[0][p[i]]++;
	for (b = 0; b < 256; b++) {
		for (sum = 0, k = 0; k < 8; k++)
			sum += h[k][b];
		hist[b] += sum;
		below += b == 0 ? sum : 0;
		of_255 += b == 255 ? sum : 0;
		outside += b != 255 && (b < s->e_min || b > s->e_max) ? sum : 0;
	}
	if ((of_255 && !m->nan.n) || (below && !m->least.n) || (outside && !m->range.n)) {
		for (i = n; i-- > 0;) { /* backwards: what is left is the first */
			if (p[i] == 255 && !m->nan.n)
				m->nan.first = off + i;
			if (p[i] == 0 && !m->least.n)
				m->least.first = off + i;
			if (p[i] != 255 && (p[i] < s->e_min || p[i] > s->e_max) && !m->range.n)
				m->range.first = off + i;
		}
	}
	m->nan.n += of_255;
	m->least.n += below;
	m->range.n += outside;
	if (below >= SCAN_ZEROS_SMALL)
		look_zeros(p, n, off, SCAN_ZEROS_SMALL, m);
	(void)t;
}

/* Blocks of FP4 scales that a cast to FP8 would make one of; p begins at such a block. */
static void look_spread(const struct scan_item *t, const uint8_t *p, size_t n, uint64_t off,
	struct scan_mark *m)
{
	size_t w = (size_t)t->width, rows = n / w, high_n = codecs[CODEC_FP8].rows,
	       wide_n = codecs[CODEC_FP8].cols / codecs[CODEC_MXFP4].cols, r, c, k, r0;

	for (r0 = 0; r0 < rows; r0 += high_n) {
		for (c = 0; c < w; c += wide_n) {
			uint8_t low = 255, high = 0;

			for (r = r0; r < rows && r < r0 + high_n; r++) {
				const uint8_t *q = p + r * w + c;

				for (k = 0; k < wide_n && c + k < w; k++) {
					low = q[k] < low ? q[k] : low;
					high = q[k] > high ? q[k] : high;
				}
			}
			spot(&m->spread, high - low > SPREAD_EXACT, off + r0 * w + c);
		}
	}
}

static void look_f32_scale(const struct scan *s, const struct scan_item *t, const uint8_t *p,
	size_t n, uint64_t off, uint64_t *hist, struct scan_mark *m)
{
	uint32_t b;
	size_t i;

	(void)s, (void)t;
	for (i = 0; i + 4 <= n; i += 4) {
		memcpy(&b, p + i, 4);
		if ((b & 0x7f800000) == 0x7f800000)
			spot(&m->nan, 1, off + i);
		else if (b == 0x00400000)
			hist[0]++;
		else if (b >> 31 || b & 0x7fffff || !b)
			spot(&m->odd, 1, off + i);
		else
			hist[b >> 23]++;
	}
	look_zeros(p, n, off, SCAN_ZEROS_SMALL, m);
}

static void look_fp8(const struct scan *s, const struct scan_item *t, const uint8_t *p, size_t n,
	uint64_t off, uint64_t *hist, struct scan_mark *m)
{
	const uint64_t ones = 0x0101010101010101u;
	uint64_t bad = 0, w;
	size_t i;

	(void)s, (void)t, (void)hist;
	for (i = 0; i + 8 <= n;
		i += 8) { /* seven ones and one more carry into bit 7, in each of eight bytes */
		memcpy(&w, p + i, 8);
		bad += (unsigned)__builtin_popcountll(((w & ones * 0x7f) + ones) & ones * 0x80);
	}
	for (; i < n; i++)
		bad += (p[i] & 0x7f) == NUM_E4M3_NAN;
	for (i = 0; bad && !m->nan.n && !num_e4m3_is_nan(p[i]); i++)
		;
	spot(&m->nan, bad, off + i);
	look_zeros(p, n, off, SCAN_ZEROS, m);
}

/* A scale of NVFP4 is a magnitude: a sign is as wrong as NaN. */
static void look_e4m3_scale(const struct scan *s, const struct scan_item *t, const uint8_t *p,
	size_t n, uint64_t off, uint64_t *hist, struct scan_mark *m)
{
	size_t i;

	(void)s, (void)t, (void)hist;
	for (i = 0; i < n; i++) {
		if (num_e4m3_is_nan(p[i]))
			spot(&m->nan, 1, off + i);
		else if (p[i] & 0x80)
			spot(&m->odd, 1, off + i);
	}
	look_zeros(p, n, off, SCAN_ZEROS_SMALL, m);
}

static void look_fp4(const struct scan *s, const struct scan_item *t, const uint8_t *p, size_t n,
	uint64_t off, uint64_t *hist, struct scan_mark *m)
{
	(void)s, (void)t, (void)hist;
	look_zeros(p, n, off, SCAN_ZEROS, m);
}

/* The number of width 2 (BF16) or 4 (F32) bytes at p, as the bits of an F32. */
static inline uint32_t float_at(const uint8_t *p, size_t width)
{
	uint16_t h;
	uint32_t b;

	if (width == 2) {
		memcpy(&h, p, 2);
		return (uint32_t)h << 16;
	}
	memcpy(&b, p, 4);
	return b;
}

static inline void look_floats(const uint8_t *p, size_t n, uint64_t off, size_t width,
	struct scan_mark *m)
{
	uint32_t b, first = n >= width ? float_at(p, width) : 0;
	size_t i;

	for (i = 0; i + width <= n; i += width) {
		b = float_at(p + i, width);
		m->varied = m->varied || b != first;
		if ((b & 0x7f800000) == 0x7f800000)
			spot(&m->nan, 1, off + i);
		m->rich += width == 4 && (b & 0x7fffff) != 0;
		m->fine += width == 4 && (b & 0xffff) != 0;
	}
	look_zeros(p, n, off, SCAN_ZEROS, m);
}

static void look_bf16(const struct scan *s, const struct scan_item *t, const uint8_t *p, size_t n,
	uint64_t off, uint64_t *hist, struct scan_mark *m)
{
	(void)s, (void)t, (void)hist;
	look_floats(p, n, off, 2, m);
}

static void look_f32(const struct scan *s, const struct scan_item *t, const uint8_t *p, size_t n,
	uint64_t off, uint64_t *hist, struct scan_mark *m)
{
	(void)s, (void)t, (void)hist;
	look_floats(p, n, off, 4, m);
}

static void look_ids(const struct scan *s, const struct scan_item *t, const uint8_t *p, size_t n,
	uint64_t off, uint64_t *hist, struct scan_mark *m)
{
	size_t w = (size_t)t->width, i, k, row = w * 8;
	uint64_t id, other;

	(void)s, (void)hist;
	for (i = 0; i + 8 <= n; i += 8) {
		memcpy(&id, p + i, 8);
		spot(&m->odd, id >= t->limit, off + i);
		m->top = id > m->top ? id : m->top;
		for (k = i - i % row; k < i; k += 8) {
			memcpy(&other, p + k, 8);
			spot(&m->twice, id == other, off + i);
		}
	}
}

/* clang-format off */
static const struct {
	void (*look)(const struct scan *, const struct scan_item *, const uint8_t *, size_t, uint64_t, uint64_t *, struct scan_mark *);
	bool whole; /* however large */
	uint64_t most; /* sampled where larger */
} classes[] = {
	[SCAN_E8M0]      = { look_e8m0, true, 0 },
	[SCAN_F32_SCALE] = { look_f32_scale, true, 0 },
	[SCAN_E4M3_SCALE] = { look_e4m3_scale, true, 0 },
	[SCAN_FP8]       = { look_fp8, false, 3 * SCAN_PIECE },
	[SCAN_FP4]       = { look_fp4, false, 3 * SCAN_PIECE },
	[SCAN_BF16]      = { look_bf16, false, 3 * SCAN_PIECE },
	[SCAN_F32]       = { look_f32, false, 1 << 20 },
	[SCAN_IDS]       = { look_ids, true, 0 },
};
/* clang-format on */

void scan_look(const struct scan *s, const struct scan_item *t, const uint8_t *p, size_t n,
	uint64_t off, uint64_t hist[256], struct scan_mark *m)
{
	classes[t->holds].look(s, t, p, n, off, hist, m);
	if (s->spread && t->holds == SCAN_E8M0 && t->width)
		look_spread(t, p, n, off, m);
	m->looked += n;
}

static void settle(const uint64_t *hist, struct scan_mark *m)
{
	uint64_t n = 0, seen = 0;
	unsigned b;

	for (b = 0; b < 255; b++)
		n += hist[b];
	if (!n)
		return;
	m->scaled = true;
	m->low = 255;
	for (b = 0; b < 255; b++) {
		if (!hist[b])
			continue;
		m->low = b < m->low ? (uint8_t)b : m->low;
		m->high = (uint8_t)b;
		if (seen <= (n - 1) / 2)
			m->median = (uint8_t)b;
		seen += hist[b];
	}
}

/* --- reading --- */

struct work {
	struct scan *s;
	atomic_size_t next;
};

struct worker {
	const struct scan *s;
	void *reader; /* of the payload */
	uint8_t *buf; /* owns */
};

static int read_at(struct worker *w, const struct scan_item *t, uint64_t off, size_t n,
	struct err *e)
{
	int rc = w->s->payload ? w->s->payload->read(w->reader, t->tensor, off, w->buf, n, e)
			       : file_read(w->s->io, t->fd, w->buf, n, t->at + off, e);

	return rc ? err_at(e, "tensor %s", text_quote(t->name).s) : 0;
}

/* from..to in steps that keep rows and blocks whole. */
static int scan_range(struct worker *w, struct scan_item *t, uint64_t from, uint64_t to,
	size_t step, uint64_t *hist, struct err *e)
{
	uint64_t at;
	size_t n;

	for (at = from; at < to; at += n) {
		n = to - at < step ? (size_t)(to - at) : step;
		if (read_at(w, t, at, n, e))
			return -1;
		scan_look(w->s, t, w->buf, n, at, hist, &t->m);
	}
	return 0;
}

static size_t step_of(const struct scan_item *t)
{
	uint64_t unit = t->holds == SCAN_IDS ? t->width * 8
		: t->width                   ? t->width * codecs[CODEC_FP8].rows
					     : 1;

	return unit > BUFFER ? 0 : (size_t)(BUFFER / unit * unit);
}

static int scan_item(struct worker *w, struct scan_item *t, struct err *e)
{
	uint64_t hist[256] = { 0 }, mid;
	bool all = w->s->full || classes[t->holds].whole || t->bytes <= classes[t->holds].most;
	size_t step = step_of(t);
	int rc;

	memset(&t->m, 0, sizeof t->m);
	if (!step) { /* a row wider than any model has */
		t->width = 0;
		step = BUFFER;
		if (t->holds == SCAN_IDS)
			return 0;
	}
	if (!classes[t->holds].whole)
		step = SCAN_PIECE;
	if (all) {
		rc = scan_range(w, t, 0, t->bytes, step, hist, e);
	} else {
		mid = t->bytes / 2 / SCAN_PIECE * SCAN_PIECE;
		rc = scan_range(w, t, 0, SCAN_PIECE, step, hist, e) ||
			scan_range(w, t, mid, mid + SCAN_PIECE, step, hist, e) ||
			scan_range(w, t, t->bytes - SCAN_PIECE, t->bytes, step, hist, e);
	}
	if (rc)
		return -1;
	if (t->holds == SCAN_E8M0 || t->holds == SCAN_F32_SCALE)
		settle(hist, &t->m);
	return 0;
}

static int work(struct par *p, unsigned me, struct err *e)
{
	struct work *k = par_ctx(p);
	const struct ckpt_payload *y = k->s->payload;
	struct worker w = { .s = k->s, .buf = malloc(BUFFER) };
	size_t i;
	int rc = 0;

	(void)me;
	w.reader = y ? y->open(y->ctx) : NULL;
	if (!w.buf || (y && !w.reader))
		rc = err_nomem(e);
	while (!rc && !par_stopping(p) && (i = atomic_fetch_add(&k->next, 1)) < k->s->n)
		rc = scan_item(&w, &k->s->v[i], e);
	if (w.reader)
		y->close(w.reader);
	free(w.buf);
	return rc;
}

int scan_add(struct scan *s, const struct scan_item *t, struct err *e)
{
	if (mem_grow(&s->v, &s->cap, s->n + 1, sizeof *s->v))
		return err_nomem(e);
	s->v[s->n++] = *t;
	return 0;
}

static int by_file(const void *a, const void *b)
{
	const struct scan_item *x = a, *y = b;

	return x->fd != y->fd ? (x->fd > y->fd) - (x->fd < y->fd)
			      : (x->at > y->at) - (x->at < y->at);
}

int scan_run(struct scan *s, struct err *e)
{
	struct work k = { .s = s };
	size_t i;

	if (s->n)
		qsort(s->v, s->n, sizeof *s->v, by_file);
	if (par_run(s->threads, work, &k, e))
		return -1;
	for (i = 0; i < s->n; i++)
		s->looked += s->v[i].m.looked;
	return 0;
}

void scan_free(struct scan *s)
{
	free(s->v);
	memset(s, 0, sizeof *s);
}
