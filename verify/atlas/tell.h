/* tell.h -- an atlas as sections of a report: sums, roles, blocks, the worst tensors, and how another result compares.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_ATLAS_TELL_H
#define VERIFY_ATLAS_TELL_H
#include "verify/atlas/atlas.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { TELL_WORST = 40 }; /* tensors of the list of the worst */

/* Fills r, and the drawings of its page. Returns -1 without memory. */
int tell_atlas(struct report *r, const struct atlas *a, struct err *e);
/* The same, and how b differs, which is of the same source: that is held by the digests of the tensors that both have
 * (rule atlas.other). */
int tell_two(struct report *r, const struct atlas *a, const struct atlas *b, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
