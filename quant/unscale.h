/* unscale.h -- codes back from numbers that were made of them without loss, by the bits of the numbers.
 *
 * A product of a code and a power of two has the significant bits of the code, so the code can be read off it. What is no
 * such product is noticed, whatever it is. tests/test_unscale.c holds all of it to quant/num.h, number by number.
 *
 * BF16 numbers lie in little-endian order. Sources and destinations do not overlap and need no alignment.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_UNSCALE_H
#define QUANT_UNSCALE_H
#include "quant/row.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
	UNSCALE_E8M0_MIN = 2 /* with smaller scale bytes 0.5 * 2^(byte-127) is a subnormal BF16 */
};

/* Returns the largest of n BF16 without its sign, as bits, which are ordered as the magnitudes are; 0 of none. */
uint16_t unscale_top(const uint8_t *bf16, size_t n);
/* n BF16 to the E4M3 codes of which they are the products with 2^k, k from ROW_BF16_MIN to ROW_BF16_MAX. Returns false
 * where one of them is none; what is written then is not said. */
bool unscale_fp8(uint8_t *codes, const uint8_t *bf16, size_t n, int k);
/* ROW_GROUP BF16 to the E2M1 codes, ROW_GROUP_BYTES, of which they are the products with the E8M0 scale, from
 * UNSCALE_E8M0_MIN to 254. Returns false as above. */
bool unscale_fp4(uint8_t *codes, const uint8_t *bf16, unsigned scale);
/* n E4M3 codes, an even number, to n / 2 bytes of E2M1 codes of the same values. Returns false as above. */
bool unscale_narrow(uint8_t *codes, const uint8_t *e4m3, size_t n);
/* Returns whether f is a power of two that unscale_fp8 takes; it is 2^*k then. */
bool unscale_power(float f, int *k);

#ifdef __cplusplus
}
#endif
#endif
