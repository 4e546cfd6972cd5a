/* run.h -- executes a conversion: makes, digests and writes all files of all folders, several at a time.
 *
 * The bytes written depend on the plans alone, not on threads or memory.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_RUN_RUN_H
#define CONVERT_RUN_RUN_H
#include "convert/out/known.h"
#include "convert/run/anew.h"
#include "convert/run/run_opts.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What came of a folder, or of all. */
struct run_counts {
	size_t made, kept; /* files */
	uint64_t written;  /* bytes of the files made */
	size_t went_on;    /* of the files made: those in which an earlier run was told to stop */
	uint64_t went_on_bytes; /* bytes of them that were there; not written */
	size_t linked;          /* of the files made: those of the base, which were not written */
	uint64_t linked_bytes;
	uint64_t blocks, inexact; /* cast */
	uint64_t scales[3];       /* of experts laid out: scale bytes 0, above 247, above 249 */
};

struct run_folder {
	struct run_counts n;
	uint8_t (*sha256)[32]; /* owns; of each file of the folder's plan, if that computes it */
};

struct run_result {
	struct run_counts sum;
	struct run_folder *folders; /* owns; [n]; as those of the conversion */
	size_t n;
	struct run_anew anew;
	size_t freed; /* shards that run --reclaim has removed */
	uint64_t freed_bytes;
	unsigned proofs; /* how often everything was compared with the source once more (proof.h) */
};

/* Refuses what run_conversion would refuse for what lies in out; changes nothing. *there: bytes of the
 * conversion that need no free space. atlas: as in run_opts. */
int run_look(const struct conversion *c, const char *out, bool overwrite, bool atlas,
	uint64_t *there, struct err *e);

/* Returns 0 when everything is written and published. After -1, what a source that is found false has
 * produced is removed, and what was finished before any other failure stays for the next run. Where the source was
 * touched (ckpt.touched, formats/model/changed.h) it stays too. In all cases *r says what was done, and the caller
 * frees it. */
int run_conversion(const struct conversion *c, const struct run_opts *o, struct run_result *r,
	struct err *e);
/* What is known of file i of folder k: fills *known, or returns -1. */
typedef int run_known(void *ctx, size_t k, size_t i, struct known *known, struct err *e);
/* Finishes a conversion whose files of weights are all there, made by other processes: small files and manifests, as
 * run_conversion writes them. No payload is read. */
int run_finish(const struct conversion *c, const struct run_opts *o, run_known *known, void *ctx,
	struct run_result *r, struct err *e);
/* Holds the source, and the file of --imatrix, to what they were when c was planned. Returns -1 with ckpt.changed or
 * ckpt.touched (formats/model/changed.h); the source is to blame. It reads all of that file. */
int run_unchanged(const struct conversion *c, struct err *e);
void run_result_free(struct run_result *r);

/* Bytes that pass through a run, for its progress: outputs, and shards if they are digested. */
uint64_t run_work(const struct conversion *c, const struct run_opts *o);

#ifdef __cplusplus
}
#endif
#endif
