/* probe.cu -- small kernels that try what the real ones are made of: the dot product of docs/numbers.md,
 * shared memory with barriers, and the address functions and number formats as device compilers see them.
 * Run by test_cuda like the kernels of kernels/; and the broken ones, which fibers must refuse.
 *
 * Host functions copy in, launch, copy out and return 0 or the CUDA error.
 *
 * SPDX-License-Identifier: MIT */
#include <cuda_runtime.h>

#include "formats/layout/tile_at.h"
#include "quant/num.h"
#include "tests/fiber/probe.h"

#define FULL 0xffffffffu

/* --- device --- */

struct args_dot {
	float *y;
	const float *a, *b;
	uint32_t rows, k;
};
/* Four warps a block, a warp for each row. */
extern "C" __global__ void k_probe_dot(struct args_dot p)
{
	uint32_t lane = threadIdx.x % 32, row = blockIdx.x * 4 + threadIdx.x / 32, i;
	float sum = 0;

	if (row >= p.rows)
		return;
	for (i = lane; i < p.k; i += 32)
		sum = fmaf(p.a[(uint64_t)row * p.k + i], p.b[i], sum);
	for (i = 16; i > 0; i /= 2)
		sum += __shfl_xor_sync(FULL, sum, (int)i);
	if (lane == 0)
		p.y[row] = sum;
}

struct args_turn {
	uint32_t *y;
	const uint32_t *x;
	uint32_t n;
};
/* Each block of 128 numbers backwards, each plus the block's sum and the number of odd ones in its warp. */
extern "C" __global__ void k_probe_turn(struct args_turn p)
{
	__shared__ uint32_t v[128], part[4];
	uint32_t t = threadIdx.x, i = blockIdx.x * 128 + t, x = i < p.n ? p.x[i] : 0, s = x, odd;

	odd = __ballot_sync(FULL, x & 1);
	for (uint32_t d = 16; d > 0; d /= 2)
		s += __shfl_down_sync(FULL, s, d);
	v[t] = x;
	if (t % 32 == 0)
		part[t / 32] = s;
	__syncthreads();
	for (x = 0; odd; odd &= odd - 1)
		x++;
	x += v[127 - t] + part[0] + part[1] + part[2] + part[3];
	if (i < p.n)
		p.y[i] = x;
}

static __device__ uint64_t probe_at(uint32_t which, struct tile_dim d, uint32_t r, uint32_t c)
{
	switch (which) {
#define PROBE_CASE(i, name) \
	case i:             \
		return tile_at_##name(d, r, c);
		PROBE_LAYOUTS(PROBE_CASE)
	default:
		return UINT64_MAX;
	}
}

struct args_place {
	uint64_t *y;
	struct tile_dim d;
	uint32_t which;
};
/* One thread for each element. */
extern "C" __global__ void k_probe_place(struct args_place p)
{
	uint64_t i = (uint64_t)blockIdx.x * 128 + threadIdx.x;

	if (i < (uint64_t)p.d.rows * p.d.cols)
		p.y[i] = probe_at(p.which, p.d, (uint32_t)(i / p.d.cols), (uint32_t)(i % p.d.cols));
}

struct args_nums {
	uint32_t *y;
	const uint32_t *x;
	uint32_t n;
};
/* Seven words for each. */
extern "C" __global__ void k_probe_nums(struct args_nums p)
{
	uint32_t i = blockIdx.x * 128 + threadIdx.x, x, *y;

	if (i >= p.n)
		return;
	x = p.x[i];
	y = p.y + (uint64_t)i * PROBE_NUMS;
	y[0] = num_bits(num_e2m1(x & 15));
	y[1] = num_bits(num_e4m3(x & 255));
	y[2] = num_bits(num_e8m0(x & 255));
	y[3] = num_e4m3_from(num_f32(x));
	y[4] = num_bf16_from(num_f32(x));
	y[5] = num_bits(num_bf16((uint16_t)x));
	y[6] = tile_untwist(tile_twist(x)) ^ tile_twist(x);
}

