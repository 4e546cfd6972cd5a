/* tiling.c -- OP_TILE: experts laid out for an engine. Gathers the rows of a band from one or two tensors,
 * packs them slab by slab, goes on to the next expert. A unit is a slab.
 *
 * Rows of w1 and w3 are never put together anywhere: the layout takes pointers, in the order of the row map,
 * into what was read.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/make/maker.h"

#include "quant/num.h"

#include <stdio.h>
#include <string.h>

#define NONE UINT64_MAX

/* State: this, the pointers, the row map. Stage: source rows. */
struct tiling {
	struct tile_grid grid;
	uint32_t rows;          /* that are read together */
	uint64_t expert, group; /* whose, and which so many rows, are in row; NONE nobody's */
	const uint8_t **row;    /* [rows] into the stage */
	uint32_t *from;         /* row map: where row r of the matrix comes from */
};

static const struct tensor *first_source(const struct plan *p, const struct step_tile *t)
{
	return &p->ckpt->tensors[t->src[0]];
}

/* Rows that are read together: of layouts by rows as many bands as make 128 rows, which is a read of 256 KiB
 * or more of what engines get. A row map moves rows within 32, so that what is read of a part goes on where
 * the last time ended. */
enum { READ_ROWS = 128 };

static uint32_t group_rows(const struct step_tile *t, const struct tile_grid *g)
{
	if (t->fit.tile->by_cols)
		return t->fit.dim.rows;
	return g->rows < READ_ROWS ? READ_ROWS / g->rows * g->rows : g->rows;
}

static size_t state(const struct plan *p, const struct step *s)
{
	const struct step_tile *t = s->as.tile;
	struct tile_grid g = tile_grid(t->fit.tile, t->fit.dim);

	(void)p;
	return sizeof(struct tiling) + group_rows(t, &g) * sizeof(uint8_t *) +
		t->fit.dim.rows * sizeof(uint32_t);
}

static size_t stage(const struct plan *p, const struct step *s)
{
	const struct step_tile *t = s->as.tile;
	struct tile_grid g = tile_grid(t->fit.tile, t->fit.dim);

	return (size_t)(group_rows(t, &g) * step_row_bytes(first_source(p, t)));
}

static uint64_t unit(const struct plan *p, const struct step *s)
{
	(void)p;
	return tile_grid(s->as.tile->fit.tile, s->as.tile->fit.dim).bytes;
}

static void begin(struct maker *m)
{
	const struct step_tile *t = m->st->as.tile;
	struct tiling *g = m->state;

	m->holds = NULL;
	g->expert = g->group = NONE;
	g->grid = tile_grid(t->fit.tile, t->fit.dim);
	g->rows = group_rows(t, &g->grid);
	g->row = (const uint8_t **)(void *)(g + 1);
	g->from = (uint32_t *)(void *)(g->row + g->rows);
	rowmap_from(t->fit.map, t->fit.dim.rows / t->parts, g->from);
}

/* Slabs of one expert and of one group of rows. */
static uint64_t at_once(const struct maker *m, uint64_t at)
{
	const struct tiling *g = m->state;
	uint64_t group;

	at %= g->grid.n;
	if (m->st->as.tile->fit.tile->by_cols)
		return g->grid.n - at;
	group = g->rows / g->grid.rows * g->grid.across;
	group -= at % group;
	return group < g->grid.n - at ? group : g->grid.n - at;
}

/* They are made of the rows that lie in the stage. */
static uint64_t episode(const struct maker *m, uint64_t at)
{
	return at + at_once(m, at);
}

/* --- scales --- */

static int scale_range(const struct maker *m, uint32_t k, const uint8_t *p, uint64_t off,
	struct err *e)
{
	const struct step_tile *t = m->st->as.tile;
	char what[160];

	if (*p == NUM_E8M0_NAN)
		return source_check_e8m0(&m->source, t->src[k], p, 1, off, e);
	snprintf(what, sizeof what, "scale byte %u, which %s misreads: it takes %u to %u", *p,
		t->engine, t->e_min, t->e_max);
	return source_bad_byte(&m->source, t->src[k], off, RULE_DATA_SCALE_RANGE, what, e);
}

/* n scales of source k, which begin at byte off of it. */
static int look_at_scales(struct maker *m, uint32_t k, const uint8_t *p, size_t n, uint64_t off,
	struct err *e)
{
	struct step_result *r = m->res;
	uint8_t least = m->st->as.tile->e_min, most = m->st->as.tile->e_max;
	size_t i;

	for (i = 0; i < n; i++) {
		r->scales[0] += p[i] == 0;
		r->scales[1] += p[i] > 247;
		r->scales[2] += p[i] > 249;
		if (p[i] < least || p[i] > most)
			return scale_range(m, k, p + i, off + i, e);
	}
	return 0;
}

