/* test_tile.c -- every layout of the table: a bijection, cut into slabs that lie one after the other,
 * back again, padded with zeros, equal to the digests of a second derivation (tests/vectors/layouts.txt,
 * which tests/oracle/layouts.py writes); every quick way equal to the plain one; row maps.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "core/hash/sha256.h"
#include "core/hash/xxh.h"
#include "formats/layout/rowmap.h"
#include "formats/layout/engine.h"
#include "formats/layout/tile.h"
#include "tests/check.h"

static uint64_t row_bytes(const struct tile *t, struct tile_dim d)
{
	return ((uint64_t)d.cols * t->bits + 7) / 8;
}

/* --- sizes to try --- */

static uint32_t up_to(uint32_t unit, uint32_t room)
{
	return unit * (1 + rnd(room / unit ? room / unit : 1));
}

/* A matrix that the layout takes; with pads also off its units. */
static struct tile_dim some_dim(const struct tile *t, bool off)
{
	struct tile_dim d = { up_to(t->row_unit, 300), up_to(t->col_unit, 200) };

	if (off && t->pads) {
		d.rows = 1 + rnd(300);
		d.cols = 1 + rnd(200);
	}
	if (t->bits == 4 && d.cols % 2)
		d.cols++;
	return d;
}

/* --- at --- */

static void bijection(void)
{
	const struct tile *t;
	struct tile_dim d;
	struct tile_grid g;
	uint64_t n, at;
	uint32_t r, c;
	uint8_t *hit;
	int k;

	for (t = tiles; t < tiles + n_tiles; t++) {
		for (k = 0; k < 6; k++) {
			d = some_dim(t, k % 2);
			g = tile_grid(t, d);
			n = g.n * g.bytes * 8 / t->bits;
			hit = calloc(n, 1);
			CHECK_IN(t->name, g.n == g.down * g.across && tile_fits(t, d));
			for (r = 0; r < d.rows; r++) {
				for (c = 0; c < d.cols; c++) {
					uint64_t down = r / g.rows, across = c / g.cols;
					uint64_t slab = t->by_cols ? across * g.down + down
								   : down * g.across + across;

					at = t->at(d, r, c);
					if (at >= n || hit[at]++ ||
						at / ((uint64_t)g.rows * g.cols) != slab) {
						FAILED(t->name);
						r = d.rows - 1;
						break;
					}
				}
			}
			free(hit);
		}
	}
}

/* --- packing --- */

struct matrix {
	struct tile_dim d;
	uint64_t row_bytes, bytes;
	uint8_t *p;
	uint8_t **row;
};

static struct matrix matrix(const struct tile *t, struct tile_dim d)
{
	struct matrix m = { .d = d, .row_bytes = row_bytes(t, d) };
	uint32_t r;

	m.bytes = m.row_bytes * d.rows;
	m.p = malloc(m.bytes + 1);
	m.row = malloc(d.rows * sizeof *m.row);
	for (r = 0; r < d.rows; r++)
		m.row[r] = m.p + r * m.row_bytes;
	return m;
}

static void matrix_free(struct matrix *m)
{
	free(m->p);
	free(m->row);
}

static const uint8_t *const *rows_of(const struct matrix *m, uint32_t from)
{
	return (const uint8_t *const *)(m->row + from);
}

/* Packs all of it, band by band, in calls of at most step slabs. */
static void pack_all(const struct tile *t, tile_pack_fn *pack, const struct matrix *m,
	uint64_t step, uint8_t *out)
{
	struct tile_grid g = tile_grid(t, m->d);
	uint64_t s, n, band;

	for (s = 0; s < g.n; s += n) {
		band = t->by_cols ? g.n : (s / g.across + 1) * g.across;
		n = band - s < step ? band - s : step;
		pack(t, m->d, rows_of(m, t->by_cols ? 0 : (uint32_t)(s / g.across) * g.rows), s, n,
			out + s * g.bytes);
	}
}

static void unpack_all(const struct tile *t, tile_unpack_fn *unpack, const struct matrix *m,
	uint64_t step, const uint8_t *in)
{
	struct tile_grid g = tile_grid(t, m->d);
	uint64_t s, n, band;

	for (s = 0; s < g.n; s += n) {
		band = t->by_cols ? g.n : (s / g.across + 1) * g.across;
		n = band - s < step ? band - s : step;
		unpack(t, m->d, m->row + (t->by_cols ? 0 : (uint32_t)(s / g.across) * g.rows), s, n,
			in + s * g.bytes);
	}
}

