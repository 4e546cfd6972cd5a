/* order.h -- in which order do the bytes of FP4 experts hold their codes? A guess from statistics.
 *
 * The order permutes weights inside groups of 32 columns: scales and the distribution of codes are the same in
 * any order. But the input of routed experts, of the shared expert and of the router is one vector, and where
 * training made some of its channels larger or smaller, all their columns show it. So the sizes of the columns
 * of routed experts are held against those of the other two, in three orders:
 *
 *	as it should be    low nibble first             byte j: columns 2j, 2j + 1
 *	exchanged          high nibble first            byte j: columns 2j + 1, 2j
 *	split              halves of a group of GGML    byte j: columns j, j + 16
 *
 * Another order is suspected where it correlates, and by six standard errors better than the right one. Without
 * structure in the columns nothing correlates and nothing is said.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_DOCTOR_ORDER_H
#define VERIFY_DOCTOR_ORDER_H
#include "formats/model/checkpoint.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

enum order { ORDER_RIGHT, ORDER_EXCHANGED, ORDER_SPLIT, ORDERS };

/* The order in which x (sizes of columns of routed experts, as stored) fits y best, D of each, groups of 32;
 * ORDER_RIGHT unless another is better by six standard errors. r: the correlations, may be NULL. */
enum order order_guess(const double *x, const double *y, uint64_t D, double r[ORDERS]);

/* All blocks of a checkpoint. */
int order_judge(struct report *r, const struct ckpt *c, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
