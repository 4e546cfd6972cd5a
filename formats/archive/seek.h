/* seek.h -- one file of an archive: frames with a seek table behind them, as zstd's seekable format 0.1.0 has it.
 *
 *	frame, frame, ...   frame.h
 *	0x184D2A5E, size    a skippable frame, which zstd -d passes over:
 *	  packed, bytes, sum  of each frame, u32; sum: the low half of XXH64 of the bytes
 *	  n, 0x80, 0x8F92EAB1 the number of frames, "there are sums", the last four bytes of the file
 *
 * docs/archive.md draws it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_ARCHIVE_SEEK_H
#define FORMATS_ARCHIVE_SEEK_H
#include "core/io.h"
#include "core/text.h"
#include "formats/archive/frame.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SEEK_MOST = 1 << 20 }; /* frames of a file: 4 TiB, and 32 MiB of memory for a table */

struct seek_frame {
	uint64_t at, from;           /* byte in the archive, and in the file that it restores */
	uint32_t packed, bytes, sum; /* sizes in both; frame_sum of the latter */
};

struct seek {
	struct seek_frame *v; /* owns */
	size_t n;
	uint64_t bytes;  /* of the file that it restores */
	uint64_t packed; /* of all frames: byte where the table begins */
	enum filter
		filter; /* of its filtered frames, as its list says; seek_read leaves FILTER_NONE */
};

/* Reads the table of an open archive of size bytes. Returns -1 with rule archive.table where it does not describe the
 * file that it ends; then *s is zeroed. Memory: 32 bytes for each frame that the table has room for. */
int seek_read(struct seek *s, const struct io *io, int fd, uint64_t size, struct err *e);
void seek_free(struct seek *s);
/* Returns which frame has byte at of the restored file; at is less than s->bytes. */
size_t seek_find(const struct seek *s, uint64_t at);
/* Reads frame i into out, which has room for its bytes; room is scratch memory for as many as it is packed into. Returns -1 with rule
 * archive.frame where it is not what the table says. */
int seek_load(const struct seek *s, size_t i, const struct io *io, int fd, struct frame_coder *c,
	uint8_t *room, uint8_t *out, struct err *e);
/* Appends the table of n frames. */
void seek_put(struct text *out, const struct seek_frame *v, size_t n);

#ifdef __cplusplus
}
#endif
#endif
