/* cb4_lloyd.h -- Lloyd's iteration: 16 levels to the least sum of weighted squares, for numbers of which each has a weight.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_CB4_LLOYD_H
#define QUANT_CB4_LLOYD_H
#include "quant/cb4.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A number, and what it weighs, which is above zero. */
struct cb4_point {
	double x, w;
};
/* Sorts n points, and fills sums of w and of w x: sum[k] is of the first k points, in their order; [n + 1] each. */
void cb4_lloyd_sort(struct cb4_point *p, size_t n, double *w, double *wx);
/* Moves levels, ascending, each to the mean of the points that are nearest to it, until none moves or so often that it does not matter. A level
 * to which no point is nearest stays, and so does number fixed; fixed CB4_LEVELS: none. */
void cb4_lloyd(double *level, unsigned fixed, const struct cb4_point *p, size_t n, const double *w,
	const double *wx);
/* Returns the sum of weighted squares. */
double cb4_lloyd_error(const double *level, const struct cb4_point *p, size_t n);

#ifdef __cplusplus
}
#endif
#endif
