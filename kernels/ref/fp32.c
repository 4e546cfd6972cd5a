/* fp32.c -- the rows of ref_*.c compiled without rounding to BF16: FP32 arithmetic in the same order of sums.
 *
 * SPDX-License-Identifier: MIT */
#define REF_FP32
#include "core/cpu.h"
#include "kernels/ref/ref.h"

static int keep_fp8(struct dev *d, const struct dev_fake_fp8 *op, struct err *e)
{
	(void)d, (void)op, (void)e;
	return 0;
}

static int keep_fp4(struct dev *d, const struct dev_fake_fp4 *op, struct err *e)
{
	(void)d, (void)op, (void)e;
	return 0;
}

void fp32_rows(struct dev *d, unsigned features)
{
	ref_moves(d);
	ref_hc(d);
	ref_norm(d);
	ref_linear(d);
	ref_compress(d);
	ref_attn(d);
	ref_moe(d);
	if ((features & (CPU_AVX2 | CPU_FMA)) == (CPU_AVX2 | CPU_FMA))
		fp32fma_rows(d);
	d->fake_fp8 = keep_fp8;
	d->fake_fp4 = keep_fp4;
	d->fp32 = true;
}
