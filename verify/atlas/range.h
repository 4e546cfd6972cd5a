/* range.h -- between which numbers a value must lie for its block to have a code near it: what lies outside is clipped.
 *
 * A block's lowest and highest number are what it decodes to with its scales as they are and every code the lowest, or the
 * highest; of a codebook they are the largest of any entry. A value is clipped that lies beyond by more than half of the
 * outermost step: rounding alone would bring it nearer. BF16, F16 and F32 have no end that a weight comes near.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_ATLAS_RANGE_H
#define VERIFY_ATLAS_RANGE_H
#include "verify/atlas/values.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How bounds of a format are had. */
enum range_how {
	RANGE_UNKNOWN, /* not told for this format: a count of clipped values would be a guess */
	RANGE_NONE,    /* nothing is ever clipped */
	RANGE_CODES,   /* by decoding with the codes at either end */
	RANGE_GRID     /* by the scales of a codebook's groups */
};
enum range_how range_how(const struct lie *l);

/* Writes the bounds of the cols values of row i of what lie_read has read of rows row .. row + n; the format has some
 * (RANGE_CODES, RANGE_GRID). room: as many bytes as a row of codes has. */
void range_row(const struct lie *l, const uint8_t *buf, uint64_t row, uint64_t n, uint64_t i,
	uint8_t *room, double *lo, double *hi);

#ifdef __cplusplus
}
#endif
#endif
