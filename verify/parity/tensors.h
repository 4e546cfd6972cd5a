/* tensors.h -- what lies in a conversion: every folder, file and tensor, as a loader sees it through libdsv4.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_PARITY_TENSORS_H
#define VERIFY_PARITY_TENSORS_H
#include "core/err.h"
#include "core/text.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Appends the list of the conversion at path to out, as text or as one JSON document (dsv4-tensors-1): of the folders of
 * one rank, a number, or where rank is NULL of all. Documents and headers are held to their digests, payload is not read. Rules:
 * those of dsv4_open; check.rank where no folder is of that rank. On failure nothing
 * is appended. */
int tensors_put(struct text *out, const char *path, const char *rank, bool json, struct err *e);

/* Puts what the library reported into e. Returns -1. */
struct dsv4_error;
int tensors_failed(struct err *e, const struct dsv4_error *why);

#ifdef __cplusplus
}
#endif
#endif
