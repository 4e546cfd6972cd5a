/* cuda.cu -- the device itself: memory, copies, waiting.
 *
 * Uploads go through two pinned buffers, so that filling one and copying the other happen together; all
 * work is in one stream, so what was put is there before the kernel that was launched after it.
 *
 * SPDX-License-Identifier: MIT */
#include "kernels/cuda/cuda.cuh"

#include <stdlib.h>
#include <string.h>

static const size_t STAGE = 8 << 20;

int cuda_check(cudaError_t r, const char *what, struct err *e)
{
	if (r == cudaSuccess)
		return 0;
	return err_set(e, r == cudaErrorMemoryAllocation ? ERR_SYSTEM : ERR_UNSUPPORTED,
		"CUDA: %s: %s", what, cudaGetErrorString(r));
}

static struct cuda_dev *of(struct dev *d)
{
	return (struct cuda_dev *)d->ctx;
}

static int dev_alloc(struct dev *, void **p, size_t n, struct err *e)
{
	return cuda_check(cudaMalloc(p, n ? n : 1), "memory", e);
}

static void dev_release(struct dev *, void *p)
{
	if (p)
		cudaFree(p);
}

int cuda_put(struct dev *d, void *to, const void *from, size_t n, struct err *e)
{
	struct cuda_dev *c = of(d);
	size_t at, m;
	unsigned i;

	for (at = 0; at < n; at += m) {
		m = n - at < STAGE ? n - at : STAGE;
		i = c->turn++ % CUDA_STAGES;
		if (cuda_check(cudaEventSynchronize(c->free_at[i]), "upload", e))
			return -1;
		memcpy(c->stage[i], (const char *)from + at, m);
		if (cuda_check(cudaMemcpyAsync((char *)to + at, c->stage[i], m,
				       cudaMemcpyHostToDevice, c->stream),
			    "upload", e) ||
			cuda_check(cudaEventRecord(c->free_at[i], c->stream), "upload", e))
			return -1;
	}
	return 0;
}

static int dev_get(struct dev *d, void *to, const void *from, size_t n, struct err *e)
{
	if (cuda_check(cudaStreamSynchronize(of(d)->stream), "work", e))
		return -1;
	return n ? cuda_check(cudaMemcpy(to, from, n, cudaMemcpyDeviceToHost), "download", e) : 0;
}

static int dev_zero(struct dev *d, void *p, size_t n, struct err *e)
{
	return n ? cuda_check(cudaMemsetAsync(p, 0, n, of(d)->stream), "memory", e) : 0;
}

static int dev_sync(struct dev *d, struct err *e)
{
	return cuda_check(cudaStreamSynchronize(of(d)->stream), "work", e);
}

static void dev_close(struct dev *d)
{
	struct cuda_dev *c = of(d);

	if (c) {
		cudaStreamSynchronize(c->stream);
		for (unsigned i = 0; i < CUDA_STAGES; i++) {
			if (c->stage[i])
				cudaFreeHost(c->stage[i]);
			if (c->free_at[i])
				cudaEventDestroy(c->free_at[i]);
		}
		if (c->table)
			cudaFree(c->table);
		if (c->stream)
			cudaStreamDestroy(c->stream);
		free(c);
	}
	memset(d, 0, sizeof *d);
}

static int begin(struct cuda_dev *c, struct err *e)
{
	if (cuda_check(cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking), "stream", e))
		return -1;
	for (unsigned i = 0; i < CUDA_STAGES; i++) {
		if (cuda_check(cudaMallocHost(&c->stage[i], STAGE), "pinned memory", e) ||
			cuda_check(cudaEventCreateWithFlags(&c->free_at[i], cudaEventDisableTiming),
				"event", e))
			return -1;
	}
	return 0;
}

int dev_open_cuda(struct dev *d, struct err *e)
{
	int n = 0;
	cudaError_t r = cudaGetDeviceCount(&n);

	memset(d, 0, sizeof *d);
	if (r != cudaSuccess || !n)
		return err_set(e, ERR_UNSUPPORTED, "no GPU: %s",
			r == cudaSuccess ? "the driver lists none" : cudaGetErrorString(r));
	if (!(d->ctx = calloc(1, sizeof(struct cuda_dev))))
		return err_nomem(e);
	if (cuda_check(cudaSetDevice(0), "device", e) || begin(of(d), e)) {
		dev_close(d);
		return -1;
	}
	d->name = "cuda";
	d->alloc = dev_alloc;
	d->release = dev_release;
	d->put = cuda_put;
	d->get = dev_get;
	d->zero = dev_zero;
	d->sync = dev_sync;
	d->close = dev_close;
	cuda_moves(d);
	cuda_hc(d);
	cuda_norm(d);
	cuda_linear(d);
	cuda_compress(d);
	cuda_attn(d);
	cuda_moe(d);
	return 0;
}
