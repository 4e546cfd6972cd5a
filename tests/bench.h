/* bench.h -- what the parts of "make bench" share.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_BENCH_H
#define TESTS_BENCH_H
#include <stddef.h>

/* n bytes at random, page-aligned; exits if there are none. */
void *take(size_t n);
/* Repeats fn over buffers of n bytes for a good while; GB/s of input, the best of five. */
double rate(void (*fn)(void *), void *ctx, size_t n);

/* bench_tile.c: packing and unpacking, by layout and way. */
void bench_tiles(void);
/* bench_row.c: rows in new number formats, by step and way. */
void bench_rows(void);
/* bench_lowbit.c: encoders of ggml's types, beside the library of ggml at path, NULL: alone; an exit status. */
int bench_lowbits(const char *path);
/* The experts of a layer of V4-Flash's shape, so many, in the types of gguf-q2 by that library; an exit status. */
int bench_chunks(const char *path, const char *threads, const char *experts);
/* bench_round.c: encoders of number formats that round, by each way of this processor; an exit status. */
int bench_rounds(void);
/* bench_read.c: the command reads, with its arguments; an exit status. */
int bench_reads(int n, char **a);
/* bench_linear.c: linears by type and way, beside fmaf and reading. */
void bench_linears(void);
#endif
