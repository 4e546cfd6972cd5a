/* SPDX-License-Identifier: MIT */
#include "kernels/fmath.h"
#include "kernels/ref/ref.h"

#include <math.h>

float ref_dot(const float *a, const float *b, uint64_t n)
{
	float lane[32] = { 0 };
	uint64_t k;
	uint32_t i;

	for (k = 0; k + 32 <= n; k += 32)
		for (i = 0; i < 32; i++)
			lane[i] = fmaf(a[k + i], b[k + i], lane[i]);
	for (i = 0; k + i < n; i++)
		lane[i] = fmaf(a[k + i], b[k + i], lane[i]);
	return fm_tree32(lane);
}
