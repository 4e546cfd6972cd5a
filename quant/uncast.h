/* uncast.h -- what the exact cast of FP4 experts to FP8 (fp4to8.h) drops, kept beside it, and the way back.
 *
 * The cast keeps every value and drops how it was written: the scale of each group of 32, and whether a
 * zero was code 0 or code 8. Most of that follows from the values:
 *
 *	scale of a group  =  the smallest that can write its largest value, 2^(e-2) for a value of 1 or
 *	                     1.5 times 2^e (T + 6 where all are zero), times 2^residue
 *	code of a zero    =  0, or 8 where its bit says so
 *
 * Kept are the residues, a byte for each group (of zeros: the difference of the bytes), then the bits of
 * the zeros, both in the order of the matrix, the lowest bit first; all of it as one zstd frame. Where
 * everything is zero nothing is kept.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_UNCAST_H
#define QUANT_UNCAST_H
#include "core/err.h"
#include "quant/fp4to8.h"
#include "quant/signs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a matrix drops, while it is cast row by row. */
struct dropped {
	struct signs
		signs; /* p: dropped_room(rows, k) bytes, of which the first are the residues */
	size_t groups; /* residues so far */
	bool any;      /* not all of it is zero */
};

/* Bytes for what a matrix of rows x k codes may drop. k is a multiple of 32. */
size_t dropped_room(uint64_t rows, uint64_t k);
/* features: bits of enum cpu_feature; what comes out does not depend on them. */
void dropped_begin(struct dropped *d, uint8_t *p, uint64_t rows, uint64_t k, unsigned features);
/* A row: K/2 bytes of codes, its K/32 scale bytes s, the new ones t of its blocks. */
void dropped_row(struct dropped *d, const uint8_t *src, const uint8_t *s, const uint8_t *t,
	size_t k, enum fp4to8_block b);

/* How far the scale s of a group of 32 codes, in a and b, lies above the smallest that would do; t is the new one. */
static inline uint8_t uncast_residue(uint64_t a, uint64_t b, uint8_t s, uint8_t t)
{
	uint64_t any = a | b, four = any & NIBBLES(4), two = any & NIBBLES(2);

	if (((a & NIBBLES(4)) >> 1 & a) | ((b & NIBBLES(4)) >> 1 & b))
		return 0; /* 4 or 6 */
	if (four)
		return 1; /* 2 or 3 */
	if (two)
		return 2; /* 1 or 1.5 */
	if (any & NIBBLES(1))
		return 3; /* 0.5 */
	return (uint8_t)(s - (t + FP4TO8_SHIFT));
}

/* For joined.h: codes [rows][k/2] and scales [rows][k/32] of a matrix that was cast to fp8 [rows][k] with a
 * scale in t for each block b, of which it is a whole number; kept: the frame, of n bytes, 0 where nothing was kept. work:
 * uncast_work(rows, k) bytes. ERR_MISMATCH (set.digest) where the frame is not of such a matrix, or a byte is no FP4 value. */
size_t uncast_work(uint64_t rows, uint64_t k);
int uncast(const uint8_t *fp8, const uint8_t *t, enum fp4to8_block b, const uint8_t *kept, size_t n,
	uint32_t rows, uint32_t k, uint8_t *codes, uint8_t *scales, uint8_t *work, struct err *e);

/* All of it as a frame, for which dropped_frame(dropped_room(...)) bytes are enough. Returns its bytes, 0 on
 * failure. Nothing is added afterwards. */
size_t dropped_frame(size_t n);
size_t dropped_pack(struct dropped *d, uint8_t *frame, size_t room);

#ifdef __cplusplus
}
#endif
#endif
