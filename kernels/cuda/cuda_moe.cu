/* cuda_moe.cu -- choosing experts, and their activation.
 *
 * SPDX-License-Identifier: MIT */
#include "kernels/cuda/cuda.cuh"

enum { EXPERTS_MAX = 1024 };
struct gate_args {
	int32_t *id;
	float *weight;
	const float *logits, *bias;
	const int32_t *hash;
	uint32_t experts, k;
	float route_scale;
};

/* Of the experts not taken the best, the lowest id first; all lanes return it. */
static __device__ inline uint32_t best(const float *v, const uint8_t *taken, uint32_t experts)
{
	uint32_t at = experts, other;
	float high = 0, h;

	for (uint32_t i = this_lane(); i < experts; i += 32) {
		if (!taken[i] && (at == experts || v[i] > high)) {
			at = i;
			high = v[i];
		}
	}
	for (int step = 16; step; step /= 2) {
		other = __shfl_xor_sync(WARP, at, step);
		h = __shfl_xor_sync(WARP, high, step);
		if (other < experts && (at == experts || h > high || (h == high && other < at))) {
			at = other;
			high = h;
		}
	}
	return at;
}

/* A warp, which is a block, for each token. */
extern "C" __global__ void k_gate(struct gate_args p)
{
	__shared__ float g[EXPERTS_MAX], v[EXPERTS_MAX];
	__shared__ uint8_t taken[EXPERTS_MAX];
	uint64_t t = blockIdx.x;
	float sum = 0;
	uint32_t i, at;

	for (i = this_lane(); i < p.experts; i += 32) {
		g[i] = sqrtf(fm_softplus(p.logits[t * p.experts + i]));
		v[i] = p.bias ? g[i] + p.bias[i] : g[i];
		taken[i] = 0;
	}
	__syncthreads();
	for (i = 0; i < p.k; i++) {
		at = p.hash ? (uint32_t)p.hash[t * p.k + i] : best(v, taken, p.experts);
		sum += g[at];
		__syncthreads(); /* all have looked */
		if (this_lane() == 0) {
			taken[at] = 1;
			p.id[t * p.k + i] = (int32_t)at;
		}
		__syncthreads();
	}
	for (i = this_lane(); i < p.k; i += 32)
		p.weight[t * p.k + i] = g[p.id[t * p.k + i]] / sum * p.route_scale;
}

static int gate(struct dev *d, const struct dev_gate *op, struct err *e)
{
	struct gate_args a = { op->id, op->weight, op->logits, op->bias, op->hash, op->experts,
		op->k, op->route_scale };

	if (op->experts > EXPERTS_MAX)
		return err_set(e, ERR_UNSUPPORTED, "CUDA: %u op->experts", op->experts);
	return cuda_launch(d, k_gate, op->n, 1, 32, a, e);
}

struct swiglu_args {
	float *a;
	const float *g, *u, *weight;
	uint64_t n;
	uint32_t dim;
	float limit;
};
extern "C" __global__ void k_swiglu(struct swiglu_args p)
{
	uint64_t i = this_thread();
	float x, y, v;

	if (i >= p.n)
		return;
	x = p.g[i];
	y = p.u[i];
	if (p.limit > 0.0f) {
		x = x > p.limit ? p.limit : x;
		y = y > p.limit ? p.limit : y < -p.limit ? -p.limit : y;
	}
	v = x / (1.0f + fm_exp(-x)) * y;
	p.a[i] = fm_bf16(p.weight ? p.weight[i / p.dim] * v : v);
}

static int swiglu(struct dev *d, const struct dev_swiglu *op, struct err *e)
{
	struct swiglu_args p = { op->a, op->g, op->u, op->weight, (uint64_t)op->n * op->dim,
		op->dim, op->limit };

	return cuda_each(d, k_swiglu, p.n, p, e);
}

void cuda_moe(struct dev *d)
{
	d->gate = gate;
	d->swiglu = swiglu;
}