/* --- rows --- */

/* Rows i..i+n of a part to at; what is taken of them is recorded, and looked at if they are scales. */
static int read_run(struct maker *m, uint32_t part, uint64_t i, uint64_t n, uint8_t *at,
	struct err *e)
{
	const struct tiling *g = m->state;
	const struct step_tile *t = m->st->as.tile;
	const struct step_slice *take = &m->st->take;
	uint64_t bytes = step_row_bytes(first_source(m->p, t)), off = (take->row + i) * bytes, r;
	uint32_t k = (uint32_t)g->expert * t->parts + part;

	if (source_read(&m->source, t->src[k], off, at, (size_t)(n * bytes), e))
		return -1;
	if (i * take->cols != m->recorder[part].at)
		return err_set(e, ERR_SYSTEM, "rows of an expert are not taken in order");
	recorder_rows(&m->recorder[part], at + take->col, n, bytes, take->cols);
	for (r = 0; t->scale && r < n; r++)
		if (look_at_scales(m, k, at + r * bytes + take->col, (size_t)take->cols,
			    off + r * bytes + take->col, e))
			return -1;
	return 0;
}

/* The rows of part that rows first..first+n of the matrix want; *at moves on. */
static int read_part(struct maker *m, uint32_t part, uint32_t first, uint32_t n, uint8_t **at,
	struct err *e)
{
	struct tiling *g = m->state;
	const struct step_tile *t = m->st->as.tile;
	uint64_t bytes = step_row_bytes(first_source(m->p, t)), col = m->st->take.col;
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
	if (hi - lo + 1 == count && read_run(m, part, lo, count, *at, e))
		return -1;
	for (r = first, i = 0; r < first + n; r++) {
		if (g->from[r] / each != part)
			continue;
		if (hi - lo + 1 == count) {
			g->row[r - first] = *at + (g->from[r] % each - lo) * bytes + col;
			continue;
		}
		/* Scattered: one by one. */
		if (read_run(m, part, g->from[r] % each, 1, *at + i * bytes, e))
			return -1;
		g->row[r - first] = *at + i++ * bytes + col;
	}
	*at += count * bytes;
	return 0;
}

/* Reads the group'th so many rows of the matrix. */
static int load_group(struct maker *m, uint64_t group, struct err *e)
{
	struct tiling *g = m->state;
	const struct step_tile *t = m->st->as.tile;
	uint32_t rows = t->fit.dim.rows, first = (uint32_t)group * g->rows, n, part;
	uint8_t *at = m->stage;

	n = rows - first < g->rows ? rows - first : g->rows;
	for (part = 0; part < t->parts; part++)
		if (read_part(m, part, first, n, &at, e))
			return -1;
	g->group = group;
	return 0;
}

/* Slabs slab..slab+n of an expert, whose rows are read: band by band. */
static void pack(const struct maker *m, const struct engine_fit *f, uint64_t slab, uint64_t n,
	uint8_t *dst)
{
	const struct tiling *g = m->state;
	tile_pack_fn *fn = tile_packer(f->tile, f->dim, m->features);
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

/* The digests of what was taken of an expert's tensors; a new record for the next one. */
static int end_expert(struct maker *m, struct err *e)
{
	const struct tiling *g = m->state;
	const struct step_tile *t = m->st->as.tile;
	const struct tensor *src = first_source(m->p, t);
	bool whole = m->st->take.rows * m->st->take.cols == src->end - src->begin;
	struct xxh_digest *d;
	uint32_t part, k;

	for (part = 0; g->expert != NONE && part < t->parts; part++) {
		k = (uint32_t)g->expert * t->parts + part;
		d = &m->res->many[k];
		*d = recorder_end(&m->recorder[part]);
		if (whole && source_check(&m->source, t->src[k], d, e))
			return -1;
		recorder_begin(&m->recorder[part], true);
	}
	return 0;
}

static int make(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e)
{
	struct tiling *g = m->state;
	const struct engine_fit *f = &m->st->as.tile->fit;
	uint64_t expert = at / g->grid.n, slab = at % g->grid.n, group;

	group = f->tile->by_cols ? 0 : slab / g->grid.across * g->grid.rows / g->rows;
	if (g->expert != expert) {
		if (end_expert(m, e))
			return -1;
		g->expert = expert;
		g->group = NONE;
	}
	if (g->group != group && f->dim.rows > group * g->rows && load_group(m, group, e))
		return -1;
	pack(m, f, slab, n, dst);
	return 0;
}

const struct make_op tiling_op = { state, stage, unit, begin, episode, at_once, make, end_expert };
