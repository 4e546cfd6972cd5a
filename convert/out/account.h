/* account.h -- what a sidecar says of how a file, or the first tensors of one, came about, put down from the plan and
 * from what its stream found.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_OUT_ACCOUNT_H
#define CONVERT_OUT_ACCOUNT_H
#include "convert/make/stream.h"
#include "core/hash/sha256.h"
#include "formats/conversion/manifest.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All of it borrowed. */
struct account {
	const struct plan *p;
	const struct plan_file *f;
	const struct stream *s;
	const char *tool;                /* name and version */
	const uint8_t *sha256;           /* of the file; NULL: not computed */
	const struct keep *keep;         /* what its casts dropped; NULL: nothing */
	const struct xxh_digest *chunks; /* one for each MAN_CHUNK of bytes */
	uint64_t bytes;                  /* of the file, or of its first steps with the header */
	size_t steps;
};

/* Where it goes: into a new file, or against an old one. It is digested in both cases. */
struct account_sink {
	const struct io *io; /* borrows */
	int fd;              /* borrows */
	bool compare, equal;
	uint64_t at;
	char *old; /* owns; what is read for a comparison */
	size_t old_cap;
	struct sha256 sha; /* after account_put: runs, and the caller ends it */
};

/* Writes or compares the sidecar of a. On failure k->sha is freed. */
int account_put(const struct account *a, struct account_sink *k, struct err *e);
/* Takes further bytes behind it. */
int account_take(void *ctx, const char *p, size_t n, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
