/* cpu.h -- which fast paths this processor can run.
 *
 * DSV4_CPU=plain in the environment (for tests; it can only make things slower) answers none,
 * DSV4_CPU=avx2 leaves out AVX-512. Ask once, at set-up, and keep the answer.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_CPU_H
#define CORE_CPU_H

#ifdef __cplusplus
extern "C" {
#endif

enum cpu_feature {
	CPU_SHA = 1,    /* SHA-NI with SSE4.1 */
	CPU_AVX2 = 2,   /* AVX2 */
	CPU_AVX512 = 4, /* AVX-512 F, BW, VL */
	CPU_FMA = 8,    /* FMA and F16C */
};
/* Bits of enum cpu_feature. */
unsigned cpu_features(void);

#ifdef __cplusplus
}
#endif
#endif
