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

#include "quant/lowbit_search.inc"
