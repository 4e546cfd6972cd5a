/* role_sum.h -- tensors summed up by what they are: a name in which every number is "#".
 *
 *	layers.3.ffn.experts.17.w1.weight  ->  layers.#.ffn.experts.#.w1.weight
 *
 * From names alone, so that it works for any folder of tensors.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_REPORT_ROLE_SUM_H
#define VERIFY_REPORT_ROLE_SUM_H
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { ROLES_MAX = 512 }; /* beyond, all are "(others)" */

struct role_sum {
	char name[128];
	uint64_t n, bytes;
	uint64_t changed;        /* of them, where two are compared */
	double max_abs, max_rel; /* largest differences of values */
};

/* Zeroed = none. */
struct roles {
	struct role_sum *v; /* owns */
	size_t n, cap;
	size_t last;
};
/* The sum that the tensor belongs to, made if need be; NULL without memory. */
struct role_sum *roles_of(struct roles *r, const char *tensor);
/* Adds one tensor. */
int roles_add(struct roles *r, const char *tensor, uint64_t bytes, struct err *e);
/* As section "roles", sorted by name. */
void roles_put(struct roles *r, struct report *out);
void roles_free(struct roles *r);

#ifdef __cplusplus
}
#endif
#endif
