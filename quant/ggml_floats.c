/* SPDX-License-Identifier: MIT */
#include "quant/ggml_floats.h"

#include "core/cpu.h"
#include "formats/gguf/ggml_type.h"
#include "quant/ggml_lowbit.h"
#include "quant/num.h"

static float f16(const uint8_t *p)
{
	return num_f16((uint16_t)(p[0] | p[1] << 8));
}

static void f16_block(const uint8_t *s, float *v)
{
	*v = f16(s);
}

static void q8_0(const uint8_t *s, float *v)
{
	float d = f16(s);
	unsigned i;

	for (i = 0; i < GGML_Q8_0_ITEMS; i++)
		v[i] = d * (float)(int8_t)s[2 + i];
}

/* What ggml_lowbit.h has no row of. */
static const struct ggml_lowbit others[] = { { GGML_F16, f16_block }, { GGML_Q8_0, q8_0 } };

static const struct ggml_lowbit *plain(uint32_t type)
{
	size_t i;

	for (i = 0; i < sizeof others / sizeof *others; i++)
		if (others[i].type == type)
			return &others[i];
	return ggml_lowbit_find(type);
}

bool ggml_floats_has(uint32_t type)
{
	return plain(type) != NULL;
}

/* Returns the rows of the best way that may be used, NULL where that is plain C. */
static const struct ggml_floats *rows_of(unsigned features)
{
	return features & CPU_AVX512  ? ggml_floats_avx512
		: features & CPU_AVX2 ? ggml_floats_avx2
				      : NULL;
}

bool ggml_floats(uint32_t type, const uint8_t *src, size_t cols, unsigned features, float *v)
{
	const struct ggml_floats *fast = rows_of(features);
	const struct ggml_type_row *r = ggml_type_find(type);
	const struct ggml_lowbit *l = plain(type);
	size_t at;

	for (; fast && fast->blocks; fast++)
		if (fast->type == type) {
			fast->blocks(src, cols / r->items, v);
			return true;
		}
	for (at = 0; l && at < cols; at += r->items, src += r->bytes)
		l->block(src, v + at);
	return l != NULL;
}
