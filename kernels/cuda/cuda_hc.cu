/* cuda_hc.cu -- hyper-connections. Mixing: a block for each token, a warp for each dot product with its
 * streams, one thread for the 4 x 4 matrix, all threads for the sum of streams.
 *
 * SPDX-License-Identifier: MIT */
#include "kernels/cuda/cuda.cuh"

struct hc_args {
	float *y, *post, *comb; /* the latter NULL: hc_head */
	const float *x, *fn, *scale, *base;
	uint32_t dim, mixes, iters;
	float eps, hc_eps;
};

static __device__ inline void softmax4(float *row, float hc_eps)
{
	float max = row[0], sum = 0;

	for (int k = 1; k < DEV_HC; k++)
		max = fm_max(row[k], max);
	for (int k = 0; k < DEV_HC; k++) {
		row[k] = fm_exp(row[k] - max);
		sum += row[k];
	}
	for (int k = 0; k < DEV_HC; k++)
		row[k] = row[k] / sum + hc_eps;
}

static __device__ inline void normalize4(float *c, int step, float hc_eps)
{
	float sum = 0;

	for (int k = 0; k < DEV_HC; k++)
		sum += c[k * step];
	sum += hc_eps;
	for (int k = 0; k < DEV_HC; k++)
		c[k * step] /= sum;
}

/* c in shared memory: one thread, so no barrier. */
static __device__ void sinkhorn(float *c, uint32_t iters, float hc_eps)
{
	for (int j = 0; j < DEV_HC; j++)
		softmax4(c + j * DEV_HC, hc_eps);
	for (uint32_t i = 0; i < iters; i++) {
		for (int j = 0; i && j < DEV_HC; j++)
			normalize4(c + j * DEV_HC, 1, hc_eps);
		for (int j = 0; j < DEV_HC; j++)
			normalize4(c + j, DEV_HC, hc_eps);
	}
}

/* dot[i] is that with row i of fn, the last that of x with itself; makes mix of them. */
static __device__ void weights(const struct hc_args &p, float *dot, float *pre, float *c)
{
	uint64_t t = blockIdx.x;
	float len = (float)(DEV_HC * (uint64_t)p.dim);
	float rho = 1.0f / sqrtf(dot[p.mixes] / len + p.eps);

	for (uint32_t i = 0; i < p.mixes; i++)
		dot[i] = dot[i] * rho;
	for (int j = 0; j < DEV_HC; j++)
		pre[j] = fm_sigmoid(fmaf(dot[j], p.scale[0], p.base[j])) + p.hc_eps;
	if (!p.comb)
		return;
	for (int j = DEV_HC; j < 2 * DEV_HC; j++)
		p.post[t * DEV_HC + j - DEV_HC] =
			2.0f * fm_sigmoid(fmaf(dot[j], p.scale[1], p.base[j]));
	for (int j = 0; j < DEV_HC * DEV_HC; j++)
		c[j] = fmaf(dot[2 * DEV_HC + j], p.scale[2], p.base[2 * DEV_HC + j]);
	sinkhorn(c, p.iters, p.hc_eps);
	for (int j = 0; j < DEV_HC * DEV_HC; j++)
		p.comb[t * DEV_HC * DEV_HC + j] = c[j];
}

extern "C" __global__ void k_hc_mix(struct hc_args p)
{
	__shared__ float dot[DEV_MIX + 1], pre[DEV_HC], c[DEV_HC * DEV_HC];
	uint64_t t = blockIdx.x, len = DEV_HC * (uint64_t)p.dim;
	const float *x = p.x + t * len;
	uint32_t row = threadIdx.x / 32;
	float v = warp_dot(row < p.mixes ? p.fn + row * len : x, x, len);

	if (this_lane() == 0)
		dot[row] = v;
	__syncthreads();
	if (threadIdx.x == 0)
		weights(p, dot, pre, c);
	__syncthreads();
	for (uint32_t d = threadIdx.x; d < p.dim; d += blockDim.x)
		p.y[t * p.dim + d] = fm_bf16(((pre[0] * x[d] + pre[1] * x[p.dim + d]) +
						     pre[2] * x[2 * p.dim + d]) +
			pre[3] * x[3 * p.dim + d]);
}

static int hc_pre(struct dev *d, const struct dev_hc_pre *op, struct err *e)
{
	struct hc_args a = { op->y, op->post, op->comb, op->x, op->fn, op->scale, op->base, op->dim,
		DEV_MIX, op->iters, op->eps, op->hc_eps };

	return cuda_launch(d, k_hc_mix, op->n, 1, 32 * (DEV_MIX + 1), a, e);
}

static int hc_head(struct dev *d, const struct dev_hc_head *op, struct err *e)
{
	struct hc_args a = { op->y, NULL, NULL, op->x, op->fn, op->scale, op->base, op->dim, DEV_HC,
		0, op->eps, op->hc_eps };

	return cuda_launch(d, k_hc_mix, op->n, 1, 32 * (DEV_HC + 1), a, e);
}

struct hc_post_args {
	float *x;
	const float *o, *post, *comb;
	uint64_t n;
	uint32_t dim;
};
/* A thread for each value of o: it owns the four streams there. */
extern "C" __global__ void k_hc_post(struct hc_post_args p)
{
	uint64_t i = this_thread(), t = i / p.dim;
	const float *c = p.comb + t * DEV_HC * DEV_HC, *w = p.post + t * DEV_HC;
	float *v = p.x + t * DEV_HC * p.dim + i % p.dim, x0, x1, x2, x3, in;

	if (i >= p.n)
		return;
	in = p.o[i];
	x0 = v[0];
	x1 = v[p.dim];
	x2 = v[2 * (uint64_t)p.dim];
	x3 = v[3 * (uint64_t)p.dim];
	for (uint32_t k = 0; k < DEV_HC; k++)
		v[k * (uint64_t)p.dim] = fm_bf16(w[k] * in +
			(((c[k] * x0 + c[4 + k] * x1) + c[8 + k] * x2) + c[12 + k] * x3));
}

static int hc_post(struct dev *d, const struct dev_hc_post *op, struct err *e)
{
	struct hc_post_args a = { op->x, op->o, op->post, op->comb, (uint64_t)op->n * op->dim,
		op->dim };

	return cuda_each(d, k_hc_post, a.n, a, e);
}

void cuda_hc(struct dev *d)
{
	d->hc_pre = hc_pre;
	d->hc_post = hc_post;
	d->hc_head = hc_head;
}
