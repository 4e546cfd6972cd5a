/* small.h -- the files beside the weights of a conversion, held to those of the source: copied, made of its config.json
 * by the target, or made by the tool and held to their digests in the manifest.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_SMALL_H
#define VERIFY_COMPARE_SMALL_H
#include "formats/model/checkpoint.h"
#include "verify/compare/slice_said.h"
#include "verify/compare/walk.h"

#ifdef __cplusplus
extern "C" {
#endif

struct small {
	const struct io *io;
	const struct ckpt *source; /* borrows */
	struct report *r;          /* borrows */
	const bool *
		on; /* borrows; a slice: which blocks of the source stay (slice_said.h); NULL: it is none */
	size_t places; /* of on */
	/* Counts files of a recipe that are not as the source alone makes them, instead of reporting them; NULL: none are
	 * excused. */
	uint64_t *open;
};

/* Reports what is wrong with the file (compare.file, and what reading gives), or counts it. Returns 0. */
int small_compare(const struct small *c, const struct walk_file *f);

#ifdef __cplusplus
}
#endif
#endif
