/* draw.h -- an atlas as drawings for the page: what layer and expert lost, matrix by matrix.
 *
 *	expert     0 1 2 ..        a row for each layer, drafts last
 *	layers.0   # # # #         a column for each routed expert
 *	layers.1   # # # #         colour: the SQNR in dB, the same for w1, w2 and w3
 *
 * The colours go from dark blue to yellow (after cividis, which looks alike to the colour-blind) and their light grows with
 * them; a matrix that is exact is a line and no cell; what was not measured is empty. Figures stand in the legend, and those
 * of a row appear where the mouse rests on it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_ATLAS_DRAW_H
#define VERIFY_ATLAS_DRAW_H
#include "core/text.h"
#include "verify/atlas/atlas.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Appends HTML: the drawings of a, and with b, which may be NULL, those of how much better or worse b is. Returns -1
 * without memory. */
int draw_atlas(const struct atlas *a, const struct atlas *b, struct text *out, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
