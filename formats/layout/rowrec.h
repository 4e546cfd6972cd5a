/* rowrec.h -- layouts of a table that is looked up row by row: the codes of a row and its scales lie together, so that one read
 * of a disk brings all of it. The table of layouts of Engram's tables, and where a byte goes in each.
 *
 *	record  =  the codes of a row, its scales, zeros up to a multiple of the layout's unit
 *	table   =  records one after the other, in the order of rows
 *
 * A table of V4.1-Flash has 256 bytes of codes and 8 of scales in a row. Nothing here knows these numbers.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_LAYOUT_ROWREC_H
#define FORMATS_LAYOUT_ROWREC_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the codes and scales of a record are. */
enum rowrec_form {
	ROWREC_KEPT,  /* those of the table */
	ROWREC_MXFP4, /* rounded to MXFP4 (quant/table4.h) */
	ROWREC_CB4 /* rounded to levels of the table's own, which lie in a tensor beside the records (quant/cb4.h) */
};

struct rowrec {
	const char *name;
	const char *tensor; /* what tensors of such records are called behind "embed." */
	uint32_t unit;      /* bytes that a record is filled up to a multiple of */
	uint32_t bits; /* of a code: 8, or 4 of what is rounded, from which there is no way back */
	enum rowrec_form form;
	const char *what;
};
extern const struct rowrec rowrecs[];
extern const unsigned n_rowrecs;

/* Bytes of the codes and of the scales of a row of the table. */
struct rowrec_dim {
	uint64_t codes, scales;
};

/* Returns the layout of that name, or NULL. */
const struct rowrec *rowrec_find(const char *name);
/* Bytes of the codes and scales of a record. */
struct rowrec_dim rowrec_inside(const struct rowrec *r, struct rowrec_dim d);
/* Bytes of a record; rows of d must be shorter than 2^32 bytes. */
uint64_t rowrec_bytes(const struct rowrec *r, struct rowrec_dim d);
/* Where byte b of the codes, or of the scales, of a row goes: the closed form. */
uint64_t rowrec_code_at(const struct rowrec *r, struct rowrec_dim d, uint64_t row, uint64_t b);
uint64_t rowrec_scale_at(const struct rowrec *r, struct rowrec_dim d, uint64_t row, uint64_t b);

/* What byte at of the result is: the way back of both. */
enum rowrec_part { ROWREC_CODE, ROWREC_SCALE, ROWREC_FILL };
struct rowrec_place {
	uint64_t row, b; /* b counts from the beginning of the part */
	enum rowrec_part part;
};
struct rowrec_place rowrec_where(const struct rowrec *r, struct rowrec_dim d, uint64_t at);

/* Writes the records of n rows, whose codes and scales lie row after row, to dst; of a layout with codes of 8 bits. */
void rowrec_pack(const struct rowrec *r, struct rowrec_dim d, const uint8_t *codes,
	const uint8_t *scales, size_t n, uint8_t *dst);

#ifdef __cplusplus
}
#endif
#endif
