/* fp8to16.h -- FP8 with block scales to BF16: w = bf16(e4m3 * scale).
 *
 * An E4M3 value has four significant bits and a scale is a power of two, so the product is exact in
 * BF16 unless the exponent leaves its range or the scale is no power of two; both are noticed.
 * The 256 products of one scale are computed once and looked up.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_FP8TO16_H
#define QUANT_FP8TO16_H
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fp8to16_table {
	uint16_t bf16[256];
	uint8_t lossy[256]; /* 1: the BF16 is not exactly the product */
	uint8_t any_lossy;  /* of the 256 */
};
/* The scale as FP32: num_e8m0() of a byte, or what the file holds. */
void fp8to16_table_make(struct fp8to16_table *t, float scale);
/* n bytes to n BF16 in little-endian order at dst. Returns the index of the first NaN code, or n. */
uint32_t fp8to16_run(const struct fp8to16_table *t, uint8_t *dst, const uint8_t *src, uint32_t n);
/* Index of the first code whose product is not exact, or n. */
uint32_t fp8to16_loses(const struct fp8to16_table *t, const uint8_t *src, uint32_t n);

#ifdef __cplusplus
}
#endif
#endif
