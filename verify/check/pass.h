/* pass.h -- one pass over many files on several threads: SHA-256 of each, and digests of its chunks and of
 * runs of bytes in it, held against those that were expected.
 *
 * A file is read once, from its first byte to its last, in pieces; a thread advances several files together,
 * so that their SHA-256 are computed in lockstep (core/hash/sha256.h). A sampled job reads some chunks only. What is
 * wrong with a file is a result; the pass goes on.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_CHECK_PASS_H
#define VERIFY_CHECK_PASS_H
#include "core/err.h"
#include "core/io.h"
#include "core/progress.h"
#include "core/hash/xxh.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes begin..end of a file. */
struct pass_span {
	uint64_t begin, end;
	struct xxh_digest xxh;
};

struct pass_job {
	int dir, fd; /* borrowed; fd -1: the file is opened as name in folder, below dir */
	const char *folder, *name;
	uint64_t bytes;                  /* that it has; it must not shrink */
	bool sha;                        /* compute it */
	bool sampled;                    /* some chunks only; no spans, no SHA-256 */
	uint64_t seed;                   /* which */
	const struct xxh_digest *chunks; /* expected; NULL: none; one for each MAN_CHUNK */
	const struct pass_span *spans;   /* expected; in order, none overlapping */
	size_t n_spans;

	/* Results; bad_span and got are owned. */
	uint8_t sha256[32];
	struct xxh_digest *got; /* of each chunk */
	uint8_t *looked;        /* [chunks]; 1: looked at, 2: another digest than expected */
	uint8_t *bad_span;      /* [n_spans] */
	uint64_t n_bad, read;   /* chunks; bytes */
	struct err err;         /* it could not be read to its end */
};

struct pass_opts {
	const struct io *io;
	unsigned threads, features;
	uint64_t max_memory; /* bytes for buffers, about */
	struct progress *progress;
};

/* -1 only where the pass could not be made: memory, threads. */
int pass_run(struct pass_job *jobs, size_t n, const struct pass_opts *o, struct err *e);
void pass_free(struct pass_job *jobs, size_t n);            /* results */
uint64_t pass_bytes(const struct pass_job *jobs, size_t n); /* that will be read */
/* Whether a sampled job looks at chunk i of n: the first, the last and one between. */
bool pass_samples(const struct pass_job *j, uint64_t i, uint64_t n);

#ifdef __cplusplus
}
#endif
#endif
