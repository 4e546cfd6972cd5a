/* Stands in for uncast_x86.c on other processors. cpu_none.c reports no feature, so it is not called.
 * SPDX-License-Identifier: MIT */
#include "quant/uncast.h"

#include <stdlib.h>

void dropped_row_avx2(struct dropped *d, const uint8_t *src, const uint8_t *s, const uint8_t *t,
	size_t k)
{
	(void)d, (void)src, (void)s, (void)t, (void)k;
	abort();
}

void dropped_row_bmi2(struct dropped *d, const uint8_t *src, const uint8_t *s, const uint8_t *t,
	size_t k)
{
	(void)d, (void)src, (void)s, (void)t, (void)k;
	abort();
}
