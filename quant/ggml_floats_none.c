/* Stands in for ggml_floats_avx2.c and ggml_floats_avx512.c on other processors: there is no row.
 * SPDX-License-Identifier: MIT */
#include "quant/ggml_floats.h"

const struct ggml_floats ggml_floats_avx2[] = { { 0 } };
const struct ggml_floats ggml_floats_avx512[] = { { 0 } };
