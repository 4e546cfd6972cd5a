/* Stands in for linear_avx2.c and linear_avx512.c on other processors. The rows that name these need
 * features which cpu_none.c never reports, so they are not used.
 * SPDX-License-Identifier: MIT */
#include "kernels/linear/linear_core.h"

const struct linear_core linear_avx2 = { 0 }, linear_avx512 = { 0 };
