/* fma_x86.c -- the rows of ref_*.c that were compiled with -mavx2 -mfma: the same sources, the same bits.
 *
 * SPDX-License-Identifier: MIT */
#define REF_FMA
#include "core/cpu.h"
#include "kernels/ref/ref.h"

void fma_rows(struct dev *d, unsigned features)
{
	if ((features & (CPU_AVX2 | CPU_FMA)) != (CPU_AVX2 | CPU_FMA))
		return;
	ref_moves(d);
	ref_hc(d);
	ref_norm(d);
	ref_linear(d);
	ref_compress(d);
	ref_attn(d);
	ref_moe(d);
}
