/* ggml.h -- rows of matrices in the block formats of ggml, as GGUF files have them: a row for each pair of a number
 * format of the source and a type of ggml.
 *
 *	MXFP4   E | c0 c16 | c1 c17 | ... | c15 c31    17 bytes for 32 columns: the scale byte, then code j in the low
 *	                                               and code j + 16 in the high half of byte j
 *	Q8_0    d (FP16) | q0 .. q31                   34 bytes for 32 columns: d = max|x| / 127 in FP32, q = x * (1 / d)
 *	                                               rounded half away from zero; then d is rounded to FP16
 *
 * MXFP4 is moved and changes nothing. Of the others a value is decoded by quant/codec.h and encoded; whether it stayed
 * is told. Source: ggml d99724f, block_mxfp4, block_q8_0 and quantize_row_q8_0_ref; tests/oracle/runtime_gguf.py holds
 * the bytes to the package gguf.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_GGML_H
#define QUANT_GGML_H
#include "formats/gguf/ggml_type.h"
#include "quant/codec.h"
#include "quant/row.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How a row is made. */
struct ggml_way {
	enum codec from; /* CODEC_NONE: I64, ids of experts */
	uint32_t type;   /* enum ggml_type; GGML_F32 and the like */
	bool lossy;      /* values are rounded */
	/* Writes a row of cols elements to dst; scales are those of the row, from column 0, NULL where from has none.
	 * w: what rows are made by; what is written does not depend on it. v: room for cols doubles, zeroed before the first
	 * row of that many columns: it may have tables for the next one. Returns the first column whose value cannot be had in type (NaN, too large, or, of a
	 * way that is not lossy, not the same), cols if there is none. */
	size_t (*row)(const struct row_way *w, const uint8_t *codes, const uint8_t *scales,
		size_t cols, double *v, uint8_t *dst);
	/* The way back of a row that way->row wrote: codes, and scales of its own (MXFP4; NULL else). scales of formats
	 * whose blocks have several rows are read from scales. Returns false where that is no row that it writes. NULL:
	 * there is no way back. */
	bool (*back)(const uint8_t *src, uint8_t *scales, size_t cols, double *v, uint8_t *codes);
};
extern const struct ggml_way ggml_ways[]; /* ends with a NULL row */
/* Returns the row of that pair, NULL where there is none. */
const struct ggml_way *ggml_way_find(enum codec from, uint32_t type);
/* Bytes of a row of so many columns, a multiple of the type's block. */
uint64_t ggml_row_bytes(uint32_t type, uint64_t cols);

#ifdef __cplusplus
}
#endif
#endif
