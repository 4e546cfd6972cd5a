/* cuda.cuh -- what the .cu files share: launching, and what a warp does together.
 *
 * Rules for all of them: a kernel has one parameter, a struct; blocks are one-dimensional and static shared
 * memory is all there is; a warp exchanges only where all 32 lanes are; no inline PTX, no lockstep.
 * What a kernel computes stands in dev.h, its plain twin in ref_*.c; here only how it is divided.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_CUDA_CUDA_CUH
#define KERNELS_CUDA_CUDA_CUH
#include <cuda_runtime.h>

#include "kernels/cuda/cuda.h"
#include "kernels/fmath.h"

enum { CUDA_STAGES = 2, CUDA_WARPS = 4, CUDA_THREADS = 32 * CUDA_WARPS };

/* What dev.ctx points to. */
struct cuda_dev {
	cudaStream_t stream;
	void *stage[CUDA_STAGES];         /* pinned */
	cudaEvent_t free_at[CUDA_STAGES]; /* the stage was copied to the device */
	unsigned turn;
	void *table; /* of a linear's layouts, on the device */
	size_t table_size;
};

/* cuda.cu */
int cuda_check(cudaError_t r, const char *what, struct err *e);
int cuda_put(struct dev *d, void *to, const void *from, size_t n, struct err *e);

/* The families, a file each. */
void cuda_moves(struct dev *d);
void cuda_hc(struct dev *d);
void cuda_norm(struct dev *d);
void cuda_linear(struct dev *d);
void cuda_compress(struct dev *d);
void cuda_attn(struct dev *d);
void cuda_moe(struct dev *d);

/* Blocks for n things, per of them in one. */
static inline unsigned cuda_blocks(uint64_t n, unsigned per)
{
	return (unsigned)((n + per - 1) / per);
}

/* x by y blocks; none: nothing to do. */
template <class A>
static int cuda_launch(struct dev *d, void (*kernel)(A), unsigned x, unsigned y, unsigned threads,
	A a, struct err *e)
{
	struct cuda_dev *c = (struct cuda_dev *)d->ctx;
	void *args[] = { &a };

	if (!x || !y)
		return 0;
	return cuda_check(cudaLaunchKernel(kernel, dim3(x, y), dim3(threads), args, 0, c->stream),
		"launch", e);
}

/* A thread for each of n values. */
template <class A>
static int cuda_each(struct dev *d, void (*kernel)(A), uint64_t n, A a, struct err *e)
{
	return cuda_launch(d, kernel, cuda_blocks(n, CUDA_THREADS), 1, CUDA_THREADS, a, e);
}

/* A warp for each of n rows. */
template <class A>
static int cuda_rows(struct dev *d, void (*kernel)(A), uint64_t n, A a, struct err *e)
{
	return cuda_launch(d, kernel, cuda_blocks(n, CUDA_WARPS), 1, CUDA_THREADS, a, e);
}

/* --- device --- */

#define WARP 0xffffffffu

static __device__ inline uint64_t this_thread()
{
	return (uint64_t)blockIdx.x * CUDA_THREADS + threadIdx.x;
}

static __device__ inline uint64_t this_warp()
{
	return (uint64_t)blockIdx.x * CUDA_WARPS + threadIdx.x / 32;
}

static __device__ inline uint32_t this_lane()
{
	return threadIdx.x % 32;
}

/* The xor tree; every lane has the result. */
static __device__ inline float warp_sum(float v)
{
	for (int step = 16; step; step /= 2)
		v = v + __shfl_xor_sync(WARP, v, step);
	return v;
}

static __device__ inline float warp_max(float v)
{
	for (int step = 16; step; step /= 2)
		v = fm_max(__shfl_xor_sync(WARP, v, step), v);
	return v;
}

/* dot of dev.h by a whole warp. */
static __device__ inline float warp_dot(const float *a, const float *b, uint64_t n)
{
	float v = 0.0f;

	for (uint64_t k = this_lane(); k < n; k += 32)
		v = fmaf(a[k], b[k], v);
	return warp_sum(v);
}
#endif
