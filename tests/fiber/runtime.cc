/* runtime.cc -- CUDA's calls of the host, over plain memory (see cuda_runtime.h beside this).
 *
 * SPDX-License-Identifier: MIT */
#include "tests/fiber/cuda_runtime.h"

#include <stdio.h>
#include <stdlib.h>

/* Copies that are put off, in order; one list for all streams. */
enum { PENDING = 64 };
static struct copy {
	void *to;
	const void *from;
	size_t n;
} pending[PENDING];
static int n_pending;

static void settle(void)
{
	for (int i = 0; i < n_pending; i++)
		memcpy(pending[i].to, pending[i].from, pending[i].n);
	n_pending = 0;
}

/* Allocated memory reads as NaN until it is written; 256 is CUDA's alignment. */
static cudaError_t allocate(void **p, size_t n)
{
	*p = aligned_alloc(256, (n + 255) / 256 * 256);
	if (!*p)
		return cudaErrorMemoryAllocation;
	memset(*p, 0xff, (n + 255) / 256 * 256);
	return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *n)
{
	*n = 1;
	return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
	return device ? cudaErrorInvalidValue : cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device)
{
	memset(p, 0, sizeof *p);
	snprintf(p->name, sizeof p->name, "no GPU: fibers on the CPU");
	p->totalGlobalMem = (size_t)1 << 30;
	return cudaSetDevice(device);
}

cudaError_t cudaDriverGetVersion(int *v)
{
	*v = 0;
	return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *v)
{
	*v = 0;
	return cudaSuccess;
}

cudaError_t cudaMalloc(void **p, size_t n)
{
	return allocate(p, n);
}

cudaError_t cudaFree(void *p)
{
	settle();
	free(p);
	return cudaSuccess;
}

cudaError_t cudaMallocHost(void **p, size_t n)
{
	return allocate(p, n);
}

cudaError_t cudaFreeHost(void *p)
{
	return cudaFree(p);
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, enum cudaMemcpyKind kind,
	cudaStream_t)
{
	if (kind != cudaMemcpyHostToDevice || n_pending == PENDING)
		settle();
	if (kind != cudaMemcpyHostToDevice)
		memcpy(to, from, n);
	else
		pending[n_pending++] = copy{ to, from, n };
	return cudaSuccess;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t n, enum cudaMemcpyKind)
{
	settle();
	memcpy(to, from, n);
	return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t n, cudaStream_t)
{
	settle();
	memset(p, value, n);
	return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned)
{
	*s = NULL;
	return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t)
{
	settle();
	return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t)
{
	settle();
	return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned)
{
	*e = NULL;
	return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t)
{
	return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t)
{
	return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t)
{
	settle();
	return cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
	return cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t e)
{
	return e == cudaErrorMemoryAllocation ? "out of memory" : e ? "invalid value" : "no error";
}
