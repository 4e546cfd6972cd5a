/* cuda_runtime.h -- stands in for NVIDIA's, so that g++ compiles the .cu files of kernels as they are and fiber.c runs
 * them. It has what those files use and nothing more: a name that is missing here is to be added here
 * with its exact meaning, or not to be used there.
 *
 * Copies to the device are put off as long as CUDA may put them off, until the next launch or wait: a
 * host buffer that is used again too early gives wrong results here.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_FIBER_CUDA_RUNTIME_H
#define TESTS_FIBER_CUDA_RUNTIME_H
#include "tests/fiber/fiber.h"

#include <math.h>
#include <string.h>

#define __host__
#define __device__
#define __global__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#ifdef __SANITIZE_ADDRESS__
#define __shared__ static
#else
#define __shared__ static __attribute__((section("fiber_shared")))
#endif

struct uint3 {
	unsigned x, y, z;
};
struct dim3 {
	unsigned x, y, z;
	dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c)
	{
	}
};
static inline uint3 fiber_uint3(const unsigned *v)
{
	return uint3{ v[0], v[1], v[2] };
}
#define threadIdx fiber_uint3(fiber_now->thread)
#define blockIdx fiber_uint3(fiber_now->block)
#define blockDim fiber_uint3(fiber_block)
#define gridDim fiber_uint3(fiber_grid)

/* --- device side --- */

#define FIBER_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

static inline void __syncthreads(FIBER_SITE)
{
	fiber_barrier(file, line);
}
static inline void __syncwarp(unsigned mask = 0xffffffffu, FIBER_SITE)
{
	fiber_warp(FIBER_SYNC, mask, 0, 0, file, line);
}
template <class T>
static inline T fiber_shuffle(fiber_op op, unsigned mask, T v, int arg, const char *file, int line)
{
	uint64_t u = 0;

	static_assert(sizeof v <= sizeof u, "at most 64 bits");
	memcpy(&u, &v, sizeof v);
	u = fiber_warp(op, mask, u, arg, file, line);
	memcpy(&v, &u, sizeof v);
	return v;
}
template <class T> static inline T __shfl_sync(unsigned mask, T v, int lane, FIBER_SITE)
{
	return fiber_shuffle(FIBER_FROM, mask, v, lane, file, line);
}
template <class T> static inline T __shfl_xor_sync(unsigned mask, T v, int x, FIBER_SITE)
{
	return fiber_shuffle(FIBER_XOR, mask, v, x, file, line);
}
template <class T> static inline T __shfl_down_sync(unsigned mask, T v, unsigned d, FIBER_SITE)
{
	return fiber_shuffle(FIBER_DOWN, mask, v, (int)d, file, line);
}
static inline unsigned __ballot_sync(unsigned mask, int p, FIBER_SITE)
{
	return (unsigned)fiber_warp(FIBER_BALLOT, mask, p != 0, 0, file, line);
}

/* --- host side --- */

typedef enum cudaError {
	cudaSuccess = 0,
	cudaErrorInvalidValue = 1,
	cudaErrorMemoryAllocation = 2,
	cudaErrorInsufficientDriver = 35,
	cudaErrorNoDevice = 100
} cudaError_t;
enum cudaMemcpyKind {
	cudaMemcpyHostToDevice = 1,
	cudaMemcpyDeviceToHost = 2,
	cudaMemcpyDeviceToDevice = 3
};
typedef struct fiber_stream *cudaStream_t;
typedef struct fiber_event *cudaEvent_t;
enum { cudaEventDisableTiming = 2, cudaStreamNonBlocking = 1 };
struct cudaDeviceProp {
	char name[256];
	int major, minor;
	size_t totalGlobalMem;
};

extern "C" {
cudaError_t cudaGetDeviceCount(int *n);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device);
cudaError_t cudaDriverGetVersion(int *v);
cudaError_t cudaRuntimeGetVersion(int *v);
cudaError_t cudaMalloc(void **p, size_t n);
cudaError_t cudaFree(void *p);
cudaError_t cudaMallocHost(void **p, size_t n);
cudaError_t cudaFreeHost(void *p);
cudaError_t cudaMemcpy(void *to, const void *from, size_t n, enum cudaMemcpyKind kind);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, enum cudaMemcpyKind kind,
	cudaStream_t s);
cudaError_t cudaMemsetAsync(void *p, int value, size_t n, cudaStream_t s);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t s);
cudaError_t cudaStreamSynchronize(cudaStream_t s);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t e);
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s);
cudaError_t cudaEventSynchronize(cudaEvent_t e);
cudaError_t cudaGetLastError(void);
const char *cudaGetErrorString(cudaError_t e);
}

template <class A> struct fiber_call {
	void (*kernel)(A);
	const A *a;
	static void run(void *p)
	{
		const fiber_call *c = (const fiber_call *)p;

		c->kernel(*c->a);
	}
};

/* Kernels take one parameter, a struct. */
template <class A>
static inline cudaError_t cudaLaunchKernel(void (*kernel)(A), dim3 grid, dim3 block, void **args,
	size_t shared, cudaStream_t s)
{
	fiber_call<A> call = { kernel, (const A *)args[0] };
	fiber_job l = {};

	cudaError_t e = shared ? cudaErrorInvalidValue : cudaStreamSynchronize(s);

	if (e != cudaSuccess)
		return e;
	l.kernel = (const void *)kernel;
	l.param = args[0];
	l.param_size = sizeof(A);
	l.grid[0] = grid.x, l.grid[1] = grid.y, l.grid[2] = grid.z;
	l.block[0] = block.x, l.block[1] = block.y, l.block[2] = block.z;
	l.run = fiber_call<A>::run;
	l.call = &call;
	return (cudaError_t)fiber_launch(&l);
}
#endif
