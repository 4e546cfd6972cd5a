/* lowbit_avx2.c -- the searches of quant/lowbit_search.inc with AVX2: eight lanes.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "formats/gguf/ggml_type.h"
#include "quant/lowbit_way.h"
#include "quant/num.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#define TARGET __attribute__((target("avx2")))
#define FAST static inline TARGET __attribute__((always_inline))
#define WAY lowbit_avx2
#define NAME "avx2"
#define NEED CPU_AVX2
#define V(op) _mm256_##op
enum { LANES = 8 };
typedef __m256 vf;
typedef __m256 vm;
#include "quant/lowbit_vector.inc"

FAST vf magnitude(vf a)
{
	return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}

FAST vf masked(vf a, uint32_t m)
{
	return _mm256_and_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32((int)m)));
}

FAST vm below(vf a, vf b)
{
	return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}

FAST vf pick(vm m, vf a, vf b)
{
	return _mm256_blendv_ps(b, a, m);
}

FAST vf stepped(vf v, const int *p)
{
	return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(v),
		_mm256_loadu_si256((const void *)p)));
}

FAST unsigned lane_least(const vf *e, float *low)
{
	unsigned a, b;

	*low = least8(least(e[0], e[1]));
	a = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(e[0], all(*low), _CMP_EQ_OQ));
	b = (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(e[1], all(*low), _CMP_EQ_OQ));
	return (unsigned)__builtin_ctz(a | b << 8);
}

#include "quant/lowbit_search.inc"
