/* ggml_type.h -- the types that a tensor of a GGUF file can have: their numbers, names and blocks.
 *
 * A row of a tensor is a whole number of blocks; a block of `items` elements takes `bytes` bytes.
 *
 * Source: enum ggml_type and the block structs of llama.cpp 0c1e570; tests/oracle/runtime_gguf.py holds the table against the
 * Python package gguf.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_GGUF_GGML_TYPE_H
#define FORMATS_GGUF_GGML_TYPE_H
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The types that this program writes; the table has all. The values are those of the files. */
enum ggml_type {
	GGML_F32 = 0,
	GGML_F16 = 1,
	GGML_Q8_0 = 8,
	GGML_Q2_K = 10,
	GGML_Q3_K = 11,
	GGML_Q4_K = 12,
	GGML_Q5_K = 13,
	GGML_Q6_K = 14,
	GGML_IQ2_XXS = 16,
	GGML_IQ3_XXS = 18,
	GGML_IQ4_NL = 20,
	GGML_IQ4_XS = 23,
	GGML_I32 = 26,
	GGML_BF16 = 30,
	GGML_MXFP4 = 39,
	GGML_NVFP4 = 40 /* which is read, and never written */
};

/* Blocks of those two, whose bytes this program makes and reads. */
enum {
	GGML_MXFP4_ITEMS = 32,
	GGML_MXFP4_BYTES = 17, /* the scale, then the codes */
	GGML_Q8_0_ITEMS = 32,
	GGML_Q8_0_BYTES = 34 /* d in FP16, then the numbers */
};

struct ggml_type_row {
	uint32_t type;
	const char *name; /* as ggml spells it in upper case */
	uint16_t items;   /* elements of a block */
	uint16_t bytes;   /* bytes of a block */
};
/* Ends with a row whose name is NULL. */
extern const struct ggml_type_row ggml_types[];

/* Returns the row of that number, NULL where ggml has no such type or has removed it. */
const struct ggml_type_row *ggml_type_find(uint32_t type);
/* Returns "MXFP4" and the like, "?" for what ggml_type_find does not know. */
const char *ggml_type_name(uint32_t type);

#ifdef __cplusplus
}
#endif
#endif
