/* ggml_floats.h -- rows in ggml's types as FP32 numbers, by the fastest way that a processor has.
 *
 * The values are those of quant/ggml_lowbit.h to the last bit, signs of zeros included: the vectors do the same operations in
 * the same order. Types without a row of their own are decoded by that file.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_GGML_FLOATS_H
#define QUANT_GGML_FLOATS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ggml_floats {
	uint32_t type; /* enum ggml_type */
	/* Writes the values of n blocks that lie one after the other. */
	void (*blocks)(const uint8_t *src, size_t n, float *v);
};
/* The rows for AVX2 and AVX-512 (quant/ggml_floats.inc), the same types in both. They end with a row without a function; on
 * other processors there is no row. */
extern const struct ggml_floats ggml_floats_avx2[], ggml_floats_avx512[];

/* Returns whether ggml_floats decodes the type. */
bool ggml_floats_has(uint32_t type);
/* Decodes cols values, a multiple of the type's block, of F16, Q8_0 or a type of ggml_lowbit.h. features: bits of enum
 * cpu_feature that may be used; 0 takes plain C, which is the meaning. Returns false for other types. */
bool ggml_floats(uint32_t type, const uint8_t *src, size_t cols, unsigned features, float *v);

#ifdef __cplusplus
}
#endif
#endif
