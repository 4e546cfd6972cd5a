/* grid.h -- one value for each layer and expert: the largest difference that was seen there.
 *
 *	            shared  0    1    2   ..   columns: everything that is not a routed expert, then the experts
 *	layers.0      v     v    v    v
 *	layers.1      v     v    v    v       rows: the blocks in the order in which they were first seen
 *	mtp.0         v     v    v    v
 *
 * It is filled from names of tensors alone, so that it works for any folder of tensors. Tensors outside
 * blocks (embed, head, norm) are not in it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_REPORT_GRID_H
#define VERIFY_REPORT_GRID_H
#include "core/err.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { GRID_ROWS = 1024, GRID_COLUMNS = 2049 }; /* bounds for names that come from files */

struct grid_row {
	char name[32];
	float *v; /* owns; [cols], negative: nothing was compared there */
	size_t cols;
};

/* Zeroed = empty. */
struct grid {
	const char *title;     /* static: what a value is */
	struct grid_row *rows; /* owns */
	size_t n, cap;
	size_t columns; /* of the longest row; column 0 is all that is no routed expert */
};

/* Keeps the larger of v and what is there at the place that the tensor's name says. Names that say none, and
 * places beyond the bounds, are passed over. Returns -1 without memory. */
int grid_add(struct grid *g, const char *tensor, double v, struct err *e);
/* The value at a place; negative where nothing was compared. */
double grid_at(const struct grid *g, size_t row, size_t column);
void grid_free(struct grid *g);

#ifdef __cplusplus
}
#endif
#endif
