/* cb4_learn.h -- the levels of a table in 4 bits with a codebook (quant/cb4.h), from the table itself.
 *
 * What is chosen depends on the table alone: not on threads, on the processor or on the compiler. Sums are whole numbers, or doubles that
 * are added in a fixed order.
 *
 *	power   with b the largest scale byte of a block that is not all zeros: b - 134, so that the scale of a block is at most 1.75 * 2^15,
 *	        and that of a block down to 2^-29 times as large has all its bits. At least -100, and 0 in a table of zeros
 *	sample  runs of 16 rows: all rows of a table that has no more than 2 MiB of codes in them; of a larger one as many runs as 2 MiB
 *	        have, run j of n beginning with row j * rows / n. Blocks with a NaN, of zeros, or whose scale has not all its bits are not of it
 *	levels  of the values over their block's scale, which is the largest magnitude at first: Lloyd's iteration from levels evenly spread
 *	        from -1 to 1, until none moves. Then ten times: the sample is encoded, which chooses the scales, and the iteration goes on
 *	        with the values over those
 *
 * Each block counts alike: the error of a value is relative to the largest magnitude of its block, as in the choice of a scale. A row is
 * looked up alone, so that no row of large values is to decide over the others. The iteration minimises the sum of squares. Levels are not
 * held to be symmetric: a symmetric set is one that the iteration may end in, and what it goes on to has no greater error. Where the sample
 * has zeros one level is zero, number 7 or 8, whichever gives the smaller error at first; of both alike 7.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_CB4_LEARN_H
#define QUANT_CB4_LEARN_H
#include "core/err.h"
#include "quant/cb4.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where a table is read from. Returns 0 or -1, reported. */
struct cb4_table {
	/* Reads n bytes from byte off of the scales, or of the codes. */
	int (*read)(void *ctx, bool scales, uint64_t off, uint8_t *dst, size_t n, struct err *e);
	void *ctx;
	uint64_t rows;
	size_t cols; /* a multiple of CB4_BLOCK, at most CB4_COLS */
};

/* Bytes of room that learning takes, for a table of any size. */
size_t cb4_learn_room(void);
/* Chooses *b. room: cb4_learn_room() bytes, aligned as malloc has them. features: bits of enum cpu_feature, which decide how quickly. Returns
 * -1 where the table cannot be read. */
int cb4_learn(struct cb4_book *b, const struct cb4_table *t, unsigned features, void *room,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
