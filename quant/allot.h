/* allot.h -- one option for each of many units, so that the sum of errors is least under a sum of bytes: which type each tensor of a
 * GGUF gets under a size.
 *
 * Of each unit only the options on the lower convex hull of (bytes, error) are steps. They are taken in the order of error saved for
 * each byte, from the choice of fewest bytes on; what room is left then goes to the options, of the hull or not, that save most. The
 * same units give the same choice anywhere: sums run in the order of units, ties go to the first unit and then to the first option.
 *
 * That is no search through all choices. How far off it can be is known: no choice under the size has an error below result.bound,
 * which is what the steps reach where the last one may be taken in part (the linear relaxation). tests/test_allot.c holds both to all
 * choices of small cases.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_ALLOT_H
#define QUANT_ALLOT_H
#include "core/err.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { ALLOT_OPTIONS = 32 }; /* of a unit, at most */

/* A way to write a unit. */
struct allot_option {
	uint64_t bytes;
	double error; /* finite, not negative */
};
struct allot_unit {
	const struct allot_option *v; /* borrows; [n], at least one and at most ALLOT_OPTIONS */
	size_t n;
	size_t pick; /* what was chosen, an index into v */
};

/* What a choice comes to. */
struct allot_result {
	uint64_t bytes;
	double error;
	double bound; /* no choice of at most so many bytes as were asked for has an error below this */
};

/* Returns the fewest bytes that any choice has; UINT64_MAX where their sum does not fit. */
uint64_t allot_least(const struct allot_unit *u, size_t n);
/* Sets pick of all n units so that their bytes are at most budget. Returns 0; or -1 without memory, or where budget is below
 * allot_least (ERR_USAGE, without a sentence for people: the caller knows what the bytes are of). */
int allot_choose(struct allot_unit *u, size_t n, uint64_t budget, struct allot_result *r,
	struct err *e);

/* A choice on the way from the fewest bytes to the least error. */
struct allot_point {
	uint64_t bytes;
	double error;
};
/* Sets *v to the choices that the steps go through, in the order of bytes, each of least error for its bytes; *n says how many. The caller
 * frees *v. pick of the units is that of the last. Returns 0, or -1 without memory. */
int allot_frontier(struct allot_unit *u, size_t n, struct allot_point **v, size_t *n_points,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
