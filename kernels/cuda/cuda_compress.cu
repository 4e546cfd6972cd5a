/* cuda_compress.cu -- compressed entries, and the indexer's choice among them.
 *
 * SPDX-License-Identifier: MIT */
#include "kernels/cuda/cuda.cuh"

struct compress_args {
	float *e;
	const float *kv, *sc, *ape;
	uint64_t n; /* channels of all entries */
	uint32_t first, ratio, dim, lap;
};

/* Candidate i of entry j: its token's place at this channel, or -1; and its row of ape. */
static __device__ inline int64_t candidate(const struct compress_args &p, uint64_t j, uint32_t i,
	uint32_t ch)
{
	bool old = p.lap == 2 && i < p.ratio;
	int64_t token = (int64_t)(j * p.ratio + i % p.ratio) - (old ? (int64_t)p.ratio : 0);

	return token < 0 ? -1
			 : token * (int64_t)(p.lap * p.dim) + (p.lap == 2 && !old ? p.dim : 0) + ch;
}

static __device__ inline float score_at(const struct compress_args &p, int64_t at, uint32_t i,
	uint32_t ch)
{
	uint32_t half = p.lap == 2 && i >= p.ratio ? p.dim : 0;

	return p.sc[at] + p.ape[(uint64_t)(i % p.ratio) * (p.lap * p.dim) + half + ch];
}

/* A thread for each channel of an entry. Exponentials are computed twice and never kept. */
extern "C" __global__ void k_compress(struct compress_args p)
{
	uint64_t id = this_thread(), j = p.first + id / p.dim;
	uint32_t ch = (uint32_t)(id % p.dim), n = p.lap * p.ratio, i;
	float max = -INFINITY, sum = 0, acc = 0;
	int64_t at;

	if (id >= p.n)
		return;
	for (i = 0; i < n; i++) {
		at = candidate(p, j, i, ch);
		if (at >= 0)
			max = fm_max(score_at(p, at, i, ch), max);
	}
	for (i = 0; i < n; i++) {
		at = candidate(p, j, i, ch);
		sum += at < 0 ? 0.0f : fm_exp(score_at(p, at, i, ch) - max);
	}
	for (i = 0; i < n; i++) {
		at = candidate(p, j, i, ch);
		if (at >= 0)
			acc = fmaf(fm_exp(score_at(p, at, i, ch) - max) / sum, p.kv[at], acc);
	}
	p.e[id] = fm_bf16(acc);
}

static int compress(struct dev *d, const struct dev_compress *op, struct err *e)
{
	struct compress_args a = { op->e, op->kv, op->sc, op->ape, (uint64_t)op->n * op->dim,
		op->first, op->ratio, op->dim, op->lap };

	return cuda_each(d, k_compress, a.n, a, e);
}

struct index_args {
	float *score;
	const float *q, *k, *w;
	uint64_t n; /* scores */
	uint32_t m, heads, dim, pos, ratio;
};
/* A warp for each score. */
extern "C" __global__ void k_index_score(struct index_args p)
{
	uint64_t id = this_warp(), t = id / p.m, j = id % p.m;
	const float *q = p.q + t * p.heads * p.dim, *w = p.w + t * p.heads;
	float lane = 0.0f, s;

	if (id >= p.n)
		return;
	if (j < (p.pos + t + 1) / p.ratio) {
		for (uint32_t h = 0; h < p.heads; h++) {
			s = fm_bf16(warp_dot(q + (uint64_t)h * p.dim, p.k + j * p.dim, p.dim));
			s = s > 0.0f ? s : 0.0f;
			if (h % 32 == this_lane())
				lane += fm_bf16(s * w[h]);
		}
		s = fm_bf16(warp_sum(lane));
	} else {
		s = -INFINITY;
	}
	if (this_lane() == 0)
		p.score[id] = s;
}

static int index_score(struct dev *d, const struct dev_index_score *op, struct err *e)
{
	struct index_args a = { op->score, op->q, op->k, op->w, (uint64_t)op->n * op->m, op->m,
		op->heads, op->dim, op->pos, op->ratio };

	return op->m ? cuda_rows(d, k_index_score, a.n, a, e) : 0;
}

struct topk_args {
	int32_t *pick;
	const float *score;
	uint32_t ld, m, k;
	int32_t base;
};
/* A thread for each score counts those that come before it: that is its place. Work grows with the square
 * of a row, and nothing needs to be sorted. */
extern "C" __global__ void k_topk(struct topk_args p)
{
	__shared__ float part[CUDA_THREADS];
	uint64_t t = blockIdx.y;
	const float *score = p.score + t * p.m;
	uint32_t j = blockIdx.x * CUDA_THREADS + threadIdx.x, before = 0, i, n;
	float mine = j < p.m ? score[j] : 0.0f;

	for (uint32_t from = 0; from < p.m; from += CUDA_THREADS) {
		__syncthreads();
		if (from + threadIdx.x < p.m)
			part[threadIdx.x] = score[from + threadIdx.x];
		__syncthreads();
		n = p.m - from < CUDA_THREADS ? p.m - from : (uint32_t)CUDA_THREADS;
		for (i = 0; i < n; i++)
			before += part[i] > mine || (part[i] == mine && from + i < j);
	}
	if (j < p.m && before < p.k)
		p.pick[t * p.ld + before] = mine > -INFINITY ? (int32_t)j + p.base : -1;
}

static int topk(struct dev *d, const struct dev_topk *op, struct err *e)
{
	struct topk_args a = { op->pick, op->score, op->ld, op->m, op->k, op->base };

	if (op->n > 65535)
		return err_set(e, ERR_UNSUPPORTED, "CUDA: %u tokens at once", op->n);
	return cuda_launch(d, k_topk, cuda_blocks(op->m, CUDA_THREADS), op->n, CUDA_THREADS, a, e);
}

void cuda_compress(struct dev *d)
{
	d->compress = compress;
	d->index_score = index_score;
	d->topk = topk;
}
