/* SPDX-License-Identifier: MIT */
#include "formats/op.h"

/* clang-format off */
const struct op_row ops[OP_COUNT] = {
	[OP_COPY]       = { "copy",       "the bytes of the source tensor" },
	[OP_ROWS]       = { "rows",       "a range of its rows" },
	[OP_COLS]       = { "columns",    "a range of its columns" },
	[OP_DEQUANT]    = { "dequantize", "FP8 weight times block scale, as BF16" },
	[OP_CAST]       = { "fp4-to-fp8", "FP4 codes as E4M3, one scale for 128 x 128, of V4.1 for 32 x 32" },
	[OP_CAST_SCALE] = { "fp4-to-fp8", "the scales of that" },
	[OP_REMAP]      = { "remap",      "expert ids, made ids of fewer experts" },
	[OP_WIDEN]      = { "e8m0-to-f32", "E8M0 scales as FP32 numbers" },
	[OP_REFORM]     = { "reform",     "codes, scales or factor of a matrix in another number format" },
	[OP_GGML]       = { "ggml",       "matrices one after the other, in rows of a type of ggml" },
	[OP_JOIN]       = { "join",       "tensors below one another, in one" },
	[OP_NARROW]     = { "i64-to-i32", "expert ids as 32-bit integers" },
	[OP_JOIN_F32]   = { "join-f32",   "the same, as FP32 numbers" },
	[OP_RECORD]     = { "record",     "the codes of a row and its scales in one record" },
	[OP_HALVES]     = { "halves",     "all first halves of rows, then all second ones" },
	[OP_FIRSTS]     = { "first-rows", "of each column of an Engram table its first rows" },
	[OP_LEVELS]     = { "levels",     "of a table in 4 bits the levels that its records have numbers of" },
	[OP_TILE]       = { "tile",       "experts one after the other, each laid out for an engine" },
};
/* clang-format on */
const char *const op_parts[PART_COUNT] = { "codes", "scales", "second", "input", "shape", "zeros" };
