/* Stands in for sha256_x86.c on other processors. The row that names it needs a feature which
 * cpu_none.c never reports, so it is not called.
 * SPDX-License-Identifier: MIT */
#include "core/sha256.h"

#include <stdlib.h>

void sha256_blocks_shani(uint32_t (*state)[8], const uint8_t *const *p, size_t nblocks,
	unsigned lanes)
{
	(void)state;
	(void)p;
	(void)nblocks;
	(void)lanes;
	abort();
}
