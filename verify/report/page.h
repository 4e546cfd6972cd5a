/* page.h -- a report as one HTML page that needs nothing else: inline styles and SVG, no script, nothing
 * fetched, light and dark.
 *
 *	verdict and subject, what "true" means for this verb, when, which call and version
 *	findings by group, a few of each
 *	sections as tables; files that a finding names are marked; bytes by role also as bars of one scale
 *	where values were compared: a heat map, a row for each layer, a column for each expert
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_REPORT_PAGE_H
#define VERIFY_REPORT_PAGE_H
#include "core/dest.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

/* By which a page of this program is known. */
extern const struct dest_kind page_kind;
void page_put(const struct report *r, struct text *out);

#ifdef __cplusplus
}
#endif
#endif
