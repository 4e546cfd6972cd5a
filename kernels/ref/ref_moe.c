/* SPDX-License-Identifier: MIT */
#include "kernels/fmath.h"
#include "kernels/ref/ref.h"

#include <math.h>
#include <stdlib.h>

/* Of the scores not yet taken the highest, the lowest id first. */
static uint32_t best(const float *g, const float *bias, const int32_t *taken, uint32_t n_taken,
	uint32_t experts)
{
	uint32_t x, i, at = experts;
	float v, high = 0;

	for (x = 0; x < experts; x++) {
		for (i = 0; i < n_taken && taken[i] != (int32_t)x; i++)
			;
		v = bias ? g[x] + bias[x] : g[x];
		if (i == n_taken && (at == experts || v > high)) {
			at = x;
			high = v;
		}
	}
	return at;
}

static int gate(struct dev *dev, int32_t *id, float *weight, const float *logits, const float *bias,
	const int32_t *hash, uint32_t n, uint32_t experts, uint32_t k, float route_scale,
	struct err *e)
{
	float *g = malloc(experts * sizeof *g), sum;
	uint32_t t, i;

	(void)dev;
	if (!g)
		return err_nomem(e);
	for (t = 0; t < n; t++, id += k, weight += k, logits += experts) {
		for (i = 0; i < experts; i++)
			g[i] = sqrtf(fm_softplus(logits[i]));
		sum = 0;
		for (i = 0; i < k; i++) {
			id[i] = hash ? hash[(uint64_t)t * k + i]
				     : (int32_t)best(g, bias, id, i, experts);
			weight[i] = g[id[i]];
			sum += weight[i];
		}
		for (i = 0; i < k; i++)
			weight[i] = weight[i] / sum * route_scale;
	}
	free(g);
	return 0;
}

static int swiglu(struct dev *dev, float *a, const float *g, const float *u, const float *weight,
	uint32_t n, uint32_t dim, float limit, struct err *e)
{
	float x, y, v;
	uint32_t t, d;

	(void)dev, (void)e;
	for (t = 0; t < n; t++, a += dim, g += dim, u += dim)
		for (d = 0; d < dim; d++) {
			x = g[d];
			y = u[d];
			if (limit > 0.0f) {
				x = x > limit ? limit : x;
				y = y > limit ? limit : y < -limit ? -limit : y;
			}
			v = x / (1.0f + fm_exp(-x)) * y;
			a[d] = fm_bf16(weight ? weight[t] * v : v);
		}
	return 0;
}

void ref_moe(struct dev *d)
{
	d->gate = gate;
	d->swiglu = swiglu;
}
