/* Stands in for table4_x86.c on other processors. cpu_none.c reports no feature, so it is not called.
 * SPDX-License-Identifier: MIT */
#include "quant/table4.h"

#include <stdlib.h>

struct table4_row table4_avx2(const struct table4 *t, const uint8_t *codes, const uint8_t *scales,
	size_t cols, uint8_t *to, uint8_t *to_scales, bool *changed)
{
	(void)t, (void)codes, (void)scales, (void)cols, (void)to, (void)to_scales, (void)changed;
	abort();
}
