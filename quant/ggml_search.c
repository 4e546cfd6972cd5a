/* SPDX-License-Identifier: MIT */
#include "quant/ggml_search.h"

#include "quant/lowbit_way.h"

#include <math.h>

enum { ITEMS_OF_FLOATS = 32 }; /* of which a verdict is, where a type has no blocks */

/* clang-format off */
#define TO(type) \
	{ CODEC_MXFP4, type, true, NULL, NULL }, { CODEC_FP8, type, true, NULL, NULL }, { CODEC_FP8_F32, type, true, NULL, NULL }, \
	{ CODEC_BF16, type, true, NULL, NULL }, { CODEC_F32, type, true, NULL, NULL }
/* A test holds the types to those of quant/lowbit.h. */
static const struct ggml_way searched[] = {
	TO(GGML_F16), TO(GGML_Q8_0), TO(GGML_Q2_K), TO(GGML_Q3_K), TO(GGML_Q4_K), TO(GGML_Q5_K), TO(GGML_Q6_K),
	TO(GGML_IQ2_XXS), TO(GGML_IQ3_XXS), TO(GGML_IQ4_NL),
};
/* clang-format on */

const struct ggml_way *ggml_searched_find(enum codec from, uint32_t type)
{
	size_t i;

	for (i = 0; i < sizeof searched / sizeof *searched; i++)
		if (searched[i].from == from && searched[i].type == type)
			return &searched[i];
	return NULL;
}

size_t ggml_search_row(const struct ggml_way *how, const struct ggml_search *s,
	const uint8_t *codes, const uint8_t *scales, size_t cols, uint8_t *dst)
{
	size_t i;

	codec_ops[how->from].decode(codes, scales, 1, cols, s->v);
	for (i = 0; i < cols; i++) {
		s->x[i] = (float)s->v[i];
		if (!isfinite((double)s->x[i]))
			return i;
	}
	i = lowbit_row(lowbit_find(how->type), s->way, LOWBIT_PLAIN, s->x, cols, s->weights, dst,
		NULL);
	if (i == cols)
		(void)ggml_values(how->type, dst, cols, s->way->need,
			s->got); /* all that are written are read */
	return i;
}

static size_t items_of(uint32_t type)
{
	size_t items = ggml_type_find(type)->items;

	return items > 1 ? items : ITEMS_OF_FLOATS;
}

size_t ggml_search_blocks(uint32_t type, size_t cols)
{
	return (cols + items_of(type) - 1) / items_of(type);
}

size_t ggml_search_changed(uint32_t type, const struct ggml_search *s, size_t cols)
{
	size_t items = items_of(type), n = 0, at, i;

	for (at = 0; at < cols; at += items) {
		for (i = at; i < cols && i < at + items && s->v[i] == s->got[i]; i++)
			;
		n += i < cols && i < at + items;
	}
	return n;
}
