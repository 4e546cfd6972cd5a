/* gguf_values.h -- a look at the values of a GGUF: numbers that are none, and scale bytes that lie elsewhere in their blocks
 * than they should.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_DOCTOR_GGUF_VALUES_H
#define VERIFY_DOCTOR_GGUF_VALUES_H
#include "formats/folder/folder.h"
#include "formats/model/gguf_folder.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Looks at all values of the set x in the folder at, or where full is false at the beginning and the end of each tensor;
 * types without numbers that it knows are said not to have been looked at. features: bits of enum cpu_feature that may be used. Returns -1 only where nothing can be said. */
int gguf_values_look(struct report *r, const struct folder *at, const struct gguf_in *x, bool full,
	unsigned features, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
