/* SPDX-License-Identifier: MIT */
#include "kernels/forward/recast.h"

#include "quant/recode.h"

#include <stdlib.h>
#include <string.h>

/* Row by row, a band at a time; false where a scale is NaN or a value would change. */
static bool cast(struct recoder *r, const uint8_t *codes, const uint8_t *scales, uint32_t rows,
	uint8_t *fp8, uint8_t *fp8_scales)
{
	const struct recode *how = r->how;
	size_t from = (size_t)codec_row_bytes(how->from, r->cols),
	       to = (size_t)codec_row_bytes(how->to, r->cols), b, blocks = r->cols / how->cols;
	uint64_t dim[2];
	uint32_t row;

	codec_scale_dim(how->from, how->rows, r->cols, dim); /* of a band */
	for (row = 0; row < rows; row++, codes += from, fp8 += to) {
		if (row % how->rows == 0) {
			if (recoder_band(r, scales) >= 0)
				return false;
			memcpy(fp8_scales, r->to_scales, blocks);
			scales += dim[0] * dim[1];
			fp8_scales += blocks;
		}
		(void)recoder_row(r, row % how->rows, codes, fp8); /* E2M1 has no NaN */
		for (b = 0; b < blocks; b++)
			if (recode_inexact(r->verdict[b]))
				return false;
	}
	return true;
}

int recast(const uint8_t *codes, const uint8_t *scales, uint32_t rows, uint32_t cols, uint8_t *fp8,
	uint8_t *fp8_scales, struct err *e)
{
	const struct recode *how = recode_find(CODEC_MXFP4, CODEC_FP8);
	void *room = malloc(recode_room(how, cols));
	struct recoder r;
	int rc;

	if (!room)
		return err_nomem(e);
	recoder_begin(&r, how, cols, room, 0);
	rc = cast(&r, codes, scales, rows, fp8, fp8_scales);
	free(room);
	return rc;
}
