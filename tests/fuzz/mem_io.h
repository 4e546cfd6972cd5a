/* mem_io.h -- a file that lies in memory, for readers that want a struct io: n bytes at p. In front
 * of them can stand pad bytes that are stored nowhere, so that a document begins near the edge of
 * the reader's window at little cost. They read as an object whose one key is long:
 *
 *	{"                    ":document
 *
 * Only pread is there.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_MEM_IO_H
#define TESTS_FUZZ_MEM_IO_H
#include "core/io.h"

#include <errno.h>
#include <string.h>

struct mem_io {
	struct io io; /* first: the table is all that a reader sees */
	const uint8_t *p;
	size_t pad, n; /* pad is 0 or at least 4 */
	size_t most;   /* bytes one call gives; 0: as many as are asked for */
	size_t bad_at; /* reads that reach this byte fail with EIO; SIZE_MAX: none */
};

/* Copies what the n bytes src, which stand at byte at of the file, have in common with the len
 * bytes from byte from. */
static inline void mem_io_part(uint8_t *dst, size_t from, size_t len, const void *src, size_t at,
	size_t n)
{
	size_t lo = from > at ? from : at, hi = from + len < at + n ? from + len : at + n;

	if (lo < hi)
		memcpy(dst + (lo - from), (const uint8_t *)src + (lo - at), hi - lo);
}

static inline ssize_t mem_io_pread(const struct io *io, int fd, void *buf, size_t n, off_t at)
{
	const struct mem_io *m = (const struct mem_io *)(const void *)io;
	size_t from = (size_t)at, size = m->pad + m->n;

	(void)fd;
	if (from >= size)
		return 0;
	n = n < size - from ? n : size - from;
	n = m->most && n > m->most ? m->most : n;
	if (from >= m->bad_at || n > m->bad_at - from) {
		errno = EIO;
		return -1;
	}
	if (from < m->pad) {
		memset(buf, ' ', n < m->pad - from ? n : m->pad - from);
		mem_io_part(buf, from, n, "{\"", 0, 2);
		mem_io_part(buf, from, n, "\":", m->pad - 2, 2);
	}
	mem_io_part(buf, from, n, m->p, m->pad, m->n);
	return (ssize_t)n;
}

/* Borrows p. */
static inline struct mem_io mem_io_of(const void *p, size_t n, size_t pad, size_t most)
{
	struct mem_io m = {
		.io = { .pread = mem_io_pread },
		.p = p,
		.pad = pad,
		.n = n,
		.most = most,
		.bad_at = SIZE_MAX,
	};

	return m;
}
#endif
