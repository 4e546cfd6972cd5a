/* model_id.h -- which model a checkpoint is, by its headers and a part of its bytes.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_MODEL_ID_H
#define FORMATS_MODEL_MODEL_ID_H
#include "formats/model/audit.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Fills id with a digest, in hex, that tells a model from others: SHA-256 over names, types and shapes of all tensors, and over the first
 * 4096 bytes of each that is no scale. Two models that differ only elsewhere have the same id. Returns 0; or -1 where the source cannot be
 * read, or without memory. */
int model_id(const struct audit *a, char id[65], struct err *e);

#ifdef __cplusplus
}
#endif
#endif
