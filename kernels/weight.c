/* SPDX-License-Identifier: MIT */
#include "kernels/weight.h"

/* clang-format off */
const struct weight_form weight_forms[WEIGHT_TYPES] = {
	/*                 name   bits rows cols  sum */
	[WEIGHT_FP4]   = { "FP4",    4,   1,  32,  32 },
	[WEIGHT_FP8]   = { "FP8",    8, 128, 128, 128 },
	[WEIGHT_BF16]  = { "BF16",  16,   0,   0,  32 },
	[WEIGHT_F32]   = { "F32",   32,   0,   0,  32 },
	[WEIGHT_MXFP8] = { "MXFP8",  8,   1,  32,  32 },
	[WEIGHT_NVFP4] = { "NVFP4",  4,   1,  16,  32 },
};
/* clang-format on */

struct weight weight_rows(const struct weight *w, uint32_t row, uint32_t n)
{
	const struct weight_form *f = &weight_forms[w->type];
	struct weight v = *w;

	v.rows = n;
	v.codes = (const uint8_t *)w->codes + (uint64_t)row * w->cols * f->bits / 8;
	if (f->cols)
		v.scales = (const uint8_t *)w->scales +
			(uint64_t)(row / f->rows) * ((w->cols + f->cols - 1) / f->cols) *
				(w->f32_scales ? sizeof(float) : 1);
	return v;
}