/* Where an element went is what at says; what nobody wrote is zero; and back. */
static void round_trip(void)
{
	const struct tile *t;
	struct tile_dim d;
	struct matrix m, back;
	uint8_t *out, *seen;
	uint64_t n, i, at;
	uint32_t r, c, w;
	int k;

	for (t = tiles; t < tiles + n_tiles; t++) {
		for (k = 0; k < 6; k++) {
			d = some_dim(t, k % 2);
			m = matrix(t, d);
			back = matrix(t, d);
			n = tile_bytes(t, d);
			out = malloc(n);
			seen = calloc(n, 1);
			rnd_bytes(m.p, m.bytes);
			memset(out, k % 2 ? 0xff : 0x5a, n); /* all of it is written */
			pack_all(t, tile_pack, &m, 1 + rnd(9), out);
			memset(back.p, 0xa5, back.bytes);
			unpack_all(t, tile_unpack, &back, 1 + rnd(9), out);
			CHECK_IN(t->name, !memcmp(m.p, back.p, m.bytes));
			for (i = 0; t->untwist && i < n; i += 4) {
				memcpy(&w, out + i, 4);
				w = t->untwist(w);
				memcpy(out + i, &w, 4);
			}
			for (r = 0; t->bits >= 8 && r < d.rows; r++)
				for (c = 0; c < d.cols; c++) {
					at = t->at(d, r, c) * (t->bits / 8);
					memset(seen + at, 1, t->bits / 8);
					if (memcmp(out + at, m.row[r] + c * (t->bits / 8),
						    t->bits / 8))
						FAILED(t->name);
				}
			for (i = 0; t->bits >= 8 && i < n; i++)
				CHECK_IN(t->name, seen[i] || !out[i]);
			free(out);
			free(seen);
			matrix_free(&m);
			matrix_free(&back);
		}
	}
}

/* Rows that are not there are zeros, and are not written to. */
static void rows_left_out(void)
{
	const struct tile *t;
	struct matrix m, zero;
	uint8_t *a, *b, *row;
	uint64_t n;

	for (t = tiles; t < tiles + n_tiles; t++) {
		m = matrix(t, some_dim(t, false));
		zero = matrix(t, m.d);
		n = tile_bytes(t, m.d);
		a = malloc(n);
		b = malloc(n);
		rnd_bytes(m.p, m.bytes);
		memcpy(zero.p, m.p, m.bytes);
		row = m.row[m.d.rows / 2];
		memset(zero.p + (row - m.p), 0, m.row_bytes);
		m.row[m.d.rows / 2] = NULL;
		pack_all(t, tile_pack, &m, 3, a);
		pack_all(t, tile_pack, &zero, 3, b);
		CHECK_IN(t->name, !memcmp(a, b, n));
		memset(row, 0x77, m.row_bytes);
		unpack_all(t, tile_unpack, &m, 3, a);
		CHECK_IN(t->name, row[0] == 0x77 && !memcmp(row, row + 1, m.row_bytes - 1));
		matrix_free(&m);
		matrix_free(&zero);
		free(a);
		free(b);
	}
}

/* What the quick ways stand on: slabs are alike, and a place in one is a row's plus a column's. */
static void places_split(void)
{
	const struct tile *t;
	struct tile_dim d;
	struct tile_grid g;
	uint64_t slab;
	uint32_t r, c, in_r, in_c;
	int k;

	for (t = tiles; t < tiles + n_tiles; t++) {
		for (k = 0; k < 3; k++) {
			d = some_dim(t, false);
			g = tile_grid(t, d);
			for (r = 0; r < d.rows; r++)
				for (c = 0; c < d.cols; c++) {
					slab = t->by_cols ? c / g.cols * g.down + r / g.rows
							  : r / g.rows * g.across + c / g.cols;
					in_r = r % g.rows;
					in_c = c % g.cols;
					if (t->at(d, r, c) !=
						slab * g.rows * g.cols + t->at(d, in_r, 0) +
							t->at(d, 0, in_c))
						FAILED(t->name);
				}
		}
	}
}

/* Every third row goes where nobody looks, all to the same place. */
static void some_spare(const struct tile *t, tile_unpack_fn *unpack, const struct matrix *m,
	struct matrix *back, const uint8_t *in)
{
	uint8_t *spare = malloc(m->row_bytes);
	uint32_t r;

