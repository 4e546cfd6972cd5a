/* suspect.h -- what the numbers of a scan mean: findings, from one table of checks.
 *
 * Two kinds. "data." is what no sound checkpoint has: NaN codes, scales that are no powers of two, pages of
 * zeros where weights should be. "suspect." is what statistics say: a word of caution with a reason, never a
 * verdict, and the exit status does not change for it.
 *
 * Findings are one for each check and kind of tensor (names with every number as "#"), with the number of
 * tensors, the first of them and its byte: 33,792 experts with the same fault are one sentence.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_DOCTOR_SUSPECT_H
#define VERIFY_DOCTOR_SUSPECT_H
#include "verify/report/report.h"
#include "verify/doctor/scan.h"

#ifdef __cplusplus
extern "C" {
#endif

struct suspect_opts {
	const char *engine; /* whose e_min..e_max the scan was given; NULL: nobody's */
	bool casts;         /* it will cast FP4 to FP8 */
};

/* Adds what the marks of s come to. */
int suspect_judge(struct report *r, const struct scan *s, const struct suspect_opts *o,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
