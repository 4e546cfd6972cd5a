/* relayout.c -- a matrix from one layout to another: taken apart to rows, and put together again.
 *
 * Where a side is "rows", its rows are used where they lie. Orders of rows are pointers: nothing is moved for them.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "core/text.h"
#include "quant/lib/handle.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of a matrix before it is laid out. No model has one of a hundredth of this, and no product of what layouts
 * round up to can wrap. */
#define MATRIX_MAX ((uint64_t)1 << 40)

static const char ROWS[] = "rows";

/* --- what the caller says --- */

static int side_of(const struct dsv4_layout *m, struct handle_side *s, struct err *e)
{
	struct tile_dim d;

	if (!m || m->size != sizeof *m)
		return err_rule(e, RULE_LIB_CALL, ERR_NOPOS,
			"size of struct dsv4_layout is %zu, this library has %zu",
			m ? m->size : (size_t)0, sizeof *m);
	s->tile = tile_find(m->layout ? m->layout : ROWS);
	s->map = m->order ? rowmap_find(m->order) : NULL;
	if (!s->tile || (m->order && !s->map))
		return err_rule(e, RULE_SET_LAYOUT, ERR_NOPOS,
			"this library (%s) knows no layout %s with order %s", DSV4_LIB_VERSION,
			text_quote(m->layout ? m->layout : ROWS).s,
			text_quote(m->order ? m->order : "").s);
	if (!m->rows || !m->row_bytes || m->row_bytes > MATRIX_MAX / m->rows ||
		m->row_bytes * 8 / s->tile->bits > UINT32_MAX || m->row_bytes * 8 % s->tile->bits ||
		(s->map && (m->rows % s->map->parts || m->rows / s->map->parts % s->map->unit)))
		return err_rule(e, RULE_LIB_MATRIX, ERR_NOPOS,
			"%u rows of %llu bytes are no matrix for layout %s", m->rows,
			(unsigned long long)m->row_bytes, s->tile->name);
	d = tile_dim(s->tile, m->rows, m->row_bytes);
	return tile_fits(s->tile, d)
		? 0
		: err_rule(e, RULE_LIB_MATRIX, ERR_NOPOS,
			  "layout %s takes multiples of %u rows and %u columns of %u "
			  "bits, these are %u and %u",
			  s->tile->name, s->tile->row_unit, s->tile->col_unit, s->tile->bits,
			  d.rows, d.cols);
}

static uint64_t bytes_of(const struct dsv4_layout *m, const struct handle_side *s)
{
	return tile_bytes(s->tile, tile_dim(s->tile, m->rows, m->row_bytes));
}

/* --- rows --- */

/* row[r]: row r of a side in its order, where base has them in the order of the source. */
static void point(uint8_t **row, uint8_t *base, const struct rowmap *map, uint32_t rows,
	uint64_t row_bytes)
{
	uint32_t n = map ? rows / map->parts : rows, i;

	for (i = 0; i < rows; i++)
		row[map ? map->to(i / n, i % n, n) : i] = base + i * row_bytes;
}

/* Calls pack or unpack for all bands of a matrix. back: unpack. */
static void bands(const struct tile *t, struct tile_dim d, uint8_t **row, uint8_t *flat, bool back,
	unsigned features)
{
	tile_pack_fn *pack = tile_packer(t, d, features);
	tile_unpack_fn *unpack = tile_unpacker(t, d, features);
	struct tile_grid g = tile_grid(t, d);
	uint64_t step = t->by_cols ? g.n : g.across, s;

	for (s = 0; s < g.n; s += step) {
		uint8_t **band = row + (t->by_cols ? 0 : s / g.across * g.rows);

		if (back)
			unpack(t, d, band, s, step, flat + s * g.bytes);
		else
			pack(t, d, (const uint8_t *const *)band, s, step, flat + s * g.bytes);
	}
}

