/* Stands in for signs_x86.c on other processors. cpu_none.c reports no feature, so it is not called.
 * SPDX-License-Identifier: MIT */
#include "quant/signs.h"

#include <stdlib.h>

void signs_add_avx2(struct signs *s, const uint8_t *src, size_t n)
{
	(void)s, (void)src, (void)n;
	abort();
}

void signs_add_bmi2(struct signs *s, const uint8_t *src, size_t n)
{
	(void)s, (void)src, (void)n;
	abort();
}
