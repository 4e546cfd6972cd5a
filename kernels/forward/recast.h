/* recast.h -- an expert's FP4 matrix as the FP8 that it is exactly, if it is: for computing a source in the
 * order of sums that its conversion to FP8 has.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_FORWARD_RECAST_H
#define KERNELS_FORWARD_RECAST_H
#include "core/err.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Recodes rows x cols (multiples of the blocks of FP8) from MXFP4 to FP8: codes and scales in, fp8 and
 * fp8_scales out, all of them the caller's. Returns 1; 0 if a value would change, and then what was written
 * means nothing; -1 without memory. */
int recast(const uint8_t *codes, const uint8_t *scales, uint32_t rows, uint32_t cols, uint8_t *fp8,
	uint8_t *fp8_scales, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
