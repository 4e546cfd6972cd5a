/* checksum.h -- checksum.json of the files that a plan has made, whose form formats/conversion/presharded.h has; and READY,
 * the mark behind it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_OUT_CHECKSUM_H
#define CONVERT_OUT_CHECKSUM_H
#include "convert/out/outdir.h"
#include "convert/plan/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Appends checksum.json to *out. The files lie under their names in d, and their tensors are read once more. */
int checksum_put(struct text *out, const struct plan *p, const struct outdir *d, struct err *e);

/* Whether a small file of the plan is the mark that all others are there, so that it must come last. */
bool checksum_is_mark(const struct plan *p, const struct plan_small *s);
/* Removes the mark, if the plan has one, before anything else in the folder changes. */
int checksum_unmark(const struct plan *p, const struct outdir *d, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
