/* curve.h -- size against weighted error as a drawing for the page, and as rows of a report: the frontier, what was chosen, the
 * names of dsv4-quant, and the size of the result that was measured.
 *
 *	error ^                     line: the frontier; points of it say their figures where the mouse rests
 *	      | \  + name           +     a name; o the choice
 *	      |  \_o  |             |     the files of OUT: only their size is known in this measure
 *	      +-------|---> size
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_ATLAS_CURVE_H
#define VERIFY_ATLAS_CURVE_H
#include "verify/atlas/frontier.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Adds the drawing and the rows to r. files: bytes of the files of weights of OUT. */
void curve_put(struct report *r, const struct frontier *f, uint64_t files);

#ifdef __cplusplus
}
#endif
#endif
