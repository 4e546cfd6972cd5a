/* tally.h -- what became of the blocks of matrices in another number format: added up by role, for the manifest, with
 * layers that route by token id, layers that route by score, and drafts apart; and where the first rounded ones are.
 *
 * Sums do not depend on the order in which files are finished, and places are taken in the order of the plan.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_OUT_TALLY_H
#define CONVERT_OUT_TALLY_H
#include "convert/make/stream.h"
#include "formats/conversion/block_roles.h"
#include "formats/conversion/sidecar.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Rounded blocks of one file. Zeroed: none. */
struct tally_places {
	struct manifest_place *v; /* owns; the first MANIFEST_PLACES; names are of the plan */
	size_t n;
};

/* Adds the steps of a file that s made. Returns -1 without memory. */
int tally_add(struct block_roles *t, const struct stream *s, struct err *e);

/* Keeps the rounded blocks of a file that s made. Returns -1 without memory. */
int tally_places_of(struct tally_places *p, const struct stream *s, struct err *e);

/* Both, of file f of plan p, by what its sidecar s says of the tensors, which are those of the plan. */
int tally_of_sidecar(struct block_roles *t, struct tally_places *places, const struct plan *p,
	const struct plan_file *f, const struct sidecar *s, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
