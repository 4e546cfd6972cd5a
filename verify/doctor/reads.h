/* reads.h -- what an engine makes of a model in a number format that is no checkpoint's: two tables.
 *
 * Which engine loads experts of which format beside which other matrices, and what config.json has to say for it. A row says how that is known;
 * a pair without a row was not looked at, and the answer is that this could not be told.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_DOCTOR_READS_H
#define VERIFY_DOCTOR_READS_H
#include "verify/doctor/consumer.h"
#include "verify/doctor/formed.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Adds findings about what f is and config.json says; who, who will load it, may be NULL. */
void reads_judge(const struct formed *f, const struct consumer *who, struct report *r);

#ifdef __cplusplus
}
#endif
#endif
