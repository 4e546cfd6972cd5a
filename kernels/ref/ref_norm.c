/* SPDX-License-Identifier: MIT */
#include "kernels/fmath.h"
#include "kernels/ref/ref.h"

#include <math.h>

static int rmsnorm(struct dev *dev, float *y, const float *x, const float *w, uint32_t n,
	uint32_t dim, float eps, struct err *e)
{
	float rho;
	uint32_t t, d;

	(void)dev, (void)e;
	for (t = 0; t < n; t++, x += dim, y += dim) {
		rho = 1.0f / sqrtf(ref_dot(x, x, dim) / (float)dim + eps);
		for (d = 0; d < dim; d++)
			y[d] = fm_bf16(w[d] * (x[d] * rho));
	}
	return 0;
}

/* The lanes of a dot with ones. */
static float sum_squares_rounded(const float *x, uint32_t dim)
{
	float lane[32] = { 0 };
	uint32_t d;

	for (d = 0; d < dim; d++)
		lane[d % 32] += fm_bf16(x[d] * x[d]);
	return fm_tree32(lane);
}

static int head_norm(struct dev *dev, float *x, uint32_t n, uint32_t dim, float eps, struct err *e)
{
	float v, g;
	uint32_t t, d;

	(void)dev, (void)e;
	for (t = 0; t < n; t++, x += dim) {
		v = fm_bf16(sum_squares_rounded(x, dim) / (float)dim);
		g = fm_bf16(1.0f / sqrtf(fm_bf16(v + eps)));
		for (d = 0; d < dim; d++)
			x[d] = fm_bf16(x[d] * g);
	}
	return 0;
}

static int rope(struct dev *dev, float *x, const float *cos, const float *sin, uint32_t n,
	uint32_t heads, uint32_t dim, uint32_t pairs, bool inverse, struct err *e)
{
	float a, b, c, s, *v;
	uint32_t t, h, i;

	(void)dev, (void)e;
	for (t = 0; t < n; t++)
		for (h = 0; h < heads; h++) {
			v = x + ((uint64_t)t * heads + h) * dim + dim - 2 * pairs;
			for (i = 0; i < pairs; i++) {
				c = cos[(uint64_t)t * pairs + i];
				s = sin[(uint64_t)t * pairs + i];
				s = inverse ? -s : s;
				a = v[2 * i];
				b = v[2 * i + 1];
				v[2 * i] = fm_bf16(a * c - b * s);
				v[2 * i + 1] = fm_bf16(a * s + b * c);
			}
		}
	return 0;
}

static float amax(const float *x, uint32_t n)
{
	float m = 0.0f;
	uint32_t i;

	for (i = 0; i < n; i++)
		m = fm_max(fm_abs(x[i]), m);
	return m;
}

static int fake_fp8(struct dev *dev, float *x, uint32_t n, uint32_t ld, uint32_t cols,
	uint32_t block, struct err *e)
{
	uint32_t t, b, i;
	float s, *v;

	(void)dev, (void)e;
	for (t = 0; t < n; t++)
		for (b = 0; b < cols; b += block) {
			v = x + (uint64_t)t * ld + b;
			s = fm_scale_fp8(amax(v, block));
			for (i = 0; i < block; i++)
				v[i] = fm_fake_fp8(v[i], s);
		}
	return 0;
}

static int fake_fp4(struct dev *dev, float *x, uint32_t n, uint32_t dim, struct err *e)
{
	uint64_t b, all = (uint64_t)n * dim;
	uint32_t i;
	float s;

	(void)dev, (void)e;
	for (b = 0; b < all; b += 32) {
		s = fm_scale_fp4(amax(x + b, 32));
		for (i = 0; i < 32; i++)
			x[b + i] = fm_fake_fp4(x[b + i], s);
	}
	return 0;
}

static int hadamard(struct dev *dev, float *x, uint32_t n, uint32_t dim, struct err *e)
{
	float scale = 1.0f / sqrtf((float)dim), a, b;
	uint32_t t, step, i;

	(void)dev, (void)e;
	for (t = 0; t < n; t++, x += dim) {
		for (step = 1; step < dim; step *= 2)
			for (i = 0; i < dim; i++) {
				if (i & step)
					continue;
				a = x[i];
				b = x[i + step];
				x[i] = a + b;
				x[i + step] = a - b;
			}
		for (i = 0; i < dim; i++)
			x[i] = fm_bf16(x[i] * scale);
	}
	return 0;
}

void ref_norm(struct dev *d)
{
	d->rmsnorm = rmsnorm;
	d->head_norm = head_norm;
	d->rope = rope;
	d->fake_fp8 = fake_fp8;
	d->fake_fp4 = fake_fp4;
	d->hadamard = hadamard;
}
