/* planner.h -- makes the plan of a folder from headers alone.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_PLAN_PLANNER_H
#define CONVERT_PLAN_PLANNER_H
#include "convert/plan/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Plans what options o ask for of the checkpoint that a describes. Returns 0 and a plan that the caller
 * frees with plan_free; it borrows a->ckpt, but a itself may be freed at once. Returns -1 where the options
 * cannot be met: *p is then zeroed. */
int plan_make(struct plan *p, const struct audit *a, const struct plan_opts *o, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
