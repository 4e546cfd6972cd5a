/* SPDX-License-Identifier: MIT */
#include "core/cpu.h"

#include <cpuid.h>

unsigned cpu_found(void)
{
	unsigned a, b, c, d, got = 0;

	__builtin_cpu_init();
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 29) &&
		__builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3"))
		got |= CPU_SHA;
	if (__builtin_cpu_supports("avx2"))
		got |= CPU_AVX2;
	if (__get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) && __builtin_cpu_supports("fma"))
		got |= CPU_FMA;
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2") &&
		__builtin_cpu_supports("popcnt"))
		got |= CPU_AVX512;
	return got;
}
