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

static int gate(struct dev *dev, const struct dev_gate *op, struct err *e)
{
	int32_t *id = op->id;
	float *weight = op->weight;
	const float *logits = op->logits;
	float *g = malloc(op->experts * sizeof *g), sum;
	uint32_t t, i;

	(void)dev;
	if (!g)
		return err_nomem(e);
	for (t = 0; t < op->n; t++, id += op->k, weight += op->k, logits += op->experts) {
		for (i = 0; i < op->experts; i++)
			g[i] = sqrtf(fm_softplus(logits[i]));
		sum = 0;
		for (i = 0; i < op->k; i++) {
			id[i] = op->hash ? op->hash[(uint64_t)t * op->k + i]
					 : (int32_t)best(g, op->bias, id, i, op->experts);
			weight[i] = g[id[i]];
			sum += weight[i];
		}
		for (i = 0; i < op->k; i++)
			weight[i] = weight[i] / sum * op->route_scale;
	}
	free(g);
	return 0;
}

static int swiglu(struct dev *dev, const struct dev_swiglu *op, struct err *e)
{
	float *a = op->a;
	const float *g = op->g;
	const float *u = op->u;
	float x, y, v;
	uint32_t t, d;

	(void)dev, (void)e;
	for (t = 0; t < op->n; t++, a += op->dim, g += op->dim, u += op->dim)
		for (d = 0; d < op->dim; d++) {
			x = g[d];
			y = u[d];
			if (op->limit > 0.0f) {
				x = x > op->limit ? op->limit : x;
				y = y > op->limit ? op->limit : y < -op->limit ? -op->limit : y;
			}
			v = x / (1.0f + fm_exp(-x)) * y;
			a[d] = fm_bf16(op->weight ? op->weight[t] * v : v);
		}
	return 0;
}

void ref_moe(struct dev *d)
{
	d->gate = gate;
	d->swiglu = swiglu;
}
