/* Stands in for sha256_x86.c and sha256_avx512.c on other processors. The rows that name these need
 * features which cpu_none.c never reports, so they are not called.
 * SPDX-License-Identifier: MIT */
#include "core/hash/sha256.h"

#include <stdlib.h>

void sha256_blocks_shani(uint32_t (*state)[8], const uint8_t *const *p, size_t nblocks, unsigned n)
{
	(void)state, (void)p, (void)nblocks, (void)n;
	abort();
}

void sha256_blocks_x8(uint32_t (*state)[8], const uint8_t *const *p, size_t nblocks, unsigned n)
{
	(void)state, (void)p, (void)nblocks, (void)n;
	abort();
}

void sha256_blocks_x16(uint32_t (*state)[8], const uint8_t *const *p, size_t nblocks, unsigned n)
{
	(void)state, (void)p, (void)nblocks, (void)n;
	abort();
}
