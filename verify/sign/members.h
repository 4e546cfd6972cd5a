/* members.h -- objects of JSON that have these members, each once, and no others.
 *
 * Two readers must not see two things in one signed text: what is spelled twice, or is not known, is an
 * error and never skipped.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_SIGN_MEMBERS_H
#define VERIFY_SIGN_MEMBERS_H
#include "formats/json/jread.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One object while it is read. */
struct members {
	const char *const *names; /* at most 16, ends with NULL; borrows */
	const char *what;         /* for messages: "the envelope" */
	bool loose;               /* others are stepped over */
	unsigned seen;            /* bit i: names[i] was there */
};
/* Steps to the next member: 1 and its index in *which, 0 at the end, -1. */
int members_next(struct members *m, struct jread *j, unsigned *which, struct err *e);
/* An error if one of the members in the mask was not there. */
int members_need(const struct members *m, unsigned mask, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
