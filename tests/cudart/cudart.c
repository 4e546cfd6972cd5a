/* SPDX-License-Identifier: MIT */
#include "tests/cudart/cuda_runtime_api.h"

#include <stdlib.h>
#include <string.h>

/* Copies that were asked for and not yet done, oldest first; a stream belongs to one thread. */
enum { WAITING = 16 };
struct stand_in_stream {
	struct {
		void *dst;
		const void *src;
		size_t n;
	} v[WAITING];
	unsigned n;
	unsigned long done; /* copies that were done before v[0] */
};
struct stand_in_event {
	cudaStream_t s;
	unsigned long upto; /* copies of s before the event */
};

static void advance(cudaStream_t s, unsigned long upto)
{
	while (s->n && s->done < upto) {
		memcpy(s->v[0].dst, s->v[0].src, s->v[0].n);
		memmove(s->v, s->v + 1, (WAITING - 1) * sizeof *s->v);
		s->n--;
		s->done++;
	}
}

/* STAND_IN_MEMORY in the environment: bytes of the device; more is refused. */
cudaError_t cudaMalloc(void **p, size_t n)
{
	const char *most = getenv("STAND_IN_MEMORY");

	*p = most && n > strtoul(most, NULL, 10) ? NULL : malloc(n);
	return *p ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFree(void *p)
{
	free(p);
	return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **p, size_t n, unsigned flags)
{
	(void)flags;
	*p = aligned_alloc(4096, (n + 4095) / 4096 * 4096);
	return *p ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFreeHost(void *p)
{
	free(p);
	return cudaSuccess;
}

cudaError_t cudaMemcpy(void *dst, const void *src, size_t n, cudaMemcpyKind kind)
{
	(void)kind;
	memcpy(dst, src, n);
	return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t n, cudaMemcpyKind kind,
	cudaStream_t s)
{
	(void)kind;
	if (s->n == WAITING)
		return cudaErrorInvalidValue;
	s->v[s->n].dst = dst;
	s->v[s->n].src = src;
	s->v[s->n++].n = n;
	return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags)
{
	(void)flags;
	*s = calloc(1, sizeof **s);
	return *s ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
	advance(s, s->done + s->n);
	return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
	free(s);
	return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned flags)
{
	(void)flags;
	*e = calloc(1, sizeof **e);
	return *e ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
	e->s = s;
	e->upto = s->done + s->n;
	return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
	if (e->s)
		advance(e->s, e->upto);
	return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
	free(e);
	return cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t e)
{
	return e == cudaErrorMemoryAllocation ? "out of memory"
		: e                           ? "invalid argument"
					      : "no error";
}
