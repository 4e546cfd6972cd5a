/* file_work.h -- the tensors of one file of a conversion, each made once more and compared: what compare.c does with every
 * file that it walks to.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_FILE_WORK_H
#define VERIFY_COMPARE_FILE_WORK_H
#include "formats/conversion/manifest.h"
#include "formats/gguf/imatrix_digest.h"
#include "formats/model/checkpoint.h"
#include "formats/model/mix.h"
#include "quant/graft/graft.h"
#include "verify/compare/compare_opts.h"
#include "verify/compare/coverage.h"
#include "verify/compare/rank_counts.h"
#include "verify/compare/said.h"
#include "verify/compare/source_digests.h"
#include "verify/compare/walk.h"

#include <pthread.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A comparison of a conversion with its source. */
struct compare {
	const struct compare_opts *o;
	struct report *r;
	struct ckpt source;
	struct manifest
		source_of; /* of SOURCE, where that is a conversion itself (source_made.h); zeroed: it is none */
	struct graft
		graft; /* owns; open where o->experts_from is given: source has its experts from there */
	char experts_from
		[128]; /* what the manifest says of another folder, which was not given; "": nothing */
	uint64_t
		undecided; /* tensors and files that are not as the source alone makes them, for that reason */
	struct coverage used;
	struct progress *progress;
	bool slice; /* experts and layers were left out, and config.json says so */
	bool *on; /* owns; [places] the blocks that the conversion was asked for; NULL until a manifest said it */
	size_t places;
	bool skips; /* official: copies that the converter leaves out */
	bool no_drafts; /* they were left out, or it is a GGUF, in which those of the model have no place */
	bool no_engram; /* a manifest says that it was left out */
	bool failed;    /* some file could not be looked at */
	uint64_t tensors, units, bytes, left_out;
	struct said
		said; /* what manifests and sidecars say of blocks; the lock of the file is held for found */
	struct rank_counts by_rank;    /* owns */
	struct source_digests digests; /* owns */
	struct imatrix imatrix;        /* open where o->imatrix is given */
	char imatrix_sha256[65];
	struct mix mix; /* owns; the recipe of the manifest; zeroed where there is none */
};

/* A file while its tensors are compared by several threads. */
struct file_work {
	struct compare *c;
	const struct walk_file *f;
	pthread_mutex_t lock; /* guards what follows, and the report */
	size_t next;
	uint64_t units, bytes;
};

/* Compares all tensors of the file, on as many threads as --max-memory allows for the largest of them. Findings go to
 * the report; returns -1 where memory is out. */
int file_work_run(struct file_work *w, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
