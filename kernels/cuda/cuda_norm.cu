/* cuda_norm.cu -- norms, rotation and rounding of rows: a warp for each row or block of a row.
 *
 * SPDX-License-Identifier: MIT */
#include "kernels/cuda/cuda.cuh"

struct rmsnorm_args {
	float *y;
	const float *x, *w;
	uint32_t n, dim;
	float eps;
};
extern "C" __global__ void k_rmsnorm(struct rmsnorm_args p)
{
	uint64_t t = this_warp();
	const float *x = p.x + t * p.dim;
	float rho;

	if (t >= p.n)
		return;
	rho = 1.0f / sqrtf(warp_dot(x, x, p.dim) / (float)p.dim + p.eps);
	for (uint32_t d = this_lane(); d < p.dim; d += 32)
		p.y[t * p.dim + d] = fm_bf16(p.w[d] * (x[d] * rho));
}

static int rmsnorm(struct dev *d, const struct dev_rmsnorm *op, struct err *e)
{
	struct rmsnorm_args a = { op->y, op->x, op->w, op->n, op->dim, op->eps };

	return cuda_rows(d, k_rmsnorm, op->n, a, e);
}

struct head_args {
	float *x;
	uint32_t n, dim;
	float eps;
};
extern "C" __global__ void k_head_norm(struct head_args p)
{
	uint64_t t = this_warp();
	float *x = p.x + t * p.dim, v = 0.0f, g;

	if (t >= p.n)
		return;
	for (uint32_t d = this_lane(); d < p.dim; d += 32)
		v += fm_bf16(x[d] * x[d]);
	v = fm_bf16(warp_sum(v) / (float)p.dim);
	g = fm_bf16(1.0f / sqrtf(fm_bf16(v + p.eps)));
	for (uint32_t d = this_lane(); d < p.dim; d += 32)
		x[d] = fm_bf16(x[d] * g);
}

static int head_norm(struct dev *d, const struct dev_head_norm *op, struct err *e)
{
	struct head_args a = { op->x, op->n, op->dim, op->eps };

	return cuda_rows(d, k_head_norm, op->n, a, e);
}

struct rope_args {
	float *x;
	const float *cos, *sin;
	uint64_t n;
	uint32_t heads, dim, pairs, inverse;
};
/* A thread for each pair. */
extern "C" __global__ void k_rope(struct rope_args p)
{
	uint64_t i = this_thread(), row = i / p.pairs, at = row / p.heads * p.pairs + i % p.pairs;
	float *v = p.x + row * p.dim + p.dim - 2 * p.pairs + 2 * (i % p.pairs), a, b, c, s;

	if (i >= p.n)
		return;
	c = p.cos[at];
	s = p.inverse ? -p.sin[at] : p.sin[at];
	a = v[0];
	b = v[1];
	v[0] = fm_bf16(a * c - b * s);
	v[1] = fm_bf16(a * s + b * c);
}

static int rope(struct dev *d, const struct dev_rope *op, struct err *e)
{
	struct rope_args a = { op->x, op->cos, op->sin, (uint64_t)op->n * op->heads * op->pairs,
		op->heads, op->dim, op->pairs, op->inverse };

	return op->pairs ? cuda_each(d, k_rope, a.n, a, e) : 0;
}

struct fake_args {
	float *x;
	uint64_t blocks;
	uint32_t per_row, ld, block, fp4;
};
/* A warp for each block of columns that share a scale. */
extern "C" __global__ void k_fake(struct fake_args p)
{
	uint64_t i = this_warp();
	float *x = p.x + i / p.per_row * p.ld + i % p.per_row * p.block, s, max = 0.0f;

	if (i >= p.blocks)
		return;
	for (uint32_t k = this_lane(); k < p.block; k += 32)
		max = fm_max(fm_abs(x[k]), max);
	max = warp_max(max);
	s = p.fp4 ? fm_scale_fp4(max) : fm_scale_fp8(max);
	for (uint32_t k = this_lane(); k < p.block; k += 32)
		x[k] = p.fp4 ? fm_fake_fp4(x[k], s) : fm_fake_fp8(x[k], s);
}

static int fake_fp8(struct dev *d, const struct dev_fake_fp8 *op, struct err *e)
{
	struct fake_args a = { op->x, (uint64_t)op->n * (op->cols / op->block),
		op->cols / op->block, op->ld, op->block, 0 };

	return cuda_rows(d, k_fake, a.blocks, a, e);
}

static int fake_fp4(struct dev *d, const struct dev_fake_fp4 *op, struct err *e)
{
	struct fake_args a = { op->x, (uint64_t)op->n * (op->dim / 32), op->dim / 32, op->dim, 32,
		1 };

	return cuda_rows(d, k_fake, a.blocks, a, e);
}

enum { HADAMARD_MAX = 1024 };
struct hadamard_args {
	float *x;
	uint32_t dim;
	float scale;
};
/* A block for each row. */
extern "C" __global__ void k_hadamard(struct hadamard_args p)
{
	__shared__ float v[HADAMARD_MAX];
	float *x = p.x + (uint64_t)blockIdx.x * p.dim, a, b;

	for (uint32_t i = threadIdx.x; i < p.dim; i += blockDim.x)
		v[i] = x[i];
	for (uint32_t step = 1; step < p.dim; step *= 2) {
		__syncthreads();
		for (uint32_t k = threadIdx.x; k < p.dim / 2; k += blockDim.x) {
			uint32_t i = k / step * 2 * step + k % step;

			a = v[i];
			b = v[i + step];
			v[i] = a + b;
			v[i + step] = a - b;
		}
	}
	__syncthreads();
	for (uint32_t i = threadIdx.x; i < p.dim; i += blockDim.x)
		x[i] = fm_bf16(v[i] * p.scale);
}

static int hadamard(struct dev *d, const struct dev_hadamard *op, struct err *e)
{
	struct hadamard_args a = { op->x, op->dim, 1.0f / sqrtf((float)op->dim) };

	if (op->dim > HADAMARD_MAX)
		return err_set(e, ERR_UNSUPPORTED, "CUDA: a Hadamard transform of %u", op->dim);
	return cuda_launch(d, k_hadamard, op->n, 1, 64, a, e);
}

void cuda_norm(struct dev *d)
{
	d->rmsnorm = rmsnorm;
	d->head_norm = head_norm;
	d->rope = rope;
	d->fake_fp8 = fake_fp8;
	d->fake_fp4 = fake_fp4;
	d->hadamard = hadamard;
}