/* What must be refused: half a warp at a barrier that the other half never sees; a shuffle in a branch. */
struct args_bad {
	uint32_t *y;
};
extern "C" __global__ void k_probe_bad_barrier(struct args_bad p)
{
	__shared__ uint32_t v[32];

	v[threadIdx.x] = threadIdx.x;
	if (threadIdx.x < 16)
		__syncthreads();
	else
		__syncthreads();
	p.y[threadIdx.x] = v[31 - threadIdx.x];
}
extern "C" __global__ void k_probe_bad_shuffle(struct args_bad p)
{
	uint32_t x = threadIdx.x;

	if (threadIdx.x < 16)
		x = __shfl_xor_sync(FULL, x, 1);
	p.y[threadIdx.x] = x;
}
/* The barrier is missing: wrong in one order of threads at least, and a race. */
extern "C" __global__ void k_probe_bad_race(struct args_bad p)
{
	__shared__ uint32_t v[64];

	v[threadIdx.x] = threadIdx.x;
	p.y[threadIdx.x] = v[63 - threadIdx.x];
}

/* --- host --- */

static int up(void **dev, const void *p, size_t n)
{
	if (cudaMalloc(dev, n) != cudaSuccess)
		return 1;
	return p ? (int)cudaMemcpy(*dev, p, n, cudaMemcpyHostToDevice) : 0;
}

/* Launches k with a, fetches n bytes from out. */
template <class A>
static int go(void (*k)(A), unsigned blocks, unsigned threads, A a, void *y, const void *out,
	size_t n)
{
	void *args[] = { &a };
	int rc = (int)cudaLaunchKernel(k, dim3(blocks), dim3(threads), args, 0, 0);

	return rc ? rc : (int)cudaMemcpy(y, out, n, cudaMemcpyDeviceToHost);
}

extern "C" int probe_dot(float *y, const float *a, const float *b, uint32_t rows, uint32_t k)
{
	void *m[3] = { NULL, NULL, NULL };
	int rc = up(&m[0], NULL, rows * 4) || up(&m[1], a, (size_t)rows * k * 4) ||
		up(&m[2], b, k * 4);
	struct args_dot p = { (float *)m[0], (const float *)m[1], (const float *)m[2], rows, k };

	rc = rc ? rc : go(k_probe_dot, (rows + 3) / 4, 128, p, y, p.y, rows * 4);
	for (int i = 0; i < 3; i++)
		cudaFree(m[i]);
	return rc;
}

template <class A>
static int pair(void (*k)(A), uint32_t *y, size_t out, const uint32_t *x, uint32_t n)
{
	void *m[2] = { NULL, NULL };
	int rc = up(&m[0], NULL, out) || up(&m[1], x, (size_t)n * 4);
	A p = { (uint32_t *)m[0], (const uint32_t *)m[1], n };

	rc = rc ? rc : go(k, (n + 127) / 128, 128, p, y, p.y, out);
	cudaFree(m[0]);
	cudaFree(m[1]);
	return rc;
}

extern "C" int probe_turn(uint32_t *y, const uint32_t *x, uint32_t n)
{
	return pair(k_probe_turn, y, (size_t)n * 4, x, n);
}

extern "C" int probe_nums(uint32_t *y, const uint32_t *x, uint32_t n)
{
	return pair(k_probe_nums, y, (size_t)n * 4 * PROBE_NUMS, x, n);
}

extern "C" int probe_place(uint64_t *y, uint32_t which, uint32_t rows, uint32_t cols)
{
	size_t n = (size_t)rows * cols;
	void *m = NULL;
	int rc = up(&m, NULL, n * 8);
	struct args_place p = { (uint64_t *)m, { rows, cols }, which };

	rc = rc ? rc : go(k_probe_place, (unsigned)((n + 127) / 128), 128, p, y, p.y, n * 8);
	cudaFree(m);
	return rc;
}

extern "C" int probe_bad(int which, uint32_t *y)
{
	void (*const k[])(struct args_bad) = { k_probe_bad_barrier, k_probe_bad_shuffle,
		k_probe_bad_race };
	uint32_t threads = which == PROBE_BAD_RACE ? 64 : 32;
	void *m = NULL;
	int rc = up(&m, NULL, threads * 4);
	struct args_bad p = { (uint32_t *)m };

	rc = rc ? rc : go(k[which], 1, threads, p, y, p.y, threads * 4);
	cudaFree(m);
	return rc;
}
