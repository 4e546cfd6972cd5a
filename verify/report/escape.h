/* escape.h -- texts of any bytes inside XML and HTML: element text, and attributes in double quotes.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_REPORT_ESCAPE_H
#define VERIFY_REPORT_ESCAPE_H
#include "core/text.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Appends s with the five characters of markup as entities; control bytes, and bytes that are no UTF-8, become
 * the text \xNN. A line feed is kept, other white space of control is not. */
void escape_put(struct text *out, const char *s);

#ifdef __cplusplus
}
#endif
#endif
