/* values.h -- what doctor looks at of the values that tensors hold: all scales and samples of the weights, or with --full
 * all of them, and what that comes to (scan.h, suspect.h).
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_DOCTOR_VALUES_H
#define VERIFY_DOCTOR_VALUES_H
#include "verify/doctor/consumer.h"
#include "verify/doctor/doctor_opts.h"
#include "verify/doctor/formed.h"

#ifdef __cplusplus
extern "C" {
#endif

struct values {
	const struct ckpt *c;
	const struct formed *
		f; /* a model in other number formats than a checkpoint's; NULL: it is a checkpoint */
	const struct consumer *who; /* who will load it; NULL: nobody in particular */
	const struct doctor_opts *o;
	struct report *r;
};

/* Adds findings and a row about what was looked at. Data that cannot be read is a finding, too. */
int values_look(const struct values *v, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