int handle_relayout(struct handle_side from, const uint8_t *src, struct handle_side to,
	uint8_t *dst, uint32_t rows, uint64_t row_bytes, unsigned features, struct err *e)
{
	bool plain_in = !strcmp(from.tile->name, ROWS) && !from.map;
	bool plain_out = !strcmp(to.tile->name, ROWS) && !to.map;
	/* Packing only reads its rows, but both directions share the list of pointers. */
	union {
		const uint8_t *in;
		uint8_t *out;
	} given = { .in = src };
	uint8_t **row = malloc(rows * sizeof *row), *base = NULL, *own = NULL;
	int rc = -1;

	if (!row)
		return err_nomem(e);
	base = plain_in ? given.out : plain_out ? dst : NULL;
	if (!base)
		base = own = malloc(rows * row_bytes);
	if (!base) {
		err_nomem(e);
		goto out;
	}
	if (!plain_in) {
		point(row, base, from.map, rows, row_bytes);
		bands(from.tile, tile_dim(from.tile, rows, row_bytes), row, given.out, true,
			features);
	}
	if (plain_in && plain_out) {
		memcpy(dst, src, rows * row_bytes);
	} else if (!plain_out) {
		point(row, base, to.map, rows, row_bytes);
		bands(to.tile, tile_dim(to.tile, rows, row_bytes), row, dst, false, features);
	}
	rc = 0;
out:
	free(own);
	free(row);
	return rc;
}

/* --- calls --- */

const char *dsv4_layout_name(unsigned i)
{
	return i < n_tiles ? tiles[i].name : NULL;
}

int dsv4_layout_bytes(const struct dsv4_layout *m, uint64_t *bytes, struct dsv4_error *e)
{
	struct err why = { 0 };
	struct handle_side s;

	if (!handle_needs(bytes, "bytes", &why) && !side_of(m, &s, &why))
		*bytes = bytes_of(m, &s);
	return handle_fails(e, &why);
}

/* Both sides are the same matrix, and the buffers have its sizes. */
static int check_sides(const struct dsv4_layout *from, const struct handle_side *f, size_t src,
	const struct dsv4_layout *to, const struct handle_side *t, size_t dst, struct err *e)
{
	if (from->rows != to->rows || from->row_bytes != to->row_bytes)
		return err_rule(e, RULE_LIB_MATRIX, ERR_NOPOS,
			"%u rows of %llu bytes cannot become %u rows of %llu", from->rows,
			(unsigned long long)from->row_bytes, to->rows,
			(unsigned long long)to->row_bytes);
	if (f->map && t->map && f->map->parts != t->map->parts)
		return err_rule(e, RULE_LIB_MATRIX, ERR_NOPOS, "order %s is of %u parts, %s of %u",
			f->map->name, f->map->parts, t->map->name, t->map->parts);
	if (src != bytes_of(from, f) || dst != bytes_of(to, t))
		return err_rule(e, RULE_LIB_RANGE, ERR_NOPOS,
			"the matrix has %llu bytes as it lies and %llu as it is wanted, the buffers "
			"have %zu and %zu",
			(unsigned long long)bytes_of(from, f), (unsigned long long)bytes_of(to, t),
			src, dst);
	return 0;
}

int dsv4_relayout(const struct dsv4_layout *from, const void *src, size_t src_bytes,
	const struct dsv4_layout *to, void *dst, size_t dst_bytes, struct dsv4_error *e)
{
	struct err why = { 0 };
	struct handle_side f, t;

	if (!handle_needs(src, "src", &why) && !handle_needs(dst, "dst", &why) &&
		!side_of(from, &f, &why) && !side_of(to, &t, &why) &&
		!check_sides(from, &f, src_bytes, to, &t, dst_bytes, &why))
		(void)handle_relayout(f, src, t, dst, from->rows, from->row_bytes, cpu_features(),
			&why); /* why says it */
	return handle_fails(e, &why);
}
