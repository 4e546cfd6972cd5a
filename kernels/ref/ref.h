/* ref.h -- the plain C rows of struct dev, by family; ref.c puts them together.
 *
 * Straight loops over fmath.h and linear.h, nothing else: this is what a device is held against. Each
 * is documented in dev.h, under its name there.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_REF_REF_H
#define KERNELS_REF_REF_H
#if defined REF_FP32 && defined REF_FMA /* both of the following */
#define ref_moves fp32fma_moves
#define ref_hc fp32fma_hc
#define ref_norm fp32fma_norm
#define ref_linear fp32fma_linear
#define ref_compress fp32fma_compress
#define ref_attn fp32fma_attn
#define ref_moe fp32fma_moe
#define ref_dot fp32fma_dot
#elif defined \
	REF_FMA /* the same sources compiled once more, for processors with FMA (Makefile, fma_x86.c) */
#define ref_moves fma_moves
#define ref_hc fma_hc
#define ref_norm fma_norm
#define ref_linear fma_linear
#define ref_compress fma_compress
#define ref_attn fma_attn
#define ref_moe fma_moe
#define ref_dot fma_dot
#elif defined REF_FP32 /* and without rounding to BF16 (fp32.c) */
#define ref_moves fp32_moves
#define ref_hc fp32_hc
#define ref_norm fp32_norm
#define ref_linear fp32_linear
#define ref_compress fp32_compress
#define ref_attn fp32_attn
#define ref_moe fp32_moe
#define ref_dot fp32_dot
#endif
#ifdef REF_WIDE /* and once more with dot products in double (wide_dot.c) */
#define ref_hc wide_hc
#define ref_norm wide_norm
#define ref_linear wide_linear
#define ref_compress wide_compress
#define ref_attn wide_attn
#define ref_dot wide_dot
#endif
#include "kernels/dev.h"
#ifdef REF_FP32
#include "kernels/fmath.h"
#define fm_bf16 fm_float
#endif

#ifdef __cplusplus
extern "C" {
#endif

void ref_moves(struct dev *d);
void ref_hc(struct dev *d);
void ref_norm(struct dev *d);
void ref_linear(struct dev *d);
void ref_compress(struct dev *d);
void ref_attn(struct dev *d);
void ref_moe(struct dev *d);

/* Replaces the rows by those compiled for FMA and AVX2, where that was done and features has both. */
void fma_rows(struct dev *d, unsigned features);

/* Replaces the rows by those of FP32 arithmetic, in which bf(x) is x and nothing is quantised. */
void fp32_rows(struct dev *d, unsigned features);
/* Those of them that were compiled for FMA and AVX2, where that was done. */
void fp32fma_rows(struct dev *d);

/* Replaces the rows by those of another order of sums (dev_cpu_order of dev.h). */
void wide_rows(struct dev *d, enum dev_order order);

/* dot(a, b) of dev.h. */
float ref_dot(const float *a, const float *b, uint64_t n);

#ifdef __cplusplus
}
#endif
#endif