	memset(back->p, 0x66, back->bytes);
	for (r = 0; r < m->d.rows; r += 3)
		back->row[r] = spare;
	unpack_all(t, unpack, back, 1 + rnd(400), in);
	for (r = 0; r < m->d.rows; r++) {
		if (r % 3)
			CHECK_IN(t->name, !memcmp(back->row[r], m->row[r], m->row_bytes));
		back->row[r] = back->p + r * back->row_bytes;
	}
	free(spare);
}

/* Twice as large: more than a way takes at a time. */
static struct tile_dim large_dim(const struct tile *t)
{
	return (struct tile_dim){ up_to(t->row_unit, 600), up_to(t->col_unit, 500) };
}

/* The layout is one that an engine of the table gets, for some size of expert. */
static bool is_reached(const struct tile *t)
{
	static const uint32_t rows[] = { 64, 128, 4096 };
	struct engine_fit fit;
	char why[256];
	unsigned i, r, part, scale;

	for (i = 0; i < n_engines; i++)
		for (r = 0; r < 3; r++)
			for (part = ENGINE_W13; part <= ENGINE_W2; part++)
				for (scale = 0; scale < 2; scale++) {
					(void)engine_fit(&engines[i], (enum engine_part)part, scale,
						rows[r], 4096, &fit, why, sizeof why);
					if (fit.tile == t)
						return true;
				}
	return false;
}

/* A layout that no engine gets is kept as reference: its meaning and the ways for all, nothing that needs a
 * processor's feature. */
static void reference_only(void)
{
	const struct tile_way *w;
	const struct tile *t;
	unsigned i, n = 0;

	for (t = tiles; t < tiles + n_tiles; t++) {
		if (is_reached(t))
			continue;
		n++;
		for (i = 0; (w = tile_way(t, i)) != NULL; i++)
			CHECK_IN(t->name, !w->needs && strchr(w->tile, '*'));
	}
	printf("     %u layouts are reference\n", n);
}

/* All ways, at all sizes they take, however the work is cut. */
static void ways_equal(void)
{
	const struct tile *t;
	const struct tile_way *w;
	struct matrix m, back;
	uint8_t *want, *got;
	unsigned i, features = cpu_features();
	uint64_t n;
	int k;

	for (t = tiles; t < tiles + n_tiles; t++) {
		for (k = 0; k < 12; k++) {
			m = matrix(t, k % 6 ? some_dim(t, false) : large_dim(t));
			back = matrix(t, m.d);
			n = tile_bytes(t, m.d);
			want = malloc(n);
			got = malloc(n);
			rnd_bytes(m.p, m.bytes);
			pack_all(t, tile_pack, &m, 5, want);
			for (i = 0; (w = tile_way(t, i)); i++) {
				if ((w->needs & features) != w->needs)
					continue;
				memset(got, 0x33, n);
				if (w->pack) {
					pack_all(t, w->pack, &m, 1 + rnd(k < 6 ? 4 : 400), got);
					if (memcmp(got, want, n))
						fprintf(stderr, "%s %s: %u x %u\n", t->name,
							w->name, m.d.rows, m.d.cols);
					CHECK_IN(w->name, !memcmp(got, want, n));
				}
				memset(back.p, 0x44, m.bytes);
				if (w->unpack) {
					unpack_all(t, w->unpack, &back, 1 + rnd(k < 6 ? 4 : 400),
						want);
					if (memcmp(back.p, m.p, m.bytes))
						fprintf(stderr, "%s %s back: %u x %u\n", t->name,
							w->name, m.d.rows, m.d.cols);
					CHECK_IN(w->name, !memcmp(back.p, m.p, m.bytes));
					some_spare(t, w->unpack, &m, &back, want);
				}
			}
			free(want);
			free(got);
			matrix_free(&m);
			matrix_free(&back);
		}
	}
}

/* --- digests of a second derivation --- */

/* The inputs, as tests/oracle/layouts.py has them. */
static uint8_t w_at(uint32_t n, uint32_t b)
{
	return (uint8_t)(37 * n + 11 * b + 5 * (n >> 4) * (b >> 3) + 17);
}

static uint8_t s_at(uint32_t n, uint32_t c)
{
	return (uint8_t)(1 + (7 * n + 13 * c + 3 * (n >> 5)) % 240);
}

