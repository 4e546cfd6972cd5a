/* shape.h -- what the kernels take for granted of a model's sizes.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_FORWARD_SHAPE_H
#define KERNELS_FORWARD_SHAPE_H
#include "core/err.h"
#include "formats/model/params.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Returns -1, rule forward.shape, where the forward pass cannot compute a model of these sizes: it works on whole
 * blocks of 128 columns, on four residual streams, and rounds keys in blocks of 64 beside the rotated part. */
int shape_fits(const struct params *p, const struct config *c, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
