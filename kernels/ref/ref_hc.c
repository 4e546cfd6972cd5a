/* SPDX-License-Identifier: MIT */
#include "kernels/fmath.h"
#include "kernels/ref/ref.h"

#include <math.h>

/* 1 / sqrt of the mean square, and the products with m rows of fn times it. */
static void mixes(float *mix, const float *v, const float *fn, uint32_t m, uint64_t len, float eps)
{
	float rho = 1.0f / sqrtf(ref_dot(v, v, len) / (float)len + eps);
	uint32_t i;

	for (i = 0; i < m; i++)
		mix[i] = ref_dot(fn + i * len, v, len) * rho;
}

static void pre_of(float *pre, const float *mix, float scale, const float *base, float hc_eps)
{
	uint32_t j;

	for (j = 0; j < DEV_HC; j++)
		pre[j] = fm_sigmoid(fmaf(mix[j], scale, base[j])) + hc_eps;
}

static void mix_streams(float *y, const float *x, const float *pre, uint32_t dim)
{
	uint32_t d;

	for (d = 0; d < dim; d++)
		y[d] = fm_bf16(((pre[0] * x[d] + pre[1] * x[dim + d]) + pre[2] * x[2 * dim + d]) +
			pre[3] * x[3 * dim + d]);
}

static void row_softmax(float *row, float hc_eps)
{
	float max = row[0], sum = 0;
	uint32_t k;

	for (k = 1; k < DEV_HC; k++)
		max = row[k] > max ? row[k] : max;
	for (k = 0; k < DEV_HC; k++) {
		row[k] = fm_exp(row[k] - max);
		sum += row[k];
	}
	for (k = 0; k < DEV_HC; k++)
		row[k] = row[k] / sum + hc_eps;
}

/* Four values step apart, divided by their sum. */
static void normalize(float *c, uint32_t step, float hc_eps)
{
	float sum = 0;
	uint32_t k;

	for (k = 0; k < DEV_HC; k++)
		sum += c[k * step];
	sum += hc_eps;
	for (k = 0; k < DEV_HC; k++)
		c[k * step] /= sum;
}

static void sinkhorn(float *c, uint32_t iters, float hc_eps)
{
	uint32_t i, j;

	for (j = 0; j < DEV_HC; j++)
		row_softmax(c + j * DEV_HC, hc_eps);
	for (i = 0; i < iters; i++) {
		for (j = 0; i && j < DEV_HC; j++)
			normalize(c + j * DEV_HC, 1, hc_eps);
		for (j = 0; j < DEV_HC; j++)
			normalize(c + j, DEV_HC, hc_eps);
	}
}

static int hc_pre(struct dev *dev, const struct dev_hc_pre *op, struct err *e)
{
	uint64_t len = (uint64_t)DEV_HC * op->dim;
	float mix[DEV_MIX], pre[DEV_HC], *c;
	uint32_t t, j;

	(void)dev, (void)e;
	for (t = 0; t < op->n; t++) {
		mixes(mix, op->x + t * len, op->fn, DEV_MIX, len, op->eps);
		pre_of(pre, mix, op->scale[0], op->base, op->hc_eps);
		for (j = 0; j < DEV_HC; j++)
			op->post[t * DEV_HC + j] = 2.0f *
				fm_sigmoid(fmaf(mix[DEV_HC + j], op->scale[1],
					op->base[DEV_HC + j]));
		c = op->comb + t * DEV_HC * DEV_HC;
		for (j = 0; j < DEV_HC * DEV_HC; j++)
			c[j] = fmaf(mix[2 * DEV_HC + j], op->scale[2], op->base[2 * DEV_HC + j]);
		sinkhorn(c, op->iters, op->hc_eps);
		mix_streams(op->y + (uint64_t)t * op->dim, op->x + t * len, pre, op->dim);
	}
	return 0;
}

static int hc_post(struct dev *dev, const struct dev_hc_post *op, struct err *e)
{
	float *v, old[DEV_HC], in;
	const float *c, *p;
	uint32_t t, d, k;

	(void)dev, (void)e;
	for (t = 0; t < op->n; t++) {
		v = op->x + (uint64_t)t * DEV_HC * op->dim;
		c = op->comb + t * DEV_HC * DEV_HC;
		p = op->post + t * DEV_HC;
		for (d = 0; d < op->dim; d++) {
			for (k = 0; k < DEV_HC; k++)
				old[k] = v[k * op->dim + d];
			in = op->o[(uint64_t)t * op->dim + d];
			for (k = 0; k < DEV_HC; k++)
				v[k * op->dim + d] = fm_bf16(p[k] * in +
					(((c[k] * old[0] + c[4 + k] * old[1]) + c[8 + k] * old[2]) +
						c[12 + k] * old[3]));
		}
	}
	return 0;
}

static int hc_head(struct dev *dev, const struct dev_hc_head *op, struct err *e)
{
	uint64_t len = (uint64_t)DEV_HC * op->dim;
	float mix[DEV_HC], pre[DEV_HC];
	uint32_t t;

	(void)dev, (void)e;
	for (t = 0; t < op->n; t++) {
		mixes(mix, op->x + t * len, op->fn, DEV_HC, len, op->eps);
		pre_of(pre, mix, op->scale[0], op->base, op->hc_eps);
		mix_streams(op->y + (uint64_t)t * op->dim, op->x + t * len, pre, op->dim);
	}
	return 0;
}

void ref_hc(struct dev *d)
{
	d->hc_pre = hc_pre;
	d->hc_post = hc_post;
	d->hc_head = hc_head;
}
