/* fiber.h -- runs a CUDA kernel on the CPU, block by block, every thread of a block a fiber.
 *
 * Not a simulator of a GPU: it runs what g++ made of the source, says nothing about ptxas, drivers or
 * memory models, and knows only what our kernels use (one-dimensional blocks, barriers, warp exchange).
 * The idea: a barrier is a place where a fiber is put aside until the others have come; the last one to
 * come wakes them. What can never go on is reported with the line where each thread waits, and aborts.
 *
 * Shared memory is filled with 0xff before each block and device memory when it is allocated, so that what
 * was never written reads as NaN. Built with -DFIBER_TSAN (and without TSan itself), each fiber is a thread
 * to ThreadSanitizer, and a missing barrier a data race.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_FIBER_FIBER_H
#define TESTS_FIBER_FIBER_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { FIBER_MAX = 1024, FIBER_WARP = 32 };

/* The thread that runs: read by threadIdx and blockIdx. */
struct fiber_ids {
	unsigned thread[3], block[3];
};
extern const struct fiber_ids *fiber_now;
extern unsigned fiber_grid[3], fiber_block[3];

/* What a warp does together. */
enum fiber_op { FIBER_SYNC, FIBER_FROM, FIBER_XOR, FIBER_DOWN, FIBER_BALLOT };

void fiber_barrier(const char *file, int line);
uint64_t fiber_warp(enum fiber_op op, uint32_t mask, uint64_t value, int arg, const char *file,
	int line);

/* A launch: run(call) once for each thread. kernel is its address (for its name) and param the bytes of
 * its only parameter, for whoever runs something else instead. 0, or 1: a grid or block that CUDA would
 * refuse. */
struct fiber_job {
	const void *kernel, *param;
	size_t param_size;
	unsigned grid[3], block[3];
	void (*run)(void *call);
	void *call;
};
int fiber_launch(const struct fiber_job *l);

/* 1; 0 in none.c, which a program for a GPU has in place of all this. */
extern const int fiber_here;

/* For tests. If set, runs a launch in place of the source that g++ compiled; 0 or a CUDA error. */
extern int (*fiber_instead)(void *ctx, const char *kernel, const struct fiber_job *l);
extern void *fiber_instead_ctx;
/* 0: threads begin in ascending order, 1: in descending order. */
extern int fiber_order;
/* Launches until now, and how many of them ran something else instead. */
extern unsigned long fiber_launches, fiber_replaced;

#ifdef __cplusplus
}
#endif
#endif
