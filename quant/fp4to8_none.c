/* Stands in for fp4to8_x86.c on other processors. The rows that name these need features which
 * cpu_none.c never reports, so they are not called.
 * SPDX-License-Identifier: MIT */
#include "quant/fp4to8.h"

#include <stdlib.h>

void fp4to8_row_avx2(const struct fp4to8_table *table, uint8_t *dst, const uint8_t *src,
	const uint8_t *s, const uint8_t *t, size_t k, enum fp4to8_block b)
{
	(void)table, (void)dst, (void)src, (void)s, (void)t, (void)k, (void)b;
	abort();
}

void fp4to8_row_avx512(const struct fp4to8_table *table, uint8_t *dst, const uint8_t *src,
	const uint8_t *s, const uint8_t *t, size_t k, enum fp4to8_block b)
{
	(void)table, (void)dst, (void)src, (void)s, (void)t, (void)k, (void)b;
	abort();
}
