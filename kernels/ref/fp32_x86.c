/* fp32_x86.c -- the rows of fp32.c that were compiled with -mavx2 -mfma: the same bits.
 *
 * SPDX-License-Identifier: MIT */
#define REF_FP32
#define REF_FMA
#include "kernels/ref/ref.h"

void fp32fma_rows(struct dev *d)
{
	ref_moves(d);
	ref_hc(d);
	ref_norm(d);
	ref_linear(d);
	ref_compress(d);
	ref_attn(d);
	ref_moe(d);
}
