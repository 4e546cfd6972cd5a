/* rank_counts.h -- whether every rank of a folder that has the files of all ranks (vllm-sharded) has all parameters.
 *
 * Each of them was held to its name and part before (formats/conversion/vllm_form.h): what is left is that a rank may
 * lack some that others have whole.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_RANK_COUNTS_H
#define VERIFY_COMPARE_RANK_COUNTS_H
#include "verify/compare/walk.h"

#ifdef __cplusplus
extern "C" {
#endif

struct rank_count {
	uint64_t n, names; /* parameters, and the sum of the digests of their names */
};
struct rank_counts {
	struct rank_count *v; /* owns; [n] of each rank */
	size_t n, cap;
};

/* Counts the parameters of a file, if it is one of such a rank. Returns -1 without memory. */
int rank_counts_add(struct rank_counts *c, const struct walk_file *f, struct err *e);
/* Reports ranks that have other parameters than rank 0 (compare.lost): one that is there twice stands for none. */
void rank_counts_hold(const struct rank_counts *c, struct report *r);
/* c may be zeroed. */
void rank_counts_free(struct rank_counts *c);

#ifdef __cplusplus
}
#endif
#endif
