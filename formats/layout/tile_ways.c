/* tile_ways.c -- which way of packing a layout is taken: the table of all of them, best first.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "formats/layout/tile_fast.h"

#include <string.h>

#define PAIR(name) name##_pack, name##_unpack

/* clang-format off */
static const struct tile_way ways[] = {
	{ "marlin4-a16", "avx-512", CPU_AVX512, PAIR(tile_marlin4_avx512) },
	{ "marlin4-a16", "avx2", CPU_AVX2, PAIR(tile_marlin4_avx2) },
	{ "sf128x4*", "avx-512", CPU_AVX512, PAIR(tile_words_avx512) },
	{ "sf128x4*", "avx2", CPU_AVX2, PAIR(tile_words_avx2) },
	{ "flashinfer-sm90-sf", "avx-512", CPU_AVX512, PAIR(tile_words_avx512) },
	{ "flashinfer-sm90-sf", "avx2", CPU_AVX2, PAIR(tile_words_avx2) },
	{ "b12x-w4a8-sf", "avx-512", CPU_AVX512, PAIR(tile_words_avx512) },
	{ "b12x-w4a8-sf", "avx2", CPU_AVX2, PAIR(tile_words_avx2) },
	{ "frag-k32-sf-*", "avx-512", CPU_AVX512, PAIR(tile_words_avx512) },
	{ "frag-k32-sf-*", "avx2", CPU_AVX2, PAIR(tile_words_avx2) },
	{ "b12x-w4a8", "avx-512", CPU_AVX512, PAIR(tile_frag_avx512) },
	{ "b12x-w4a8", "avx2", CPU_AVX2, PAIR(tile_frag_avx2) },
	{ "frag-k32-256", "avx-512", CPU_AVX512, PAIR(tile_frag_avx512) },
	{ "frag-k32-256", "avx2", CPU_AVX2, PAIR(tile_frag_avx2) },
	{ "frag-k32-128", "avx-512", CPU_AVX512, PAIR(tile_frag_avx512) },
	{ "frag-k32-128", "avx2", CPU_AVX2, PAIR(tile_frag_avx2) },
	{ "frag-k32-64", "avx-512", CPU_AVX512, PAIR(tile_frag_avx512) },
	{ "frag-k32-64", "avx2", CPU_AVX2, PAIR(tile_frag_avx2) },
	{ "rows", "lines", 0, PAIR(tile_line) },
	{ "marlin-sf-a16", "8 x 8 bytes", 0, PAIR(tile_bytes8) },
	{ "sf128x4*", "words", 0, PAIR(tile_pieces4) },
	{ "deepgemm-sm100-sf", "words", 0, PAIR(tile_pieces4) },
	{ "flashinfer-sm90-sf", "words", 0, PAIR(tile_pieces4) },
	{ "b12x-w4a8*", "words", 0, PAIR(tile_pieces4) },
	{ "frag-k32-*", "words", 0, PAIR(tile_pieces4) },
	{ "aiter-16x16", "16 bytes", 0, PAIR(tile_pieces16) },
	{ "triton-hopper", "words", 0, PAIR(tile_twisted) },
	{ "flashinfer-sm90", "words", 0, PAIR(tile_twisted) },
	{ "*", "split", 0, PAIR(tile_split) },
	{ "*", "plain", 0, tile_pack, tile_unpack },
};
/* clang-format on */
enum { N_WAYS = sizeof ways / sizeof *ways };

static bool is_for(const struct tile_way *w, const struct tile *t)
{
	size_t n = strlen(w->tile);

	if (w->tile[n - 1] == '*')
		return !strncmp(w->tile, t->name, n - 1);
	return !strcmp(w->tile, t->name);
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
