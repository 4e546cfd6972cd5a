/* fp8to16.h -- FP8 with block scales to BF16: w = bf16(e4m3 * scale).
 *
 * An E4M3 value has four significant bits and a scale is a power of two, so the product is exact in
 * BF16 unless the exponent leaves its range or the scale is no power of two; both are noticed.
 * With a power of two that keeps all products among the normal numbers of BF16 the codes are turned into
 * products by quant/row.h. For any other scale the 256 products are computed once and looked up.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_FP8TO16_H
#define QUANT_FP8TO16_H
#include "quant/row.h"

#ifdef __cplusplus
extern "C" {
#endif

struct fp8to16_table {
	const struct row_way *way; /* NULL: the products are looked up */
	struct row_fp8 row;        /* where way is not NULL */
	uint16_t bf16[256];        /* these where it is */
	uint8_t lossy[256];        /* 1: the BF16 is not exactly the product */
	uint8_t any_lossy;         /* of the 256; 0 where way is not NULL */
};
/* Makes t the table of that scale: num_e8m0() of a byte, or what the file holds. way: how rows are made where
 * they can be; NULL: products are looked up always. */
void fp8to16_table_make(struct fp8to16_table *t, float scale, const struct row_way *way);
/* A table that stays while the scale does. Zeroed before its first use. */
struct fp8to16_tile {
	struct fp8to16_table t;
	float scale; /* of t */
	bool made;
};
/* Returns the table of that scale, which lies in tile; way as above. */
const struct fp8to16_table *fp8to16_tile(struct fp8to16_tile *tile, float scale,
	const struct row_way *way);
/* n bytes to n BF16 in little-endian order at dst. Returns the index of the first NaN code, or n. */
uint32_t fp8to16_run(const struct fp8to16_table *t, uint8_t *dst, const uint8_t *src, uint32_t n);
/* Index of the first code whose product is not exact, or n. */
uint32_t fp8to16_loses(const struct fp8to16_table *t, const uint8_t *src, uint32_t n);

#ifdef __cplusplus
}
#endif
#endif
