/* ref.h -- the plain C rows of struct dev, by family; ref.c puts them together.
 *
 * Straight loops over fmath.h and linear.h, nothing else: this is what a device is held against. Each
 * is documented in dev.h, under its name there.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_REF_REF_H
#define KERNELS_REF_REF_H
#ifdef REF_FMA /* the same sources compiled once more, for processors with FMA (Makefile, fma_x86.c) */
#define ref_hc fma_hc
#define ref_norm fma_norm
#define ref_linear fma_linear
#define ref_compress fma_compress
#define ref_attn fma_attn
#define ref_moe fma_moe
#define ref_dot fma_dot
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

/* Replaces the rows by those of another order of sums (dev_cpu_order of dev.h). */
void wide_rows(struct dev *d, enum dev_order order);

/* dot(a, b) of dev.h. */
float ref_dot(const float *a, const float *b, uint64_t n);

#ifdef __cplusplus
}
#endif
#endif