static uint8_t v_at(uint32_t n, uint32_t k)
{
	return (uint8_t)(29 * n + 3 * k + 7 * (n >> 3) * (k >> 4) + 5);
}

static uint8_t gg_at(uint32_t n, uint32_t i)
{
	return i % 17 ? w_at(n, i / 17 * 16 + i % 17 - 1) : s_at(n, i / 17);
}

static const struct input {
	char name;
	uint8_t (*at)(uint32_t, uint32_t);
	uint32_t codes, bytes; /* so many bytes hold so many codes of a row */
} inputs[] = { { 'W', w_at, 2, 1 }, { 'S', s_at, 32, 1 }, { 'V', v_at, 1, 1 },
	{ 'G', gg_at, 32, 17 } };

/* The rows of m in the order that the map wants. */
static void map_rows(const struct matrix *m, const char *name, uint8_t **row)
{
	const struct rowmap *map = rowmap_find(name);
	uint32_t *from = malloc(m->d.rows * sizeof *from), r;

	CHECK_IN(name, map && m->d.rows % (map->parts * map->unit) == 0);
	rowmap_from(map, m->d.rows / map->parts, from);
	for (r = 0; r < m->d.rows; r++)
		row[r] = m->p + from[r] * m->row_bytes;
	free(from);
}

/* The rows of an input, in the order of a map. */
static struct matrix input(const struct tile *t, char name, const char *map, uint32_t n, uint32_t k)
{
	const struct input *in = inputs;
	struct matrix m;
	uint8_t **row;
	uint32_t bytes, r, c;

	while (in->name != name)
		in++;
	bytes = k / in->codes * in->bytes;
	m = matrix(t, tile_dim(t, n, bytes));
	CHECK_IN(t->name, m.row_bytes == bytes && tile_fits(t, m.d));
	for (r = 0; r < n; r++)
		for (c = 0; c < bytes; c++)
			m.row[r][c] = in->at(r, c);
	row = malloc(n * sizeof *row);
	map_rows(&m, map, row);
	free(m.row);
	m.row = row;
	return m;
}

/* Every line that the second derivation wrote; of each layout there is one, and of each map. */
static void golden_digests(void)
{
	const struct tile *t;
	const struct rowmap *map;
	char tile[40], rowmap[40], in, want[80], hex[65];
	uint8_t *out, d[32], tile_seen[100] = { 0 }, map_seen[100] = { 0 };
	uint32_t n, k;
	struct matrix m;
	struct err e = { 0 };
	FILE *f = fopen("tests/vectors/layouts.txt", "r");
	int lines = 0;

	CHECK(f);
	while (f && fscanf(f, "%39s %39s %c %u %u %79s", tile, rowmap, &in, &n, &k, want) == 6) {
		lines++;
		t = tile_find(tile);
		map = rowmap_find(rowmap);
		CHECK_IN(tile, t && map && strchr("WSVG", in));
		if (!t || !map || !strchr("WSVG", in))
			continue;
		tile_seen[t - tiles] = map_seen[map - rowmaps] = 1;
		m = input(t, in, rowmap, n, k);
		out = malloc(tile_bytes(t, m.d));
		pack_all(t, tile_pack, &m, 7, out);
		CHECK_IN(tile, !sha256_of(out, tile_bytes(t, m.d), d, &e));
		hex_of(d, 32, hex);
		if (strcmp(hex, want) != 0) {
			fprintf(stderr, "%s, rows %s, %c %u x %u: %s\n", tile, rowmap, in, n, k,
				hex);
			FAILED(tile);
		}
		free(out);
		matrix_free(&m);
	}
	if (f) {
		CHECK(feof(f));
		fclose(f);
	}
	CHECK(lines > 100);
	for (t = tiles; t < tiles + n_tiles; t++)
		CHECK_IN(t->name, tile_seen[t - tiles]);
	for (map = rowmaps; map < rowmaps + n_rowmaps; map++)
		CHECK_IN(map->name, map_seen[map - rowmaps]);
}

