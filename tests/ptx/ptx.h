/* ptx.h -- runs PTX, the text that nvcc writes for an architecture, on the CPU.
 *
 * Neither a GPU nor a model of one: ptxas, caches, memory order and speed are not here. It answers one
 * question, whether the code that nvcc made of our kernels computes the same bits as plain C.
 * The idea: a warp is 32 columns of every register. The lanes with the lowest address go on together, so
 * lanes that parted meet again; and what an instruction means is one row of a table (op.c), found by its
 * whole name. A name that is not there is an error, never a guess: that keeps out approximations,
 * flushing of denormals, additions that may be contracted, float atomics, local memory, calls.
 *
 * Shared memory and registers begin as 0xff. Addresses of global memory are the host's, so ASan sees a
 * kernel's stray access; shared memory, parameters and alignment are checked here.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_PTX_PTX_H
#define TESTS_PTX_PTX_H
#include "core/err.h"

#include <stddef.h>
#include <stdint.h>

struct ptx; /* a module */

/* Copies what it needs of the text. Errors name the line. NULL: see e. */
struct ptx *ptx_parse(const char *text, size_t n, struct err *e);
void ptx_free(struct ptx *p);
const char *ptx_target(const struct ptx *p); /* "sm_80" */

/* Runs a kernel whose only parameter has these bytes. Blocks are (n, 1, 1). 0 or -1. */
int ptx_run(struct ptx *p, const char *kernel, const unsigned grid[3], unsigned threads,
	const void *param, size_t size, struct err *e);
/* Instructions run until now, each counted once for a warp. */
uint64_t ptx_count(const struct ptx *p);

#endif
