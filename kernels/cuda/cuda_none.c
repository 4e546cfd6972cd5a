/* Stands in for cuda*.cu in a program built without CUDA.
 * SPDX-License-Identifier: MIT */
#include "kernels/cuda/cuda.h"

int dev_open_cuda(struct dev *d, struct err *e)
{
	(void)d;
	return err_set(e, ERR_UNSUPPORTED, "this program was built without CUDA");
}
