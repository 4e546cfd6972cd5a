/* page.h -- a report for CI (JUnit's XML) and for people (one HTML page that needs nothing else).
 *
 *	JUnit   a test case for each file that was looked at, and for each place that a finding names; errors
 *	        are failures, what could not be told is an error, warnings are output
 *	HTML    verdict, findings, sections of the report as tables, the section "roles" also as bars: inline
 *	        styles and SVG, no script, nothing fetched
 *
 * Names come from files that may be hostile: everything is escaped, control bytes and what is no UTF-8 are
 * shown as \xNN.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_REPORT_PAGE_H
#define VERIFY_REPORT_PAGE_H
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

void page_put_junit(const struct report *r, struct text *out);
void page_put_html(const struct report *r, struct text *out);

/* s, escaped for element text and for attributes in double quotes. */
void page_put_escaped(struct text *out, const char *s);

#ifdef __cplusplus
}
#endif
#endif
