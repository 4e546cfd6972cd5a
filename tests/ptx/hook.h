/* hook.h -- from now on, launches run PTX in place of what g++ compiled.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_PTX_HOOK_H
#define TESTS_PTX_HOOK_H
#include "core/err.h"

#include <stdint.h>

/* files: paths with commas between. Later launches that fail print why and return a CUDA error. */
int hook_ptx(const char *files, struct err *e);
/* Warp instructions run; 0 without hook_ptx. */
uint64_t hook_count(void);

#endif
