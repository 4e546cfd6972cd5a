/* read.c -- lists a conversion and reads it as a loader would: whole files in chunks, held to their digests on the way.
 *
 *	cc read.c $(pkg-config --cflags --libs dsv4) -o read
 *	./read [-j THREADS] [-r TIMES] [-u] [-d] [-s] [-l] OUT
 *
 *	-u  unverified     -d  past the page cache     -s  also SHA-256     -l  list every tensor
 *	-r  read so many times, for measuring
 *
 * Prints what was read and how fast. Exit status: 0 read and true; 1 something is wrong; 2 wrong call.
 *
 * SPDX-License-Identifier: MIT */
#include <dsv4.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 256 };

/* What the threads share: they take chunks, file by file. */
struct work {
	const struct dsv4 *d;
	struct dsv4_read_options read;
	uint64_t *first; /* owns; [files + 1]: number of the first chunk of each file */
	unsigned times;  /* everything is read so often */
	_Atomic uint64_t next;
	_Atomic int failed;
	pthread_mutex_t lock; /* guards error */
	struct dsv4_error error;
};

static void list(const struct dsv4 *d)
{
	const struct dsv4_tensor *t;
	uint32_t k;
	size_t i;

	for (i = 0; (t = dsv4_tensor(d, i)); i++) {
		printf("%s %s [", t->name, t->dtype);
		for (k = 0; k < t->rank; k++)
			printf("%s%" PRIu64, k ? "," : "", t->shape[k]);
		printf("] %" PRIu64 " bytes", t->bytes);
		if (t->stack)
			printf(" %s/%u, rows %s", t->stack->layout, t->stack->version,
				t->stack->order);
		if (t->records)
			printf(" %s of %s, rows %" PRIu64 " to %" PRIu64 " of %" PRIu64,
				t->records->layout, t->records->codec, t->records->first,
				t->records->first + t->shape[0], t->records->rows);
		printf("\n");
	}
}

static uint64_t chunks_of(const struct dsv4_file *f)
{
	return (f->bytes + DSV4_CHUNK - 1) / DSV4_CHUNK;
}

/* Reads one chunk into buf. A real loader would now put the tensors of it in their places: the tensors of file i that
 * begin in it are known from dsv4_tensor. */
static int read_chunk(struct work *w, uint64_t n, void *buf, struct dsv4_error *e)
{
	const struct dsv4_file *f;
	uint32_t i = 0;
	uint64_t at;

	while (n >= w->first[i + 1])
		i++;
	f = dsv4_file(w->d, i);
	at = (n - w->first[i]) * DSV4_CHUNK;
	return dsv4_read_file(w->d, i, at, buf,
		f->bytes - at < DSV4_CHUNK ? (size_t)(f->bytes - at) : DSV4_CHUNK, &w->read, e);
}

static void *run(void *arg)
{
	struct work *w = arg;
	uint64_t all = w->first[dsv4_info(w->d)->files], n;
	void *buf = aligned_alloc(4096, DSV4_CHUNK);
	struct dsv4_error e = { .kind = DSV4_SYSTEM, .message = "out of memory" };
	bool good = buf != NULL;

	while (good && !w->failed && (n = atomic_fetch_add(&w->next, 1)) < all * w->times)
		good = !read_chunk(w, n % all, buf, &e);
	if (!good) {
		pthread_mutex_lock(&w->lock);
		if (!w->failed)
			w->error = e;
		w->failed = 1;
		pthread_mutex_unlock(&w->lock);
	}
	free(buf);
	return NULL;
}

static int read_all(struct work *w, unsigned threads, struct dsv4_error *e)
{
	uint32_t files = dsv4_info(w->d)->files, i;
	pthread_t t[THREADS_MAX];
	unsigned n, started = 0;

	w->first = calloc(files + (size_t)1, sizeof *w->first);
	if (!w->first) {
		snprintf(e->message, sizeof e->message, "out of memory");
		return -1;
	}
	for (i = 0; i < files; i++)
		w->first[i + 1] = w->first[i] + chunks_of(dsv4_file(w->d, i));
	for (n = 1; n < threads; n++)
		started += !pthread_create(&t[started], NULL, run, w);
	run(w);
	for (n = 0; n < started; n++)
		pthread_join(t[n], NULL);
	free(w->first);
	*e = w->error;
	return w->failed ? -1 : 0;
}

/* SHA-256 of whole files, one after the other. */
static int check_all(const struct dsv4 *d, struct dsv4_error *e)
{
	struct dsv4_read_options o = { .size = sizeof o, .flags = DSV4_SHA256 };
	uint32_t i;

	for (i = 0; i < dsv4_info(d)->files; i++)
		if (dsv4_check(d, i, &o, e))
			return -1;
	return 0;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int report(const struct dsv4_error *e)
{
	const char *remedy = dsv4_rule_remedy(e->rule);

	fprintf(stderr, "read: %s%s%s\n", e->rule, *e->rule ? ": " : "", e->message);
	if (remedy)
		fprintf(stderr, "read: what to do: %s\n", remedy);
	return 1;
}

int main(int argc, char **argv)
{
	struct dsv4_open_options open = { .size = sizeof open };
	struct work w = {
		.read = { .size = sizeof w.read }, .times = 1, .lock = PTHREAD_MUTEX_INITIALIZER
	};
	unsigned threads = 1;
	bool sha = false, names = false;
	struct dsv4_error e = { 0 };
	struct dsv4 *d;
	double began;
	int c, rc;

	while ((c = getopt(argc, argv, "j:r:udsl")) != -1) {
		if (c == 'j')
			threads = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'r')
			w.times = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'u')
			w.read.flags |= DSV4_UNVERIFIED;
		else if (c == 'd')
			w.read.flags |= DSV4_DIRECT, open.direct = 1;
		else if (c == 's')
			sha = true;
		else if (c == 'l')
			names = true;
		else
			return 2;
	}
	if (optind + 1 != argc || threads < 1 || threads > THREADS_MAX) {
		fprintf(stderr, "usage: read [-j THREADS] [-r TIMES] [-u] [-d] [-s] [-l] OUT\n");
		return 2;
	}
	if (dsv4_open(&d, argv[optind], &open, &e))
		return report(&e);
	if (names)
		list(d);
	w.d = d;
	began = now();
	rc = read_all(&w, threads, &e) || (sha && check_all(d, &e)) ? report(&e) : 0;
	if (!rc)
		printf("%s for %s: %u files, %zu tensors, %" PRIu64
		       " bytes %s in %.3f s, %.2f GB/s\n",
			dsv4_info(d)->kind, dsv4_info(d)->target, dsv4_info(d)->files,
			dsv4_info(d)->tensors, dsv4_info(d)->bytes,
			w.read.flags & DSV4_UNVERIFIED ? "read" : "read and verified",
			(now() - began) / w.times,
			(double)dsv4_info(d)->bytes * w.times / (now() - began) * 1e-9);
	dsv4_close(d);
	return fflush(stdout) ? 2 : rc;
}
