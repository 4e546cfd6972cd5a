/* cuda_attn.cu -- sparse attention: a warp for each head of a token, its output in registers.
 *
 * Lane l holds values l, l + 32, .. of the query and of the output, and columns l and l + 32 of a chunk.
 *
 * SPDX-License-Identifier: MIT */
#include "kernels/cuda/cuda.cuh"

enum { HOLD = 16, DIM_MAX = 32 * HOLD };

struct attend_args {
	float *o;
	const float *q, *kv;
	const int32_t *index;
	const float *sink;
	uint64_t n; /* heads of all tokens */
	uint32_t heads, dim, cols;
	float scale;
};

/* One chunk's scores: column i of it is in lane i mod 32, in s0 or s1. The greatest comes back. */
static __device__ inline float scores(const struct attend_args &p, const float *q,
	const int32_t *index, uint32_t n, float *s0, float *s1)
{
	uint32_t lane = this_lane();
	float v, max = -INFINITY;

	for (uint32_t c = 0; c < n; c++) {
		const float *row = p.kv + (int64_t)index[c] * p.dim;

		if (index[c] < 0)
			continue;
		v = 0.0f;
#pragma unroll
		for (int i = 0; i < HOLD; i++) {
			if (lane + 32 * i < p.dim)
				v = fmaf(q[i], row[lane + 32 * i], v);
		}
		v = warp_sum(v) * p.scale;
		max = fm_max(v, max);
		if (c % 32 == lane) {
			*s0 = c < 32 ? v : *s0;
			*s1 = c < 32 ? *s1 : v;
		}
	}
	return max;
}

extern "C" __global__ void k_attend(struct attend_args p)
{
	uint64_t id = this_warp(), t = id / p.heads;
	const float *from = p.q + id * p.dim;
	const int32_t *index = p.index + t * p.cols;
	uint32_t lane = this_lane(), n;
	float q[HOLD], o[HOLD], s0 = 0, s1 = 0, p0, p1, max = -INFINITY, sum = 0, high, again, w;

	if (id >= p.n)
		return;
#pragma unroll
	for (int i = 0; i < HOLD; i++) {
		q[i] = lane + 32 * i < p.dim ? from[lane + 32 * i] : 0.0f;
		o[i] = 0.0f;
	}
	for (uint32_t c = 0; c < p.cols; c += DEV_CHUNK, index += DEV_CHUNK) {
		n = p.cols - c < DEV_CHUNK ? p.cols - c : (uint32_t)DEV_CHUNK;
		high = fm_max(scores(p, q, index, n, &s0, &s1), max);
		if (!(high > -INFINITY))
			continue;
		again = max > -INFINITY ? fm_exp(max - high) : 0.0f;
		p0 = lane < n && index[lane] >= 0 ? fm_exp(s0 - high) : 0.0f;
		p1 = lane + 32 < n && index[lane + 32] >= 0 ? fm_exp(s1 - high) : 0.0f;
		sum = fmaf(sum, again, warp_sum(p0 + p1));
		max = high;
#pragma unroll
		for (int i = 0; i < HOLD; i++)
			o[i] = o[i] * again;
		p0 = fm_bf16(p0);
		p1 = fm_bf16(p1);
		for (uint32_t k = 0; k < n; k++) {
			const float *row = p.kv + (int64_t)index[k] * p.dim;

			w = __shfl_sync(WARP, k < 32 ? p0 : p1, (int)(k % 32));
			if (index[k] < 0)
				continue;
#pragma unroll
			for (int i = 0; i < HOLD; i++) {
				if (lane + 32 * i < p.dim)
					o[i] = fmaf(w, row[lane + 32 * i], o[i]);
			}
		}
	}
	sum = sum + fm_exp(p.sink[id % p.heads] - max);
#pragma unroll
	for (int i = 0; i < HOLD; i++) {
		if (lane + 32 * i < p.dim)
			p.o[id * p.dim + lane + 32 * i] = fm_bf16(o[i] / sum);
	}
}

static int attend(struct dev *d, const struct dev_attend *op, struct err *e)
{
	struct attend_args a = { op->o, op->q, op->kv, op->index, op->sink,
		(uint64_t)op->n * op->heads, op->heads, op->dim, op->cols, op->scale };

	if (op->dim > DIM_MAX)
		return err_set(e, ERR_UNSUPPORTED, "CUDA: op->heads of %u", op->dim);
	return cuda_rows(d, k_attend, a.n, a, e);
}

struct columns_args {
	int32_t *index;
	uint64_t n; /* columns of all tokens */
	uint32_t ld, pos, window, m, ratio;
	int32_t base;
};
extern "C" __global__ void k_columns(struct columns_args p)
{
	uint64_t id = this_thread(), t = id / (p.window + p.m);
	uint32_t c = (uint32_t)(id % (p.window + p.m)), at = p.pos + (uint32_t)t;
	uint32_t first = at > 127 ? at - 127 : 0, j = c - p.window;
	int32_t v;

	if (id >= p.n)
		return;
	if (c < p.window)
		v = first + c > at ? -1 : (int32_t)(first + c);
	else
		v = j < (at + 1) / p.ratio ? p.base + (int32_t)j : -1;
	p.index[t * p.ld + c] = v;
}

static int columns(struct dev *d, const struct dev_columns *op, struct err *e)
{
	struct columns_args a = { op->index, 0, op->ld, op->pos, op->window,
		op->with_all ? op->m : 0, op->ratio, op->base };

	a.n = (uint64_t)op->n * (op->window + a.m);
	return cuda_each(d, k_columns, a.n, a, e);
}

void cuda_attn(struct dev *d)
{
	d->columns = columns;
	d->attend = attend;
}
