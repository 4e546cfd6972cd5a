/* packtile.c -- a matrix on stdin, laid out on stdout: what tests/oracle/engines.py compares.
 *
 *	packtile LAYOUT ROWMAP ROWS ROWBYTES <matrix >packed
 *
 * With the plain tile_pack. Status 2: not called as it must be; 1: the layout or the map does not take
 * that matrix, or there is not so much of it.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/layout/rowmap.h"
#include "formats/layout/tile.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	const struct tile *t = argc == 5 ? tile_find(argv[1]) : NULL;
	const struct rowmap *m = argc == 5 ? rowmap_find(argv[2]) : NULL;
	unsigned long rows = argc == 5 ? strtoul(argv[3], NULL, 10) : 0;
	unsigned long bytes = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;
	struct tile_dim d;
	struct tile_grid g;
	uint8_t *in, *out;
	const uint8_t **row;
	uint32_t *from, r;
	uint64_t s, band;
	bool fine;

	if (!t || !m || !rows || rows > 1u << 20 || !bytes || bytes > 1u << 20) {
		fprintf(stderr, "usage: packtile LAYOUT ROWMAP ROWS ROWBYTES <matrix >packed\n");
		return 2;
	}
	d = tile_dim(t, (uint32_t)rows, bytes);
	if (!tile_fits(t, d) || (uint64_t)d.cols * t->bits != bytes * 8 ||
		rows % (m->parts * m->unit)) {
		fprintf(stderr, "packtile: %s, rows %s: not for %lu rows of %lu bytes\n", t->name,
			m->name, rows, bytes);
		return 1;
	}
	g = tile_grid(t, d);
	in = malloc(rows * bytes);
	out = malloc(tile_bytes(t, d));
	row = malloc(rows * sizeof *row);
	from = malloc(rows * sizeof *from);
	fine = in && out && row && from && fread(in, bytes, rows, stdin) == rows;
	if (fine) {
		rowmap_from(m, (uint32_t)rows / m->parts, from);
		for (r = 0; r < rows; r++)
			row[r] = in + from[r] * bytes;
		band = t->by_cols ? g.n : g.across;
		for (s = 0; s < g.n; s += band)
			tile_pack(t, d, row + (t->by_cols ? 0 : s / g.across * g.rows), s, band,
				out + s * g.bytes);
		fine = fwrite(out, 1, tile_bytes(t, d), stdout) == tile_bytes(t, d) &&
			!fflush(stdout);
	}
	if (!fine)
		fprintf(stderr, "packtile: too little of the matrix, no memory, or stdout full\n");
	free(in);
	free(out);
	free(row);
	free(from);
	return !fine;
}
