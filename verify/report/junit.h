/* junit.h -- a report as JUnit's XML, for CI.
 *
 *	testsuite   one, named after the verb, with time and date
 *	testcase    one for the whole, one for each file that was looked at, one for each other file that a
 *	            finding names. Errors make a case a failure, what could not be told makes it an error,
 *	            warnings are its output. The suite's counts are counts of cases.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_REPORT_JUNIT_H
#define VERIFY_REPORT_JUNIT_H
#include "core/dest.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

/* By which JUnit's XML of this program is known. */
extern const struct dest_kind junit_kind;
void junit_put(const struct report *r, struct text *out);

#ifdef __cplusplus
}
#endif
#endif
