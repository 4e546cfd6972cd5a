/* rowbase.h -- planes of scales as a base for each row and small offsets: the form of a frame before zstd compresses it.
 *
 * Scales of one row of a matrix (E8M0: exponents) are mostly one of three neighbours, and which one of them is how often
 * differs from row to row. So each row has a base, and rows that are alike stand together, where zstd's entropy coder
 * gives each class a table of its own.
 *
 *	u32 bytes           of the plane
 *	u32 row             bytes of a row, at least ROWBASE_ROW; the last row may be shorter
 *	u8 base[rows]       at most 253
 *	u8 class[rows]      less than ROWBASE_CLASSES
 *	class by class      the codes of its rows, one row after the other, four to a byte, the first in the low bits; the
 *	                    last byte of a class is filled up with zeros; a class without rows has no bytes
 *	u8 exception[]      the bytes of codes 3, class by class in the order of the codes
 *
 * A code c < 3 stands for the byte base + c; 3 stands for the next exception. docs/archive.md draws it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_ARCHIVE_ROWBASE_H
#define FORMATS_ARCHIVE_ROWBASE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
	ROWBASE_ROW =
		8, /* fewest bytes of a row: one scale of a row of V4.1's Engram is the smallest */
	ROWBASE_CLASSES = 8,
	ROWBASE_PARTS = ROWBASE_CLASSES + 2
};

/* The form of a plane: bytes end[i - 1] to end[i] are best compressed by themselves. */
struct rowbase {
	size_t n; /* parts */
	size_t end[ROWBASE_PARTS];
};

/* Returns the most bytes of the form of n bytes. */
size_t rowbase_bound(size_t n);
/* Turns n > 0 bytes, less than 4 GiB, rows of `row` >= ROWBASE_ROW bytes, into their form at dst, which has room for rowbase_bound(n). */
void rowbase_pack(const uint8_t *p, size_t n, uint32_t row, uint8_t *dst, struct rowbase *parts);
/* Turns a form of k bytes back into n > 0 bytes. Returns false where the k bytes are not a form of n bytes, whatever they
 * are; out is then undefined. */
bool rowbase_unpack(const uint8_t *src, size_t k, uint8_t *out, size_t n);

#ifdef __cplusplus
}
#endif
#endif
