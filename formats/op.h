/* op.h -- how an output tensor came about: the words of the member "transform" of sidecars.
 *
 * Who converts makes them, who reads a sidecar finds them there. What each of them does is described in
 * docs/format.md.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_OP_H
#define FORMATS_OP_H

#ifdef __cplusplus
extern "C" {
#endif

enum op {
	OP_COPY,    /* the source bytes */
	OP_ROWS,    /* a range of rows: bytes of one piece */
	OP_COLS,    /* a range of columns */
	OP_DEQUANT, /* FP8 weight times its scale, in BF16; maybe a range of rows */
	OP_CAST, /* FP4 codes to E4M3 with a scale for each of the blocks that FP8 has in the family */
	OP_CAST_SCALE, /* those scales */
	OP_REMAP,      /* expert ids, made ids of fewer experts (cols of them) */
	OP_TILE,       /* experts one after the other, each laid out for an engine */
	OP_WIDEN,      /* E8M0 scales as FP32 numbers, exactly */
	OP_REFORM,     /* a tensor of a matrix in another number format */
	OP_GGML,       /* matrices one after the other, in rows of a type of ggml */
	OP_JOIN,       /* tensors below one another, of each the same range of rows and columns */
	OP_NARROW,     /* expert ids as 32-bit integers, exactly */
	OP_JOIN_F32,   /* the same, whose E8M0 or BF16 numbers become FP32, exactly */
	OP_RECORD,     /* rows of codes with their scales behind them */
	OP_HALVES,     /* rows of two halves: all first halves, then all second ones */
	OP_FIRSTS,     /* of each column of an Engram table its first rows */
	OP_LEVELS,     /* of a table in 4 bits: the levels that its records have numbers of */
	OP_COUNT
};
struct op_row {
	const char *name; /* as in sidecars */
	const char *what;
};
extern const struct op_row ops[OP_COUNT];

/* Which tensor of a matrix in a new number format one of OP_REFORM is: formats/codec.h says what they are called. */
enum op_part {
	PART_CODES,
	PART_SCALES,
	PART_SECOND, /* the factor of the matrix */
	PART_INPUT, /* the scale of what the matrix is multiplied with, which is measured and not made of weights */
	PART_SHAPE, /* rows and columns of the matrix, two I64 */
	PART_ZEROS, /* the zero points of the matrix */
	PART_COUNT
};
extern const char *const op_parts[PART_COUNT]; /* as in sidecars */

#ifdef __cplusplus
}
#endif
#endif
