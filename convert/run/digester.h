/* digester.h -- SHA-256 of the pieces of several streams, on the calling thread or on one beside it.
 *
 * One SHA-256 cannot be divided among threads. Where there are fewer files than threads, a thread's
 * files are digested by another one while it reads, transforms and writes the next pieces.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_RUN_DIGESTER_H
#define CONVERT_RUN_DIGESTER_H
#include "core/err.h"
#include "core/hash/sha256.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A piece of one stream. */
struct digest_job {
	struct sha256 *s;
	const void *p;
	size_t n;
};

struct digester;

/* aside: on a thread of its own; where the system gives none, the caller's does the work. */
int digester_new(struct digester **d, bool aside, struct err *e);
/* Digests n <= SHA256_LANES pieces; those of one length go in lockstep. The pieces must stay as they
 * are, and the streams untouched, until digester_wait or the next start has returned. */
int digester_start(struct digester *d, const struct digest_job *jobs, unsigned n, struct err *e);
/* Returns when what was started is done; its error, if it had one. */
int digester_wait(struct digester *d, struct err *e);
void digester_free(struct digester *d);

#ifdef __cplusplus
}
#endif
#endif
