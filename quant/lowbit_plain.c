/* lowbit_plain.c -- the searches of quant/lowbit_search.inc in plain C: one lane.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/gguf/ggml_type.h"
#include "quant/lowbit_way.h"
#include "quant/num.h"

#include <math.h>
#include <string.h>

#define TARGET
#define FAST static inline
#define WAY lowbit_plain
#define NAME "plain"
#define NEED 0
enum { LANES = 1 };
typedef float vf;
typedef bool vm;

FAST vf all(float f)
{
	return f;
}

FAST vf get(const float *p)
{
	return *p;
}

FAST void put(float *p, vf v)
{
	*p = v;
}

FAST vf least(vf a, vf b)
{
	return a < b ? a : b;
}

FAST vf most(vf a, vf b)
{
	return a > b ? a : b;
}

FAST vf magnitude(vf a)
{
	return fabsf(a);
}

FAST vf masked(vf a, uint32_t m)
{
	return num_f32(num_bits(a) & m);
}

FAST vf root(vf a)
{
	return sqrtf(a);
}

FAST vm below(vf a, vf b)
{
	return a < b;
}

FAST vf pick(vm m, vf a, vf b)
{
	return m ? a : b;
}

FAST void q8_0_codes(const float *x, float id, uint8_t *q)
{
	unsigned i;

	for (i = 0; i < 32; i++)
		q[i] = (uint8_t)(int8_t)roundf(x[i] * id);
}

FAST float q8_0_largest(const float *x)
{
	float a, largest = 0;
	unsigned i;

	for (i = 0; i < 32; i++) {
		a = fabsf(x[i]);
		largest = a > largest ? a : largest;
	}
	return largest;
}

FAST vf stepped(vf v, const int *p)
{
	return num_f32(num_bits(v) + (uint32_t)*p);
}

FAST unsigned lane_least(const vf *e, float *low)
{
	unsigned k, at = 0;

	for (k = 1; k < ROUND_LANES; k++)
		at = e[k] < e[at] ? k : at;
	*low = e[at];
	return at;
}

FAST void pairs16(const float *level, int zero, uint8_t *codes)
{
	unsigned i;

	for (i = 0; i < 16; i += 2)
		codes[i / 2] = (uint8_t)((int)level[i] + zero + ((int)level[i + 1] + zero) * 16);
}

#include "quant/lowbit_search.inc"
