/* SPDX-License-Identifier: MIT */
#include "convert/make/tiling.h"

#include "core/text.h"
#include "quant/num.h"

#include <stdio.h>
#include <string.h>

#define NONE UINT64_MAX

static uint64_t row_bytes(const struct ckpt *c, const struct step_tile *t)
{
	const struct tensor *src = &c->tensors[t->src[0]];

	return (src->end - src->begin) / src->dim[0];
}

/* Rows that are read together: of layouts by rows as many bands as make 128 rows. A row map moves rows
 * within 32, so that what is read of a part goes on where the last time ended. */
enum { READ_ROWS = 128 };

static uint32_t group_rows(const struct step_tile *t, const struct tile_grid *g)
{
	if (t->fit.tile->by_cols)
		return t->fit.dim.rows;
	return g->rows < READ_ROWS ? READ_ROWS / g->rows * g->rows : g->rows;
}

struct tiling_need tiling_need(const struct ckpt *c, const struct step_tile *t)
{
	struct tile_grid g = tile_grid(t->fit.tile, t->fit.dim);
	uint64_t rows = group_rows(t, &g);

	return (struct tiling_need){ .stage = rows * row_bytes(c, t),
		.rows = rows * sizeof(uint8_t *),
		.map = t->fit.dim.rows * sizeof(uint32_t),
		.slab = g.bytes };
}

void tiling_begin(struct tiling *g, const struct step_tile *t)
{
	g->expert = g->group = NONE;
	if (!t)
		return;
	g->grid = tile_grid(t->fit.tile, t->fit.dim);
	g->rows = group_rows(t, &g->grid);
	rowmap_from(t->fit.map, t->fit.dim.rows / t->parts, g->from);
}

uint64_t tiling_at_once(const struct step_tile *t, uint64_t at)
{
	struct tile_grid g = tile_grid(t->fit.tile, t->fit.dim);
	uint64_t group;

	at %= g.n;
	if (t->fit.tile->by_cols)
		return g.n - at;
	group = group_rows(t, &g) / g.rows * g.across;
	group -= at % group;
	return group < g.n - at ? group : g.n - at;
}

/* --- scales --- */

static int scale_range(const struct stream *s, const struct step *st, uint32_t k, const uint8_t *p,
	uint64_t off, struct err *e)
{
	char what[160];

	if (*p == NUM_E8M0_NAN)
		return stream_bad_byte(s, st, k, off, RULE_DATA_SCALE_NAN,
			"scale byte 255 is NaN, expected 0 to 254", e);
	snprintf(what, sizeof what, "scale byte %u, which %s misreads: it takes %u to %u", *p,
		st->tile->engine, st->tile->e_min, st->tile->e_max);
	return stream_bad_byte(s, st, k, off, RULE_DATA_SCALE_RANGE, what, e);
}

/* n scales of source k, which begin at byte off of it. */
static int look_at_scales(struct stream *s, const struct step *st, uint32_t k, const uint8_t *p,
	size_t n, uint64_t off, struct err *e)
{
	struct step_result *r = &s->res[s->step];
	uint8_t least = st->tile->e_min, most = st->tile->e_max;
	size_t i;

	for (i = 0; i < n; i++) {
		r->scales[0] += p[i] == 0;
		r->scales[1] += p[i] > 247;
		r->scales[2] += p[i] > 249;
		if (p[i] < least || p[i] > most)
			return scale_range(s, st, k, p + i, off + i, e);
	}
	return 0;
}

/* --- rows --- */

/* Rows i..i+n of a part to at, and pointers to them into the rows of the band that want them. */
static int read_run(struct stream *s, const struct step *st, uint32_t part, uint64_t i, uint64_t n,
	uint8_t *at, struct err *e)
{
	const struct step_tile *t = st->tile;
	uint64_t bytes = row_bytes(s->p->ckpt, t), off = (t->row + i) * bytes, r;
	uint32_t k = (uint32_t)s->tiling.expert * t->parts + part;

	if (stream_get(s, step_source(st, k), off, at, (size_t)(n * bytes), e))
		return -1;
	if (i != s->src_at[part])
		return err_set(e, ERR_SYSTEM, "rows of an expert are not taken in order");
	s->src_at[part] += n;
	if (t->cols == bytes)
		xxh_update(s->src[part], at, (size_t)(n * bytes));
	for (r = 0; t->cols < bytes && r < n; r++)
		xxh_update(s->src[part], at + r * bytes + t->col, (size_t)t->cols);
	for (r = 0; t->scale && r < n; r++)
		if (look_at_scales(s, st, k, at + r * bytes + t->col, (size_t)t->cols,
			    off + r * bytes + t->col, e))
			return -1;
	return 0;
}

