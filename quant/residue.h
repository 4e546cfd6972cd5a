/* residue.h -- what the scales of a matrix say beyond its values, for formats that keep values alone.
 *
 * The values of a block and the smallest power of two with which its format can write the largest of them give all of its
 * codes back, as numbers. What was chosen as the scale may lie above that:
 *
 *	least    the smallest 2^k, k >= -127, with  largest value <= largest code * 2^k;  2^-127 where all are zero
 *	residue  E8M0: scale byte - byte of least, modulo 256; F32: bits of the scale xor bits of least
 *
 * Quantizers choose the least scale for FP8, so that residues are nearly always zero; a frame (zstd) is kept only where
 * one is not. Residues lie in the order of the scales.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_RESIDUE_H
#define QUANT_RESIDUE_H
#include "quant/codec.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Returns whether matrices of that format have such scales: MXFP4, FP8, FP8_F32. */
bool residue_has(enum codec from);
/* Returns the number k of 2^k that is the least scale of a block whose largest magnitude is top. */
int residue_least(enum codec from, double top);

/* The residues of a matrix that is read row by row. */
struct residues {
	enum codec from;
	uint64_t rows, cols;
	uint8_t *p; /* borrows; the residues so far */
	uint8_t *
		top; /* borrows; the largest magnitude of codes, for each block of the band at hand */
	bool any;    /* one of them is not zero */
};
/* Returns the bytes of room that residues_begin wants; 0 where the format has no scales. */
size_t residues_room(enum codec from, uint64_t rows, uint64_t cols);
/* Begins a matrix. room is the caller's, and must outlive r. */
void residues_begin(struct residues *r, enum codec from, uint64_t rows, uint64_t cols,
	uint8_t *room);
/* Takes a row: its codes, and the scales of its blocks, which are numbers. Rows come in order. Returns false where a scale
 * is zero: values do not tell its codes. */
bool residues_row(struct residues *r, uint64_t row, const uint8_t *codes, const uint8_t *scales);
/* Returns the bytes that a frame of a matrix may have. */
size_t residues_frame(enum codec from, uint64_t rows, uint64_t cols);
/* Writes all of it as a frame to p, of room bytes. Returns its bytes, 0 on failure. */
size_t residues_pack(const struct residues *r, uint8_t *p, size_t room);

/* Reads a frame of n bytes of such a matrix to p; n 0: all are zero. Returns false where it is none. */
bool residues_unpack(enum codec from, uint64_t rows, uint64_t cols, const uint8_t *frame, size_t n,
	uint8_t *p);
/* Returns the bytes of all residues, which p points to above. */
size_t residues_bytes(enum codec from, uint64_t rows, uint64_t cols);
/* Writes scale i (of a row of scales) of a block whose largest magnitude is top, given its residues; returns its value, 0
 * where there is no such scale. */
double residue_scale(enum codec from, double top, const uint8_t *residues, uint8_t *scales,
	size_t i);

#ifdef __cplusplus
}
#endif
#endif
