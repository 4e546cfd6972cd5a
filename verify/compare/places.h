/* places.h -- the rounded blocks that documents list, and those that the values have: the first of a conversion.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_PLACES_H
#define VERIFY_COMPARE_PLACES_H
#include "formats/conversion/manifest.h"

#ifdef __cplusplus
extern "C" {
#endif

struct places {
	struct manifest_place
		*v; /* owns; the first MANIFEST_PLACES, in the order in which they were added */
	size_t n, cap;
	struct arena arena; /* of their names */
};

/* Adds a place, unless there are MANIFEST_PLACES already; the name is copied. */
int places_add(struct places *p, const struct manifest_place *x, struct err *e);
/* Returns the number of the first place in which a and b differ, or in which one has none; -1 where they are the same. */
long places_differ(const struct places *a, const struct places *b);
void places_free(struct places *p);

#ifdef __cplusplus
}
#endif
#endif
