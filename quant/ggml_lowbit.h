/* ggml_lowbit.h -- what the bits of ggml's types below eight bits mean, and of those of eight that are seldom used: blocks
 * to values, in plain C and in the order of operations of ggml, so that the values are the same to the last bit.
 *
 * The arithmetic is FP32, as in ggml: a product of three factors is rounded once or twice, and which ones decides the last
 * bit. Source: llama.cpp 0c1e570, the structs block_* and the functions dequantize_row_*; tests/oracle/ggml_types.py holds
 * every type to the library of libggml-python 0.20.2 on random bytes. In two things NVFP4 is not as there, but as in
 * the rest of this program: a scale that is NaN gives NaN (ggml: 0), and code 8 is minus zero (ggml: zero).
 *
 *	type     block     what lies in it
 *	Q4_0     32, 18    d | 16 bytes of codes: i and i + 16                                  d (q - 8)
 *	Q4_1     32, 20    d m | 16                                                             d q + m
 *	Q5_0     32, 22    d | 4 bytes of fifth bits | 16                                       d (q - 16)
 *	Q5_1     32, 24    d m | 4 | 16                                                         d q + m
 *	Q2_K    256, 84    16 x (scale, min) of 4 bits | 64 | d dmin                            d s q - dmin m
 *	Q3_K    256, 110   32 of third bits | 64 | 12 bytes: 16 scales of 6 bits | d            d (s - 32) (q - 4)
 *	Q4_K    256, 144   d dmin | 12 bytes: 8 x (scale, min) of 6 bits | 128                  d s q - dmin m
 *	Q5_K    256, 176   d dmin | 12 | 32 of fifth bits | 128                                 d s q - dmin m
 *	Q6_K    256, 210   128 | 64 of upper bits | 16 scales of 8 bits | d                     d s (q - 32)
 *	IQ4_NL   32, 18    d | 16                                                               d level(q)
 *	IQ4_XS  256, 136   d | 2 bytes, 4 bytes: 8 scales of 6 bits | 128                       d (s - 32) level(q)
 *	IQ2_*   256        d, scales, entries of a codebook of 8 values each, signs             d (s + 1/2) / 4 x
 *	IQ3_*   256        the same with 4 values each
 *	IQ1_*   256        d, scales, entries of 8 values of -1, 0, 1; a shift of an eighth     d (2 s + 1) (x + 1/8)
 *	TQ1_0   256, 54    five digits of base 3 in a byte                                      d (q - 1)
 *	TQ2_0   256, 66    four of two bits                                                     d (q - 1)
 *	NVFP4    64, 36    4 scales E4M3 without sign | 32                                      s e2m1(q)
 *	Q1_0    128, 18    d | 16                                                               d or -d
 *	Q2_0     64, 18    d | 16                                                               d (q - 1)
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_GGML_LOWBIT_H
#define QUANT_GGML_LOWBIT_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ggml_lowbit {
	uint32_t type; /* as in formats/gguf/ggml_type.h, which says items and bytes of a block */
	/* Writes the values of a block. */
	void (*block)(const uint8_t *src, float *v);
};
enum { GGML_LOWBIT_MOST = 256 }; /* values of a block */
/* Returns the row of that type, NULL where there is none. */
const struct ggml_lowbit *ggml_lowbit_find(uint32_t type);

/* The numbers that the codes of IQ4_NL and IQ4_XS stand for. */
extern const int8_t ggml_levels[16];

/* The codebook of a type: an entry is `values` places among the levels, of `bits` bits each, the first in the lowest ones. */
struct ggml_grid {
	const uint16_t *entries;      /* [count] */
	unsigned count, values, bits; /* values and bits of an entry */
	const float *level;
	float unit; /* y = d (s + 1/2) unit level, or its negative */
};
/* Returns that of IQ2_XXS or IQ3_XXS, which lives as long as the program; NULL of other types. */
const struct ggml_grid *ggml_lowbit_grid(uint32_t type);

#ifdef __cplusplus
}
#endif
#endif
