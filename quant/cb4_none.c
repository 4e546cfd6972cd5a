/* Stands in for cb4_x86.c on other processors. cpu_none.c reports no feature, so it is not called.
 * SPDX-License-Identifier: MIT */
#include "quant/cb4.h"

#include <stdlib.h>

size_t cb4_avx2(const struct cb4 *t, const uint8_t *codes, const uint8_t *scales, size_t cols,
	uint8_t *to, uint8_t *to_scales, bool *changed)
{
	(void)t, (void)codes, (void)scales, (void)cols, (void)to, (void)to_scales, (void)changed;
	abort();
}
