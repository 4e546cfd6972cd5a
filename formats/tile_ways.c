/* tile_ways.c -- which way of packing a layout is taken: the table of all of them, best first.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/tile.h"

#include <string.h>

static const struct tile_way ways[] = {
	{ "", "plain", 0, tile_pack, tile_unpack },
};
enum { N_WAYS = sizeof ways / sizeof *ways };

static bool is_for(const struct tile_way *w, const struct tile *t)
{
	return !strncmp(w->tile, t->name, strlen(w->tile));
}

const struct tile_way *tile_way(const struct tile *t, unsigned i)
{
	unsigned k;

	for (k = 0; k < N_WAYS; k++)
		if (is_for(&ways[k], t) && !i--)
			return &ways[k];
	return NULL;
}

/* What all ways but the plain one ask for. */
static bool whole(const struct tile *t, struct tile_dim d)
{
	return d.rows % t->row_unit == 0 && d.cols % t->col_unit == 0;
}

tile_pack_fn *tile_packer(const struct tile *t, struct tile_dim d, unsigned features)
{
	const struct tile_way *w;
	unsigned i;

	for (i = 0; whole(t, d) && (w = tile_way(t, i)); i++)
		if (w->pack && (w->needs & features) == w->needs)
			return w->pack;
	return tile_pack;
}

tile_unpack_fn *tile_unpacker(const struct tile *t, struct tile_dim d, unsigned features)
{
	const struct tile_way *w;
	unsigned i;

	for (i = 0; whole(t, d) && (w = tile_way(t, i)); i++)
		if (w->unpack && (w->needs & features) == w->needs)
			return w->unpack;
	return tile_unpack;
}
