/* none.c -- stands in for fiber.c in a program whose kernels run on a GPU.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/fiber/fiber.h"

#include <stddef.h>

const int fiber_here = 0;
int (*fiber_instead)(void *ctx, const char *kernel, const struct fiber_job *l);
void *fiber_instead_ctx;
int fiber_order;
unsigned long fiber_launches, fiber_replaced;
