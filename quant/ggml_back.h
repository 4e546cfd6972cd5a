/* ggml_back.h -- the way back from rows of ggml: values of any type that is read, and a matrix of them as the codes and
 * scales of a number format.
 *
 * Without residues (quant/residue.h) each block gets the least scale: other codes and scales than the source may have had,
 * of the same values, bit for bit. With them they are those of the source.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_GGML_BACK_H
#define QUANT_GGML_BACK_H
#include "quant/ggml.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Decodes cols elements of a row of that type, a multiple of its block: floats, Q8_0, MXFP4 and those of ggml_lowbit.h. A
 * NaN scale gives NaN. features: bits of enum cpu_feature that may be used, on which no value depends. Returns false for other
 * types. */
bool ggml_values(uint32_t type, const uint8_t *src, size_t cols, unsigned features, double *v);

/* Returns whether ggml_values knows the type. */
bool ggml_decodes(uint32_t type);

/* A matrix as it lies there. */
struct ggml_matrix {
	enum codec from; /* the format that it is taken back to; CODEC_NONE: ids in I64 */
	uint32_t type;   /* enum ggml_type */
	uint64_t rows, cols;
	const uint8_t *rows_at; /* row i begins at byte i * stride */
	uint64_t stride;
	const uint8_t *kept; /* the frame of its residues, n_kept bytes; n_kept 0: none was kept */
	size_t n_kept;
};
/* Returns whether there is a way back. */
bool ggml_has_back(enum codec from, uint32_t type);
/* Returns the bytes of work that ggml_back wants. */
size_t ggml_back_work(enum codec from, uint64_t rows, uint64_t cols);
/* Writes codes, and scales where the format has some. work: aligned as malloc does. Returns false where values are none
 * that the format has, or the frame is none of this matrix. */
bool ggml_back(const struct ggml_matrix *m, uint8_t *codes, uint8_t *scales, uint8_t *work);

#ifdef __cplusplus
}
#endif
#endif
