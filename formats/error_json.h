/* error_json.h -- an error as a JSON document (dsv4-error-1, docs/schema/error.json), for calls with --json that
 * have nothing else to print.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_ERROR_JSON_H
#define FORMATS_ERROR_JSON_H
#include "core/err.h"
#include "core/text.h"

#ifdef __cplusplus
extern "C" {
#endif

/* tool: its name; verb may be NULL. Appends to out. */
void error_json_put(struct text *out, const char *tool, const char *verb, const struct err *e);

#ifdef __cplusplus
}
#endif
#endif
