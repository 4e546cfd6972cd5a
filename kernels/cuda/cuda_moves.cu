/* cuda_moves.cu -- copies and sums of single values: a thread for each.
 *
 * SPDX-License-Identifier: MIT */
#include "kernels/cuda/cuda.cuh"

struct embed_args {
	float *x;
	const uint16_t *row;
	uint64_t n;
	uint32_t dim;
};
extern "C" __global__ void k_embed(struct embed_args p)
{
	uint64_t i = this_thread(), t = i / p.dim;

	if (i >= p.n)
		return;
	for (uint32_t j = 0; j < DEV_HC; j++)
		p.x[(t * DEV_HC + j) * p.dim + i % p.dim] = num_bf16(p.row[i]);
}

static int embed(struct dev *d, const struct dev_embed *op, struct err *e)
{
	struct embed_args a = { op->x, op->row, (uint64_t)op->n * op->dim, op->dim };

	return cuda_each(d, k_embed, a.n, a, e);
}

struct gather_args {
	uint32_t *to;
	const uint32_t *from, *index;
	uint64_t n;
	uint32_t words;
};
extern "C" __global__ void k_gather(struct gather_args p)
{
	uint64_t i = this_thread();

	if (i < p.n)
		p.to[i] = p.from[(uint64_t)p.index[i / p.words] * p.words + i % p.words];
}

static int gather(struct dev *d, const struct dev_gather *op, struct err *e)
{
	struct gather_args a = { (uint32_t *)op->to, (const uint32_t *)op->from, op->index,
		(uint64_t)op->n * (op->bytes / 4), op->bytes / 4 };

	return cuda_each(d, k_gather, a.n, a, e);
}

struct scatter_args {
	float *y;
	const float *x;
	const uint32_t *index;
	uint64_t n;
	uint32_t dim;
};
extern "C" __global__ void k_scatter_add(struct scatter_args p)
{
	uint64_t i = this_thread(), at;

	if (i >= p.n)
		return;
	at = (uint64_t)p.index[i / p.dim] * p.dim + i % p.dim;
	p.y[at] = p.y[at] + p.x[i];
}

static int scatter_add(struct dev *d, const struct dev_scatter_add *op, struct err *e)
{
	struct scatter_args a = { op->y, op->x, op->index, (uint64_t)op->n * op->dim, op->dim };

	return cuda_each(d, k_scatter_add, a.n, a, e);
}

struct add_args {
	float *y;
	const float *a, *b;
	uint64_t n;
};
extern "C" __global__ void k_add(struct add_args p)
{
	uint64_t i = this_thread();

	if (i < p.n)
		p.y[i] = fm_bf16(p.a[i] + p.b[i]);
}

static int add(struct dev *d, const struct dev_add *op, struct err *e)
{
	struct add_args p = { op->y, op->a, op->b, op->n };

	return cuda_each(d, k_add, op->n, p, e);
}

struct scale_args {
	float *x;
	uint64_t n;
	float c;
};
extern "C" __global__ void k_scale(struct scale_args p)
{
	uint64_t i = this_thread();

	if (i < p.n)
		p.x[i] = fm_bf16(p.x[i] * p.c);
}

static int scale(struct dev *d, const struct dev_scale *op, struct err *e)
{
	struct scale_args a = { op->x, op->n, op->c };

	return cuda_each(d, k_scale, op->n, a, e);
}

void cuda_moves(struct dev *d)
{
	d->embed = embed;
	d->gather = gather;
	d->scatter_add = scatter_add;
	d->add = add;
	d->scale = scale;
}
