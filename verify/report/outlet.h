/* outlet.h -- where a report goes: stdout, as text or JSON, and the files that a call writes beside that.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_REPORT_OUTLET_H
#define VERIFY_REPORT_OUTLET_H
#include "core/dest.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What was asked for; borrowed. Of paths NULL is none, "-" is stdout. */
struct outlet_opts {
	bool json, quiet;
	const char *junit, *page; /* paths of JUnit's XML and of the HTML page */
	const char *fixed;        /* path of another document that the verb itself writes */
};

struct outlet {
	const struct outlet_opts *o; /* borrows */
	struct dest junit, page;
};

/* Tries the files before the work. Returns -1 where one cannot be written, or where two documents are to go to
 * stdout; then there is nothing to close. */
int outlet_open(struct outlet *x, const struct outlet_opts *o, struct err *e);
void outlet_close(struct outlet *x);
/* Prints the report and writes the files that were asked for. */
int outlet_put(struct outlet *x, const struct report *r, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
