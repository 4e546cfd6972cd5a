/* wide_dot.c -- the rows of ref_*.c that sum products, compiled with every dot product in double and rounded once:
 * another legal order of the same sums, whose distance from the first is what rounding makes of a model.
 *
 * SPDX-License-Identifier: MIT */
#define REF_WIDE
#include "kernels/ref/ref.h"

float ref_dot(const float *a, const float *b, uint64_t n)
{
	double lane[8] = { 0 }; /* as many as a compiler makes vectors of */
	uint64_t k;
	uint32_t i;

	for (k = 0; k + 8 <= n; k += 8)
		for (i = 0; i < 8; i++)
			lane[i] += (double)a[k + i] * (double)b[k + i];
	for (i = 0; k + i < n; i++)
		lane[i] += (double)a[k + i] * (double)b[k + i];
	return (float)(((lane[0] + lane[4]) + (lane[1] + lane[5])) +
		((lane[2] + lane[6]) + (lane[3] + lane[7])));
}

void wide_rows(struct dev *d, enum dev_order order)
{
	struct dev was = *d;

	ref_norm(d);
	ref_hc(d);
	if (order == DEV_ORDER_WIDE_NORMS)
		return;
	ref_compress(d);
	ref_attn(d);
	ref_linear(d);
	d->act_quant = was.act_quant;
	d->linear_q =
		was.linear_q; /* products of codes are exact, and almost every order gives their sum */
}
