/* ggml_search.h -- rows of matrices in types of ggml that round: decoded from a number format of the source and encoded by
 * the searches of quant/lowbit.h, and what became of their values.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_GGML_SEARCH_H
#define QUANT_GGML_SEARCH_H
#include "quant/ggml_back.h"
#include "quant/lowbit.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Returns the way from MXFP4, FP8 with scales of either kind, BF16 or F32 to a type that there is an encoder of: it is lossy, and
 * its row and back are NULL, since rows are made by ggml_search_row. Returns NULL where there is no such way. */
const struct ggml_way *ggml_searched_find(enum codec from, uint32_t type);
/* What such a row is made by and with. All is borrowed. */
struct ggml_search {
	const struct lowbit_way *way;
	const float *weights; /* [cols] of the columns, or NULL */
	double *v;            /* [cols] the values that the row has, set by ggml_search_row */
	double *got;          /* [cols] those that were written, set by it too */
	float *x;             /* [cols] room */
};
/* Writes a row of cols columns to dst, and its values to s->v and s->got. Returns what struct ggml_way.row does: cols, or the first
 * column whose value cannot be had in the type; then dst and s->got hold nothing of use. */
size_t ggml_search_row(const struct ggml_way *how, const struct ggml_search *s,
	const uint8_t *codes, const uint8_t *scales, size_t cols, uint8_t *dst);
/* Returns how many blocks of such a row a verdict is about: blocks of the type, 32 columns where it has none. */
size_t ggml_search_blocks(uint32_t type, size_t cols);
/* Returns in how many of them a value of s->got is not that of s->v. */
size_t ggml_search_changed(uint32_t type, const struct ggml_search *s, size_t cols);

#ifdef __cplusplus
}
#endif
#endif
