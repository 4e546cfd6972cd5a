/* cpu.h -- what this processor can run, and how many of its kind this process may use.
 *
 * DSV4_CPU in the environment leaves out fast paths, for tests and for comparing: "plain" leaves out all of them,
 * "avx2" those with AVX-512. It can only make things slower. Ask once, at set-up, and keep the answer.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_CPU_H
#define CORE_CPU_H
#include "core/err.h"

#ifdef __cplusplus
extern "C" {
#endif

enum cpu_feature {
	CPU_SHA = 1,    /* SHA-NI with SSE4.1 */
	CPU_AVX2 = 2,   /* AVX2 */
	CPU_AVX512 = 4, /* AVX-512 F, BW, VL; BMI2 and POPCNT, which all that have those have */
	CPU_FMA = 8,    /* FMA and F16C */
};
/* Returns bits of enum cpu_feature: what the processor has, less what DSV4_CPU leaves out. A value of DSV4_CPU that
 * is not known leaves out everything. */
unsigned cpu_features(void);
/* Returns -1 and ERR_USAGE if DSV4_CPU is set to a value that is not known. */
int cpu_check(struct err *e);
/* What the processor has, whatever DSV4_CPU says: cpu_x86.c, or cpu_none.c elsewhere. */
unsigned cpu_found(void);

/* Returns how many processors this process may use, at least 1: its affinity, and so its cpuset, counts. */
unsigned cpu_count(void);

#ifdef __cplusplus
}
#endif
#endif
