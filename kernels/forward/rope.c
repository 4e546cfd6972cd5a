/* SPDX-License-Identifier: MIT */
#include "kernels/forward/rope.h"

#include <math.h>

/* The pair whose wave turns n times in the original context. */
static double pair_of(const struct params *p, double n)
{
	const double pi = 3.14159265358979323846;

	return p->rope_dim * log(p->yarn_original / (n * 2 * pi)) / (2 * log(p->theta_compress));
}

void rope_freqs(const struct params *p, bool compress, float *freq)
{
	double theta = compress ? p->theta_compress : p->theta, low, high;
	float ramp, smooth, f;
	uint32_t i, n = p->rope_dim / 2;

	low = fmax(floor(pair_of(p, p->beta_fast)), 0);
	high = fmin(ceil(pair_of(p, p->beta_slow)), p->rope_dim - 1);
	if (low == high)
		high += 0.001;
	for (i = 0; i < n; i++) {
		f = 1.0f / (float)pow(theta, (double)(2.0f * (float)i / (float)p->rope_dim));
		freq[i] = f;
		if (!compress)
			continue;
		ramp = ((float)i - (float)low) / (float)(high - low);
		ramp = ramp > 1.0f ? 1.0f : ramp < 0.0f ? 0.0f : ramp;
		smooth = 1.0f - ramp;
		freq[i] = f / (float)p->yarn_factor * (1.0f - smooth) + f * smooth;
	}
}

void rope_tables(const struct params *p, bool compress, uint64_t first, uint64_t step, uint32_t n,
	float *cosines, float *sines)
{
	uint32_t t, i, pairs = p->rope_dim / 2;
	float freq[PARAMS_ROPE_DIM / 2], angle;

	rope_freqs(p, compress, freq);
	for (t = 0; t < n; t++)
		for (i = 0; i < pairs; i++) {
			angle = (float)(first + t * step) * freq[i];
			cosines[(uint64_t)t * pairs + i] = (float)cos((double)angle);
			sines[(uint64_t)t * pairs + i] = (float)sin((double)angle);
		}
}
