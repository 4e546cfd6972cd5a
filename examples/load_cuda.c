/* load_cuda.c -- the files of one rank into the memory of a GPU, verified on the way: a ring of pinned buffers for each
 * thread, filled from the disk while the one before is on its way to the device.
 *
 *	cc load_cuda.c $(pkg-config --cflags --libs dsv4) -I$CUDA/include -L$CUDA/lib64 -lcudart -o load_cuda
 *	./load_cuda [-j THREADS] [-c] OUT/rank-0-of-8
 *
 *	-c  read every file once more and compare it with what the device holds
 *
 * A file becomes one allocation, and a tensor a pointer into it: payload and every tensor of a multiple of 4096 bytes
 * begin at a multiple of 4096 there too (docs/format.md, section 7), so that kernels may read them where they are.
 *
 * SPDX-License-Identifier: MIT */
#include <cuda_runtime_api.h>
#include <dsv4.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	THREADS_MAX = 64,
	RING = 2, /* buffers of a thread: one is read to while the other is copied */
};

struct load {
	const struct dsv4 *d;
	struct dsv4_read_options read;
	char **device; /* owns; [files] memory of the device */
	uint64_t *first;
	_Atomic uint64_t next;
	_Atomic int failed;
	pthread_mutex_t lock; /* guards message */
	char message[800];
};

static int fail(struct load *l, const char *what, const char *why)
{
	pthread_mutex_lock(&l->lock);
	if (!l->failed)
		snprintf(l->message, sizeof l->message, "%s%s%s", what, *what ? ": " : "", why);
	l->failed = 1;
	pthread_mutex_unlock(&l->lock);
	return -1;
}

/* Returns 0, or -1 with the call's name and what CUDA says in l. */
static int cuda(struct load *l, cudaError_t e, const char *call)
{
	return e == cudaSuccess ? 0 : fail(l, call, cudaGetErrorString(e));
}

/* A pinned buffer, and when the copy from it is done. */
struct slot {
	void *host;
	cudaEvent_t done;
};

/* One chunk of a file: from the disk to host memory, where it is digested, and on to the device. */
static int move(struct load *l, uint64_t n, struct slot *s, cudaStream_t stream)
{
	struct dsv4_error e;
	uint32_t i = 0;
	uint64_t at, left;
	size_t size;

	while (n >= l->first[i + 1])
		i++;
	at = (n - l->first[i]) * DSV4_CHUNK;
	left = dsv4_file(l->d, i)->bytes - at;
	size = left < DSV4_CHUNK ? (size_t)left : DSV4_CHUNK;
	if (cuda(l, cudaEventSynchronize(s->done), "cudaEventSynchronize"))
		return -1;
	if (dsv4_read_file(l->d, i, at, s->host, size, &l->read, &e))
		return fail(l, e.rule, e.message);
	if (cuda(l,
		    cudaMemcpyAsync(l->device[i] + at, s->host, size, cudaMemcpyHostToDevice,
			    stream),
		    "cudaMemcpyAsync"))
		return -1;
	return cuda(l, cudaEventRecord(s->done, stream), "cudaEventRecord");
}

static void *run(void *arg)
{
	struct load *l = arg;
	uint64_t all = l->first[dsv4_info(l->d)->files], n, i;
	struct slot ring[RING] = { { NULL, NULL } };
	cudaStream_t stream = NULL;
	int rc = cuda(l, cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking),
		"cudaStreamCreate");

	for (i = 0; !rc && i < RING; i++)
		rc = cuda(l, cudaHostAlloc(&ring[i].host, DSV4_CHUNK, cudaHostAllocDefault),
			     "cudaHostAlloc") ||
			cuda(l, cudaEventCreateWithFlags(&ring[i].done, cudaEventDisableTiming),
				"cudaEventCreate");
	for (i = 0; !rc && !l->failed && (n = atomic_fetch_add(&l->next, 1)) < all; i++)
		rc = move(l, n, &ring[i % RING], stream);
	if (stream)
		(void)cuda(l, cudaStreamSynchronize(stream), "cudaStreamSynchronize");
	for (i = 0; i < RING; i++) {
		if (ring[i].done)
			cudaEventDestroy(ring[i].done);
		if (ring[i].host)
			cudaFreeHost(ring[i].host);
	}
	if (stream)
		cudaStreamDestroy(stream);
	return NULL;
}

