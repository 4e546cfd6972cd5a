/* bench_read.c -- the least that a loader must do: files into memory, and their digests. Threads take 16 MiB of a file
 * after the other; each has a buffer of that size, and digests a piece while it is in the cache.
 *
 * SPDX-License-Identifier: MIT */
#include "core/hash/xxh.h"
#include "core/par.h"
#include "tests/bench.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 16 << 20, PIECE = 512 << 10, PIECE_DIRECT = 4 << 20, FILES = 4096 };

struct reads {
	int fd[FILES], n;
	off_t size[FILES];
	bool digest, direct;
	atomic_llong next;
};

/* Reads up to CHUNK bytes from at on; false where that fails. */
static bool read_chunk(const struct reads *r, int i, off_t at, unsigned char *buf, struct xxh *x)
{
	size_t n = r->size[i] - at < CHUNK ? (size_t)(r->size[i] - at) : CHUNK, done = 0, some;
	size_t piece = r->direct ? PIECE_DIRECT : PIECE;
	ssize_t got;

	xxh_reset(x);
	while (done < n) {
		some = n - done < piece ? n - done : piece;
		/* direct reads are of whole blocks; the end of a file gives less */
		got = pread(r->fd[i], buf + done, r->direct ? (some + 4095) / 4096 * 4096 : some,
			at + (off_t)done);
		if (got < (ssize_t)some)
			return false;
		if (r->digest)
			xxh_update(x, buf + done, some);
		done += some;
	}
	if (r->digest) {
		struct xxh_digest d = xxh_final(x);

		__asm__ volatile("" : : "m"(d));
	}
	return true;
}

static int work(struct par *p, unsigned me, struct err *e)
{
	struct reads *r = par_ctx(p);
	unsigned char *buf = aligned_alloc(4096, CHUNK);
	struct xxh *x = xxh_new();
	long long k;
	int i, rc = buf && x ? 0 : err_nomem(e);

	(void)me;
	while (!rc) {
		k = atomic_fetch_add(&r->next, 1);
		for (i = 0; i < r->n && k * CHUNK >= r->size[i]; i++)
			k -= (r->size[i] + CHUNK - 1) / CHUNK;
		if (i == r->n)
			break;
		if (!read_chunk(r, i, (off_t)k * CHUNK, buf, x))
			rc = err_sys(e, "cannot read");
	}
	free(buf);
	xxh_free(x);
	return rc;
}

int bench_reads(int n, char **a)
{
	static struct reads r;
	struct err e = { 0 };
	struct stat st;
	int i;

	r.digest = strchr(a[1], 'x') != NULL;
	r.direct = strchr(a[1], 'd') != NULL;
	for (i = 2; i < n && r.n < FILES; i++, r.n++) {
		r.fd[r.n] = open(a[i], O_RDONLY | (r.direct ? O_DIRECT : 0));
		if (r.fd[r.n] < 0 || fstat(r.fd[r.n], &st)) {
			perror(a[i]);
			return 2;
		}
		r.size[r.n] = st.st_size;
	}
	if (!par_run((unsigned)atoi(a[0]), work, &r, &e))
		return 0;
	fprintf(stderr, "bench: %s\n", e.text);
	return 2;
}
