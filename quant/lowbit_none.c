/* Stands in for lowbit_avx2.c and lowbit_avx512.c on other processors. These ways need features which cpu_none.c never
 * reports, so they are not taken.
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "quant/lowbit_way.h"

const struct lowbit_way lowbit_avx2 = { .name = "avx2", .need = CPU_AVX2 };
const struct lowbit_way lowbit_avx512 = { .name = "avx-512", .need = CPU_AVX512 };
