/* lowbit_avx512.c -- the searches of quant/lowbit_search.inc with AVX-512: sixteen lanes.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "formats/gguf/ggml_type.h"
#include "quant/lowbit_way.h"
#include "quant/num.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl")))
#define FAST static inline TARGET __attribute__((always_inline))
#define WAY lowbit_avx512
#define NAME "avx-512"
#define NEED CPU_AVX512
#define V(op) _mm512_##op
enum { LANES = 16 };
typedef __m512 vf;
typedef __mmask16 vm;
#include "quant/lowbit_vector.inc"

FAST vf magnitude(vf a)
{
	return _mm512_abs_ps(a);
}

FAST vf masked(vf a, uint32_t m)
{
	return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(a),
		_mm512_set1_epi32((int)m)));
}

FAST vm below(vf a, vf b)
{
	return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}

FAST vf pick(vm m, vf a, vf b)
{
	return _mm512_mask_blend_ps(m, b, a);
}

FAST vf stepped(vf v, const int *p)
{
	return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(v), _mm512_loadu_si512(p)));
}

FAST unsigned lane_least(const vf *e, float *low)
{
	__m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(*e), 1));

	*low = least8(_mm256_min_ps(_mm512_castps512_ps256(*e), high));
	return (unsigned)__builtin_ctz(_mm512_cmp_ps_mask(*e, all(*low), _CMP_EQ_OQ));
}

#include "quant/lowbit_search.inc"
