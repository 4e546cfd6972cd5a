/* SPDX-License-Identifier: MIT */
#include "kernels/forward/recast.h"

#include "quant/fp4to8.h"

#include <stdlib.h>

/* Band by band; false where a value would change. */
static bool cast(const struct fp4to8_table *tab, const uint8_t *src, const uint8_t *sf,
	uint32_t rows, uint32_t cols, uint8_t *dst, uint8_t *t, uint8_t *verdict)
{
	const struct fp4to8_impl *way = fp4to8_best(0);
	uint32_t r, b, groups = cols / 32, blocks = cols / 128;

	for (r = 0; r < rows; r++) {
		uint8_t *tr = t + (uint64_t)(r / 128) * blocks;

		if (r % 128 == 0)
			(void)fp4to8_band(sf + (uint64_t)r * groups, cols, tr, verdict);
		for (b = 0; b < blocks; b++)
			if (verdict[b] == FP4TO8_LOW ||
				(verdict[b] == FP4TO8_DEPENDS &&
					fp4to8_row_loses(tab, src + (uint64_t)r * cols / 2,
						sf + (uint64_t)r * groups, tr, b)))
				return false;
		way->row(tab, dst + (uint64_t)r * cols, src + (uint64_t)r * cols / 2,
			sf + (uint64_t)r * groups, tr, cols);
	}
	return true;
}

int recast(const uint8_t *codes, const uint8_t *scales, uint32_t rows, uint32_t cols, uint8_t *fp8,
	uint8_t *fp8_scales, struct err *e)
{
	struct fp4to8_table *tab = malloc(sizeof *tab);
	uint8_t *verdict = malloc(cols / 128 + 1u);
	int rc = -1;

	if (tab && verdict) {
		fp4to8_table_make(tab);
		rc = cast(tab, codes, scales, rows, cols, fp8, fp8_scales, verdict);
	} else {
		err_nomem(e);
	}
	free(tab);
	free(verdict);
	return rc;
}