/* The twist alone: words of the reference. */
static void twisted_words(void)
{
	static const uint32_t word[][2] = { { 0x00000001, 0x00000040 }, { 0x00000100, 0x00000008 },
		{ 0x00010000, 0x00000001 }, { 0x01000000, 0x00002000 }, { 0x00000010, 0x00400000 },
		{ 0x08000000, 0x00004000 }, { 0x87654321, 0x40a62c5d },
		{ 0xffffffff, 0xffffffff } };
	size_t i;
	uint32_t v;

	for (i = 0; i < sizeof word / sizeof *word; i++)
		CHECK(tile_twist(word[i][0]) == word[i][1] &&
			tile_untwist(word[i][1]) == word[i][0]);
	for (i = 0; i < 100000; i++) {
		v = (uint32_t)rnd64();
		CHECK(tile_untwist(tile_twist(v)) == v);
	}
}

/* --- the tables --- */

static void table_sound(void)
{
	const struct tile *t, *u;

	for (t = tiles; t < tiles + n_tiles; t++) {
		for (u = tiles; u < t; u++)
			CHECK_IN(t->name, strcmp(t->name, u->name) != 0);
		CHECK_IN(t->name, t->version && t->engine[0] && t->what[0]);
		CHECK_IN(t->name, t->bits == 4 || t->bits == 8 || t->bits == 16 || t->bits == 32);
		CHECK_IN(t->name, !t->twist == !t->untwist);
		CHECK_IN(t->name, tile_find(t->name) == t && tile_way(t, 0));
		CHECK_IN(t->name, !t->slab_rows || t->row_unit % t->slab_rows == 0);
		CHECK_IN(t->name, !t->slab_cols || t->col_unit % t->slab_cols == 0);
	}
	CHECK(!tile_find("row") && !tile_find(""));
}

static void row_maps(void)
{
	static const struct {
		const char *map;
		uint32_t part, i, to;
	} probe[] = { { "trtllm", 0, 1, 8 }, { "trtllm", 0, 4, 1 }, { "trtllm", 0, 8, 2 },
		{ "up-gate-trtllm", ROW_GATE, 0, 8 }, { "up-gate-trtllm", ROW_GATE, 1, 24 },
		{ "up-gate-trtllm", ROW_GATE, 3, 25 }, { "up-gate-trtllm", ROW_UP, 3, 17 },
		{ "up-gate-trtllm", ROW_GATE, 16, 40 }, { "up-gate-trtllm", ROW_UP, 16, 32 },
		{ "gate-up-by-8", ROW_GATE, 127, 247 }, { "gate-up-by-8", ROW_UP, 7, 15 },
		{ "gate-up-by-8", ROW_UP, 8, 24 }, { "gate-up", ROW_UP, 1, 129 },
		{ "up-gate", ROW_UP, 1, 1 }, { "up-gate", ROW_GATE, 1, 129 },
		{ "gate-up-by-1", ROW_UP, 5, 11 }, { "gate-up-by-16", ROW_GATE, 16, 32 },
		{ "gate-up-by-16", ROW_UP, 15, 31 } };
	const struct rowmap *m;
	uint32_t n, r, part, i, *from, *hit;
	size_t k;

	for (k = 0; k < sizeof probe / sizeof *probe; k++) {
		m = rowmap_find(probe[k].map);
		CHECK_IN(probe[k].map, m && m->to(probe[k].part, probe[k].i, 128) == probe[k].to);
	}
	for (m = rowmaps; m < rowmaps + n_rowmaps; m++) {
		CHECK_IN(m->name, rowmap_find(m->name) == m);
		for (n = m->unit; n <= 12 * m->unit; n += m->unit) {
			from = malloc(n * m->parts * sizeof *from);
			hit = calloc(n * m->parts, sizeof *hit);
			for (part = 0; part < m->parts; part++)
				for (i = 0; i < n; i++) {
					r = m->to(part, i, n);
					CHECK_IN(m->name, r < n * m->parts && !hit[r]++);
				}
			rowmap_from(m, n, from);
			for (r = 0; r < n * m->parts; r++)
				CHECK_IN(m->name, m->to(from[r] / n, from[r] % n, n) == r);
			free(from);
			free(hit);
		}
	}
}

/* clang-format off */
static const struct test tests[] = {
	{ "tile: table", table_sound },
	{ "tile: bijection", bijection },
	{ "tile: round trip", round_trip },
	{ "tile: rows left out", rows_left_out },
	{ "tile: places split", places_split },
	{ "tile: ways equal", ways_equal },
	{ "tile: reference only", reference_only },
	{ "tile: golden digests", golden_digests },
	{ "tile: twist", twisted_words },
	{ "row maps", row_maps },
	{ 0 },
};
/* clang-format on */
TEST_MAIN(tests)
