/* bench_tile.c -- packing and unpacking of layouts beside memcpy of the same input, all in L2: the ways
 * of each layout, compared with the plain one before they are timed.
 *
 * Rows come from two tensors, in turns of 8, as gate and up projections are joined.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "formats/layout/tile.h"
#include "tests/bench.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A matrix of about 512 KiB. */
struct matrix {
	const struct tile *t;
	struct tile_dim d;
	struct tile_grid g;
	size_t row_bytes, n; /* n: of a tensor, half the matrix */
	uint8_t *tensor[2], *flat;
	uint8_t **row;
	tile_pack_fn *pack;
	tile_unpack_fn *unpack;
};

static void matrix_make(struct matrix *m, const char *name, uint32_t rows, uint32_t row_bytes)
{
	uint32_t r;

	m->t = tile_find(name);
	m->d = tile_dim(m->t, rows, row_bytes);
	m->g = tile_grid(m->t, m->d);
	m->row_bytes = row_bytes;
	m->n = (size_t)rows / 2 * row_bytes;
	m->tensor[0] = take(m->n);
	m->tensor[1] = take(m->n);
	m->flat = take(2 * m->n);
	m->row = take(rows * sizeof *m->row);
	for (r = 0; r < rows; r++)
		m->row[r] = m->tensor[r / 8 % 2] + (size_t)(r / 16 * 8 + r % 8) * row_bytes;
	if (!tile_fits(m->t, m->d) || tile_bytes(m->t, m->d) != 2 * m->n)
		exit(2);
}

static void matrix_free(struct matrix *m)
{
	free(m->tensor[0]);
	free(m->tensor[1]);
	free(m->flat);
	free(m->row);
}

/* A call for each band. */
static void do_pack(void *p)
{
	struct matrix *m = p;
	uint64_t n = m->t->by_cols ? m->g.n : m->g.across, s;

	for (s = 0; s < m->g.n; s += n)
		m->pack(m->t, m->d, (const uint8_t *const *)m->row + s / n * m->g.stage, s, n,
			m->flat + s * m->g.bytes);
}

static void do_unpack(void *p)
{
	struct matrix *m = p;
	uint64_t n = m->t->by_cols ? m->g.n : m->g.across, s;

	for (s = 0; s < m->g.n; s += n)
		m->unpack(m->t, m->d, m->row + s / n * m->g.stage, s, n, m->flat + s * m->g.bytes);
}

static void do_copy(void *p)
{
	struct matrix *m = p;

	memcpy(m->flat, m->tensor[0], m->n);
	memcpy(m->flat + m->n, m->tensor[1], m->n);
	__asm__ volatile("" ::"r"(m->flat) : "memory");
}

/* Exits unless this way packs as the plain one does, and back. */
static void check_way(struct matrix *m)
{
	uint8_t *want = take(2 * m->n), *was = take(2 * m->n);
	tile_pack_fn *pack = m->pack;

	m->pack = tile_pack;
	do_pack(m);
	memcpy(want, m->flat, 2 * m->n);
	m->pack = pack;
	memset(m->flat, 0, 2 * m->n);
	do_pack(m);
	memcpy(was, m->tensor[0], m->n);
	memcpy(was + m->n, m->tensor[1], m->n);
	memset(m->tensor[0], 0, m->n);
	memset(m->tensor[1], 0, m->n);
	do_unpack(m);
	if (memcmp(want, m->flat, 2 * m->n) || memcmp(was, m->tensor[0], m->n) ||
		memcmp(was + m->n, m->tensor[1], m->n)) {
		fprintf(stderr, "bench: %s: ways differ\n", m->t->name);
		exit(2);
	}
	free(want);
	free(was);
}

void bench_tiles(void)
{
	static const struct {
		const char *name;
		uint32_t rows, row_bytes;
	} sizes[] = { { "rows", 512, 1024 }, { "frag-k32-256", 512, 1024 },
		{ "sf128x4", 2048, 224 }, { "marlin4-a16", 512, 1024 } };
	const struct tile_way *w;
	struct matrix m;
	double copy, to, back;
	unsigned i, k, features = cpu_features();

	printf("layouts in L2 (512 KiB of input), rows of two tensors in turns of 8\n");
	for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		matrix_make(&m, sizes[i].name, sizes[i].rows, sizes[i].row_bytes);
		copy = rate(do_copy, &m, 2 * m.n);
		for (k = 0; (w = tile_way(m.t, k)); k++) {
			if ((w->needs & ~features) != 0 || !w->pack || !w->unpack)
				continue;
			m.pack = w->pack;
			m.unpack = w->unpack;
			check_way(&m);
			to = rate(do_pack, &m, 2 * m.n);
			back = rate(do_unpack, &m, 2 * m.n);
			printf("  %-13s %-8s pack %6.2f GB/s, %.2f of memcpy; unpack %6.2f, %.2f\n",
				m.t->name, w->name, to, to / copy, back, back / copy);
		}
		matrix_free(&m);
	}
}
