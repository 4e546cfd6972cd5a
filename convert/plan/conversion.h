/* conversion.h -- all that a conversion writes: a list of folders, each with a plan of its own.
 *
 *	official, slice, restore    OUT
 *	hf                          OUT/source, OUT; without what restore needs OUT alone
 *	an engine                   OUT/source, OUT/rank-R-of-N for each rank, with stages
 *	                            OUT/pp-S-of-P/rank-R-of-N; OUT/manifest.json lists them
 *
 * The folders stand in the order in which they are finished: a manifest that names another folder's comes
 * after it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_PLAN_CONVERSION_H
#define CONVERT_PLAN_CONVERSION_H
#include "convert/plan/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

struct conversion {
	struct plan_opts opts;
	struct plan *folders; /* owns; [n] */
	size_t n, cap;
	bool is_set;           /* OUT is none of the folders, its manifest lists them */
	enum codec experts;    /* of the output */
	uint64_t bytes, files; /* of weights, in all folders */
	uint64_t fate_n[FATE_COUNT], fate_bytes[FATE_COUNT]; /* each source tensor counts once */
	char hash[65]; /* of a set: over the hashes of its folders; else that of OUT */
};

/* Plans all folders that o asks for; of an engine o->share says how many ranks and stages. Returns 0 and a
 * conversion that the caller frees; it borrows a->ckpt and o->share.placement, but a itself may be freed at
 * once. Returns -1 where the options cannot be met: *c is then zeroed. */
int conversion_make(struct conversion *c, const struct audit *a, const struct plan_opts *o,
	struct err *e);
void conversion_free(struct conversion *c);

/* The folder whose manifest is OUT/manifest.json; of a set its source/, which stands for the whole where
 * only the checkpoint matters. */
static inline const struct plan *conversion_main(const struct conversion *c)
{
	return &c->folders[c->is_set ? 0 : c->n - 1];
}

/* What becomes of source tensor i, in whichever folder that is; FATE_NONE where it is elsewhere for all. */
enum fate conversion_fate(const struct conversion *c, size_t i);

#ifdef __cplusplus
}
#endif
#endif
