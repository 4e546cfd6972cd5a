/* rollup.h -- an atlas summed up by role (layers.#.ffn.experts.#.w1.weight) and by block (layers.3).
 *
 *	by energy   error and energy of all tensors of the sum: what is large counts as much as it is large
 *	by use      of routed experts alone, each times the tokens that it saw: what no token reaches does not count
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_ATLAS_ROLLUP_H
#define VERIFY_ATLAS_ROLLUP_H
#include "verify/atlas/atlas.h"

#ifdef __cplusplus
extern "C" {
#endif

struct rollup {
	const char *by;   /* "role", "block" or "all"; static */
	const char *name; /* in the arena of the atlas, or static; of "block" in word */
	char word[ATLAS_WORD];
	uint64_t tensors, bytes;
	struct sums s;
	bool clips;                      /* of all of them */
	double used_energy, used_error;  /* times tokens; energy 0: no use is known */
	bool weighed;                    /* of one at least */
	const struct atlas_entry *worst; /* with the lowest SQNR; NULL: all are exact */
};

struct rollups {
	struct rollup *v; /* owns; roles by name, then blocks in the order of the model, then all */
	size_t n, cap;
};

/* Sums up the entries that were measured. Returns -1 without memory. */
int rollups_make(struct rollups *r, const struct atlas *a, struct err *e);
void rollups_free(struct rollups *r);
/* The name that it is shown by. */
const char *rollup_name(const struct rollup *r);

#ifdef __cplusplus
}
#endif
#endif
