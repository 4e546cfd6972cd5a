/* SPDX-License-Identifier: MIT */
#include "kernels/ref/ref.h"

#include "kernels/fmath.h"

#include <stdlib.h>
#include <string.h>

/* --- memory is memory --- */

static int ref_alloc(struct dev *dev, void **p, size_t n, struct err *e)
{
	(void)dev;
	*p = aligned_alloc(256, (n + 256) / 256 * 256);
	return *p ? 0 : err_nomem(e);
}

static void ref_release(struct dev *dev, void *p)
{
	(void)dev;
	free(p);
}

static int ref_copy(struct dev *dev, void *to, const void *from, size_t n, struct err *e)
{
	(void)dev, (void)e;
	if (n)
		memcpy(to, from, n);
	return 0;
}

static int ref_zero(struct dev *dev, void *p, size_t n, struct err *e)
{
	(void)dev, (void)e;
	if (n)
		memset(p, 0, n);
	return 0;
}

static int ref_sync(struct dev *dev, struct err *e)
{
	(void)dev, (void)e;
	return 0;
}

static void ref_close(struct dev *dev)
{
	memset(dev, 0, sizeof *dev);
}

/* --- moves --- */

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

int dev_open_ref(struct dev *d, struct err *e)
{
	(void)e;
	*d = (struct dev){ .name = "cpu",
		.host = true,
		.alloc = ref_alloc,
		.release = ref_release,
		.put = ref_copy,
		.get = ref_copy,
		.zero = ref_zero,
		.sync = ref_sync,
		.close = ref_close };
	ref_moves(d);
	ref_hc(d);
	ref_norm(d);
	ref_linear(d);
	ref_compress(d);
	ref_attn(d);
	ref_moe(d);
	return 0;
}
