/* recorder.h -- recording: the running digest of a source tensor while it is read.
 *
 * Reading goes forward, but may read a byte twice (rows of a band that the last piece ended in); a recorder
 * takes each byte once and in order. It knows nothing of where bytes come from or go to.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_MAKE_RECORDER_H
#define CONVERT_MAKE_RECORDER_H
#include "core/err.h"
#include "core/hash/xxh.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct recorder {
	struct xxh *xxh; /* owns */
	uint64_t at;     /* bytes taken so far */
	bool on;         /* false: what is read is not recorded */
};

/* Returns -1 without memory. recorder_close takes a zeroed one too. */
int recorder_open(struct recorder *r, struct err *e);
void recorder_close(struct recorder *r);
/* Begins a new digest. */
void recorder_begin(struct recorder *r, bool on);

/* Bytes off..off+n of the tensor were read to p; what of them follows the bytes taken so far is taken. */
void recorder_add(struct recorder *r, uint64_t off, const uint8_t *p, size_t n);
/* Rows of cols bytes, stride bytes apart, of which all are taken. */
void recorder_rows(struct recorder *r, const uint8_t *p, uint64_t rows, uint64_t stride,
	uint64_t cols);
/* The digest of what was taken. */
struct xxh_digest recorder_end(const struct recorder *r);

#ifdef __cplusplus
}
#endif
#endif
