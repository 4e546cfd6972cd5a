/* delta_show.h -- in what two releases differ (convert/out/delta.h), as text and as JSON (dsv4-delta-1).
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_CLI_DELTA_SHOW_H
#define CONVERT_CLI_DELTA_SHOW_H
#include "convert/out/delta.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Append d, whose tensors were compared. tensors: each one that is not the same, and each output file that is, too. target: of
 * the conversions, NULL where none were compared. */
void delta_show_text(struct text *out, const struct delta *d, const char *target, bool tensors);
void delta_show_json(struct text *out, const struct delta *d, const char *target, bool tensors);

#ifdef __cplusplus
}
#endif
#endif