/* The rows of part that rows first..first+n of the matrix want; *at moves on. */
static int read_part(struct stream *s, const struct step *st, uint32_t part, uint32_t first,
	uint32_t n, uint8_t **at, struct err *e)
{
	struct tiling *g = &s->tiling;
	const struct step_tile *t = st->tile;
	uint64_t bytes = row_bytes(s->p->ckpt, t);
	uint32_t each = t->fit.dim.rows / t->parts, lo = UINT32_MAX, hi = 0, count = 0, r, i;

	for (r = first; r < first + n; r++) {
		if (g->from[r] / each != part)
			continue;
		i = g->from[r] % each;
		lo = i < lo ? i : lo;
		hi = i > hi ? i : hi;
		count++;
	}
	if (!count)
		return 0;
	if (hi - lo + 1 == count && read_run(s, st, part, lo, count, *at, e))
		return -1;
	for (r = first, i = 0; r < first + n; r++) {
		if (g->from[r] / each != part)
			continue;
		if (hi - lo + 1 == count) {
			g->row[r - first] = *at + (g->from[r] % each - lo) * bytes + t->col;
			continue;
		}
		/* Scattered: one by one. */
		if (read_run(s, st, part, g->from[r] % each, 1, *at + i * bytes, e))
			return -1;
		g->row[r - first] = *at + i++ * bytes + t->col;
	}
	*at += count * bytes;
	return 0;
}

/* Reads the group'th so many rows of the matrix. */
static int load_group(struct stream *s, const struct step *st, uint64_t group, struct err *e)
{
	struct tiling *g = &s->tiling;
	uint32_t rows = st->tile->fit.dim.rows, first = (uint32_t)group * g->rows, n, part;
	uint8_t *at = s->stage;

	n = rows - first < g->rows ? rows - first : g->rows;
	for (part = 0; part < st->tile->parts; part++)
		if (read_part(s, st, part, first, n, &at, e))
			return -1;
	g->group = group;
	return 0;
}

/* Slabs slab..slab+n of an expert, whose rows are read: band by band. */
static void pack(const struct stream *s, const struct engine_fit *f, uint64_t slab, uint64_t n,
	uint8_t *dst)
{
	const struct tiling *g = &s->tiling;
	tile_pack_fn *fn = tile_packer(f->tile, f->dim, s->tools->features);
	uint64_t take, row;

	for (; n; n -= take, slab += take, dst += take * g->grid.bytes) {
		take = f->tile->by_cols ? n : g->grid.across - slab % g->grid.across;
		take = take < n ? take : n;
		row = f->tile->by_cols ? 0 : slab / g->grid.across * g->grid.rows;
		if (row >= f->dim.rows) /* rounded up: nothing but zeros */
			memset(dst, 0, take * g->grid.bytes);
		else
			fn(f->tile, f->dim, g->row + (row - g->group * g->rows), slab, take, dst);
	}
}

/* The digests of what was taken of an expert's tensors, row by row. src_at counts rows. */
static int end_expert(struct stream *s, const struct step *st, struct err *e)
{
	struct tiling *g = &s->tiling;
	const struct tensor *src;
	uint64_t whole;
	uint32_t part, k;

	if (g->expert == NONE)
		return 0;
	src = &s->p->ckpt->tensors[st->tile->src[0]];
	whole = src->end - src->begin;
	for (part = 0; part < st->tile->parts; part++) {
		k = (uint32_t)g->expert * st->tile->parts + part;
		s->res[s->step].many[k] = xxh_final(s->src[part]);
		if (s->p->ckpt->payload && st->tile->rows * st->tile->cols == whole &&
			s->p->ckpt->payload->check(s->p->ckpt->payload->ctx, step_source(st, k),
				&s->res[s->step].many[k], e))
			return -1;
		s->src_at[part] = 0;
		xxh_reset(s->src[part]);
	}
	return 0;
}

int tiling_make(struct stream *s, const struct step *st, uint64_t at, size_t n, uint8_t *dst,
	struct err *e)
{
	struct tiling *g = &s->tiling;
	const struct engine_fit *f = &st->tile->fit;
	uint64_t expert = at / g->grid.n, slab = at % g->grid.n, group;

	group = f->tile->by_cols ? 0 : slab / g->grid.across * g->grid.rows / g->rows;
	if (g->expert != expert) {
		if (end_expert(s, st, e))
			return -1;
		g->expert = expert;
		g->group = NONE;
	}
	if (g->group != group && f->dim.rows > group * g->rows && load_group(s, st, group, e))
		return -1;
	pack(s, f, slab, n, dst);
	return 0;
}

int tiling_end(struct stream *s, const struct step *st, struct err *e)
{
	return end_expert(s, st, e);
}