static int place(struct load *l, unsigned threads)
{
	uint32_t files = dsv4_info(l->d)->files, i;
	pthread_t t[THREADS_MAX];
	unsigned n, started = 0;

	for (i = 0; i < files; i++) {
		const struct dsv4_file *f = dsv4_file(l->d, i);
		void *p = NULL;

		l->first[i + 1] = l->first[i] + (f->bytes + DSV4_CHUNK - 1) / DSV4_CHUNK;
		if (cuda(l, cudaMalloc(&p, (size_t)f->bytes), "cudaMalloc"))
			return -1;
		l->device[i] = p;
	}
	for (n = 1; n < threads; n++)
		started += !pthread_create(&t[started], NULL, run, l);
	run(l);
	for (n = 0; n < started; n++)
		pthread_join(t[n], NULL);
	return l->failed ? -1 : 0;
}

/* What a model would now be built of. */
static void show(const struct load *l)
{
	const struct dsv4_tensor *t;
	size_t i, aligned = 0;

	for (i = 0; (t = dsv4_tensor(l->d, i)); i++)
		aligned += (uintptr_t)(l->device[t->file] + t->offset) % 256 == 0;
	printf("%u files, %zu tensors (%zu of them at a multiple of 256), %" PRIu64
	       " bytes on the device\n",
		dsv4_info(l->d)->files, i, aligned, dsv4_info(l->d)->bytes);
}

/* Reads every tensor from the disk and from the device. */
static int compare(struct load *l)
{
	const struct dsv4_tensor *t;
	struct dsv4_error e;
	size_t i;
	int rc = 0;

	for (i = 0; !rc && (t = dsv4_tensor(l->d, i)); i++) {
		char *a = malloc((size_t)t->bytes + 1), *b = malloc((size_t)t->bytes + 1);

		if (!a || !b)
			rc = fail(l, t->name, "out of memory");
		else if (dsv4_read(l->d, i, 0, a, (size_t)t->bytes, NULL, &e))
			rc = fail(l, e.rule, e.message);
		else if (cuda(l,
				 cudaMemcpy(b, l->device[t->file] + t->offset, (size_t)t->bytes,
					 cudaMemcpyDeviceToHost),
				 "cudaMemcpy"))
			rc = -1;
		else if (memcmp(a, b, (size_t)t->bytes) != 0)
			rc = fail(l, t->name, "the device holds other bytes than the file");
		free(a);
		free(b);
	}
	if (!rc)
		printf("all %zu tensors equal\n", i);
	return rc;
}

static int load(struct load *l, unsigned threads, bool check)
{
	uint32_t files = dsv4_info(l->d)->files, i;
	int rc;

	l->device = calloc(files + (size_t)1, sizeof *l->device);
	l->first = calloc(files + (size_t)1, sizeof *l->first);
	rc = l->device && l->first ? place(l, threads) : fail(l, "", "out of memory");
	if (!rc) {
		show(l);
		rc = check ? compare(l) : 0;
	}
	for (i = 0; l->device && i < files; i++)
		cudaFree(l->device[i]);
	free(l->device);
	free(l->first);
	return rc;
}

int main(int argc, char **argv)
{
	struct dsv4_open_options open = { .size = sizeof open, .direct = 1 };
	struct load l = { .read = { .size = sizeof l.read, .flags = DSV4_DIRECT },
		.lock = PTHREAD_MUTEX_INITIALIZER };
	unsigned threads = 4;
	struct dsv4_error e;
	bool check = false;
	struct dsv4 *d;
	int c, rc;

	while ((c = getopt(argc, argv, "j:c")) != -1) {
		if (c == 'j')
			threads = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'c')
			check = true;
		else
			return 2;
	}
	if (optind + 1 != argc || threads < 1 || threads > THREADS_MAX) {
		fprintf(stderr, "usage: load_cuda [-j THREADS] [-c] OUT/rank-R-of-N\n");
		return 2;
	}
	if (dsv4_open(&d, argv[optind], &open, &e)) {
		fprintf(stderr, "load_cuda: %s: %s\n", e.rule, e.message);
		return 1;
	}
	l.d = d;
	rc = load(&l, threads, check);
	if (rc)
		fprintf(stderr, "load_cuda: %s\n", l.message);
	dsv4_close(d);
	return rc ? 1 : fflush(stdout) ? 2 : 0;
}
