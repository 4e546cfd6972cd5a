/* options.h -- what was asked for, as the manifest of a folder has it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_OUT_OPTIONS_H
#define CONVERT_OUT_OPTIONS_H
#include "convert/plan/plan.h"
#include "formats/conversion/manifest.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Appends the options of the plan, as manifest.options has them. */
void options_put(const struct plan *p, struct text *t);

#ifdef __cplusplus
}
#endif
#endif
