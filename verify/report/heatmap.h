/* heatmap.h -- a grid as a drawing: a row for each layer, a column for each expert, darker is more.
 *
 *	colour   logarithm of the value, over 8 decades below the largest; a value of 0 has a colour of its own,
 *	         a place where nothing was compared has none
 *
 * A grid with more columns than DRAWN is drawn with several experts to a cell, the largest of them counts.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_REPORT_HEATMAP_H
#define VERIFY_REPORT_HEATMAP_H
#include "core/text.h"
#include "verify/report/grid.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Appends inline SVG with a legend; nothing for an empty grid. */
void heatmap_put(const struct grid *g, struct text *out);

#ifdef __cplusplus
}
#endif
#endif
