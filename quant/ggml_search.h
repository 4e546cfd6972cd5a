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

/* Returns the way from any of those formats (F32 and BF16, too) to a type that there is an encoder of: lossy, row and back
 * are NULL. NULL: there is no such encoder. */
const struct ggml_way *ggml_searched_find(enum codec from, uint32_t type);
/* What such a row is made by and with. */
struct ggml_search {
	const struct lowbit_way *way;
	const float *weights; /* [cols] of the columns, or NULL */
	double *v;            /* [cols] the values that the row has, set */
	double *got;          /* [cols] those that were written, set */
	float *x;             /* [cols] room */
};
/* Writes a row as struct ggml_way.row does; sets s->v and s->got. */
size_t ggml_search_row(const struct ggml_way *how, const struct ggml_search *s,
	const uint8_t *codes, const uint8_t *scales, size_t cols, uint8_t *dst);
/* Blocks of such a row that a verdict is about, and of those the ones in which a value changed: blocks of the type, 32
 * columns where it has none. */
size_t ggml_search_blocks(uint32_t type, size_t cols);
size_t ggml_search_changed(uint32_t type, const struct ggml_search *s, size_t cols);

#ifdef __cplusplus
}
#endif
#endif
