/* Stands in for tile_avx2.c and tile_avx512.c on other processors. The rows that name these need
 * features which cpu_none.c never reports, so they are not called.
 * SPDX-License-Identifier: MIT */
#include "formats/layout/tile_fast.h"

#include <stdlib.h>

static void none(const struct tile_call *c, bool back)
{
	(void)c, (void)back;
	abort();
}

TILE_PAIR(tile_marlin4_avx2, none)
TILE_PAIR(tile_frag_avx2, none)
TILE_PAIR(tile_words_avx2, none)
TILE_PAIR(tile_marlin4_avx512, none)
TILE_PAIR(tile_frag_avx512, none)
TILE_PAIR(tile_words_avx512, none)
