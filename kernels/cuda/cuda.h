/* cuda.h -- the device of dev.h on a GPU.
 *
 * The same bits as plain C: every sum in the order that dev.h states, no tensor cores, no approximations
 * (docs/numbers.md). cuda*.cu has it; cuda_none.c stands in where it was not built.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_CUDA_CUDA_H
#define KERNELS_CUDA_CUDA_H
#include "kernels/dev.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The first GPU. ERR_UNSUPPORTED, with a sentence that says why, where there is none, no driver, or no
 * CUDA in this program: then dev_open_cpu is there. */
int dev_open_cuda(struct dev *d, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
