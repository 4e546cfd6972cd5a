/* SPDX-License-Identifier: MIT */
#include "kernels/fmath.h"
#include "kernels/ref/ref.h"

#include <math.h>

static int rmsnorm(struct dev *dev, const struct dev_rmsnorm *op, struct err *e)
{
	float *y = op->y;
	const float *x = op->x;
	float rho;
	uint32_t t, d;

	(void)dev, (void)e;
	for (t = 0; t < op->n; t++, x += op->dim, y += op->dim) {
		rho = 1.0f / sqrtf(ref_dot(x, x, op->dim) / (float)op->dim + op->eps);
		for (d = 0; d < op->dim; d++)
			y[d] = fm_bf16(op->w[d] * (x[d] * rho));
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

static int head_norm(struct dev *dev, const struct dev_head_norm *op, struct err *e)
{
	float *x = op->x;
	float v, g;
	uint32_t t, d;

	(void)dev, (void)e;
	for (t = 0; t < op->n; t++, x += op->dim) {
		v = fm_bf16(sum_squares_rounded(x, op->dim) / (float)op->dim);
		g = fm_bf16(1.0f / sqrtf(fm_bf16(v + op->eps)));
		for (d = 0; d < op->dim; d++)
			x[d] = fm_bf16(x[d] * g);
	}
	return 0;
}

static int rope(struct dev *dev, const struct dev_rope *op, struct err *e)
{
	float a, b, c, s, *v;
	uint32_t t, h, i;

	(void)dev, (void)e;
	for (t = 0; t < op->n; t++)
		for (h = 0; h < op->heads; h++) {
			v = op->x + ((uint64_t)t * op->heads + h) * op->dim + op->dim -
				2 * op->pairs;
			for (i = 0; i < op->pairs; i++) {
				c = op->cos[(uint64_t)t * op->pairs + i];
				s = op->sin[(uint64_t)t * op->pairs + i];
				s = op->inverse ? -s : s;
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

static int fake_fp8(struct dev *dev, const struct dev_fake_fp8 *op, struct err *e)
{
	uint32_t t, b, i;
	float s, *v;

	(void)dev, (void)e;
	for (t = 0; t < op->n; t++)
		for (b = 0; b < op->cols; b += op->block) {
			v = op->x + (uint64_t)t * op->ld + b;
			s = fm_scale_fp8(amax(v, op->block));
			for (i = 0; i < op->block; i++)
				v[i] = fm_fake_fp8(v[i], s);
		}
	return 0;
}

static int fake_fp4(struct dev *dev, const struct dev_fake_fp4 *op, struct err *e)
{
	uint64_t b, all = (uint64_t)op->n * op->dim;
	uint32_t i;
	float s;

	(void)dev, (void)e;
	for (b = 0; b < all; b += 32) {
		s = fm_scale_fp4(amax(op->x + b, 32));
		for (i = 0; i < 32; i++)
			op->x[b + i] = fm_fake_fp4(op->x[b + i], s);
	}
	return 0;
}

static int hadamard(struct dev *dev, const struct dev_hadamard *op, struct err *e)
{
	float *x = op->x;
	float scale = 1.0f / sqrtf((float)op->dim), a, b;
	uint32_t t, step, i;

	(void)dev, (void)e;
	for (t = 0; t < op->n; t++, x += op->dim) {
		for (step = 1; step < op->dim; step *= 2)
			for (i = 0; i < op->dim; i++) {
				if (i & step)
					continue;
				a = x[i];
				b = x[i + step];
				x[i] = a + b;
				x[i + step] = a - b;
			}
		for (i = 0; i < op->dim; i++)
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
