/* Stands in for row_avx2.c and row_avx512.c on other processors. These ways need features which cpu_none.c never reports,
 * so they are not taken.
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "quant/row.h"

const struct row_way row_avx2 = { .name = "avx2", .need = CPU_AVX2 };
const struct row_way row_avx512 = { .name = "avx-512", .need = CPU_AVX512 };
