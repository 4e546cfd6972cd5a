/* SPDX-License-Identifier: MIT */
#include "kernels/fmath.h"
#include "kernels/ref/ref.h"

#include <string.h>

static int embed(struct dev *dev, const struct dev_embed *op, struct err *e)
{
	uint64_t t;
	uint32_t j, d;

	(void)dev, (void)e;
	for (t = 0; t < op->n; t++)
		for (j = 0; j < DEV_HC; j++)
			for (d = 0; d < op->dim; d++)
				op->x[(t * DEV_HC + j) * op->dim + d] =
					num_bf16(op->row[t * op->dim + d]);
	return 0;
}

static int gather(struct dev *dev, const struct dev_gather *op, struct err *e)
{
	uint64_t i;

	(void)dev, (void)e;
	for (i = 0; i < op->n; i++)
		memcpy((uint8_t *)op->to + i * op->bytes,
			(const uint8_t *)op->from + (uint64_t)op->index[i] * op->bytes, op->bytes);
	return 0;
}

static int scatter_add(struct dev *dev, const struct dev_scatter_add *op, struct err *e)
{
	uint64_t i;
	uint32_t d;

	(void)dev, (void)e;
	for (i = 0; i < op->n; i++)
		for (d = 0; d < op->dim; d++)
			op->y[(uint64_t)op->index[i] * op->dim + d] += op->x[i * op->dim + d];
	return 0;
}

static int add(struct dev *dev, const struct dev_add *op, struct err *e)
{
	uint64_t i;

	(void)dev, (void)e;
	for (i = 0; i < op->n; i++)
		op->y[i] = fm_bf16(op->a[i] + op->b[i]);
	return 0;
}

static int scale(struct dev *dev, const struct dev_scale *op, struct err *e)
{
	uint64_t i;

	(void)dev, (void)e;
	for (i = 0; i < op->n; i++)
		op->x[i] = fm_bf16(op->x[i] * op->c);
	return 0;
}

void ref_moves(struct dev *d)
{
	d->embed = embed;
	d->gather = gather;
	d->scatter_add = scatter_add;
	d->add = add;
	d->scale = scale;
}
