/* SPDX-License-Identifier: MIT */
#include "quant/fp8to16.h"

#include "quant/num.h"

#include <math.h>

/* Whether scale is 2^k with a k that rows can be made with. */
static bool has_row(float scale, int *k)
{
	int e;

	if (!(scale > 0) ||
		frexpf(scale, &e) != 0.5f) /* nor infinite: of that frexpf gives itself */
		return false;
	*k = e - 1;
	return *k >= ROW_BF16_MIN && *k <= ROW_BF16_MAX;
}

void fp8to16_table_make(struct fp8to16_table *t, float scale, const struct row_way *way)
{
	unsigned c;
	float w;
	int k;

	t->way = has_row(scale, &k) ? way : NULL;
	t->any_lossy = 0;
	if (t->way) {
		row_fp8_make(&t->row, k);
		return;
	}
	for (c = 0; c < 256; c++) {
		w = num_e4m3(c) * scale;
		t->bf16[c] = num_bf16_from(w);
		/* A NaN code is not lossy but an error of its own; every comparison with it is false. */
		t->lossy[c] = !num_e4m3_is_nan(c) &&
			(double)num_bf16(t->bf16[c]) != (double)num_e4m3(c) * (double)scale;
		t->any_lossy |= t->lossy[c];
	}
}

const struct fp8to16_table *fp8to16_tile(struct fp8to16_tile *tile, float scale,
	const struct row_way *way)
{
	/* A scale that is NaN is never the same. */
	if (!tile->made || tile->scale != scale || scale == 0) /* of either sign */
		fp8to16_table_make(&tile->t, scale, way);
	tile->made = true;
	tile->scale = scale;
	return &tile->t;
}

/* A NaN where the code is one. Returns the index of the first. */
static uint32_t put_nans(uint8_t *dst, const uint8_t *src, uint32_t n)
{
	uint32_t first = n, i;
	uint16_t h;

	for (i = n; i-- > 0;) {
		if (!num_e4m3_is_nan(src[i]))
			continue;
		h = num_bf16_from(num_e4m3(src[i]));
		dst[2 * i] = (uint8_t)h;
		dst[2 * i + 1] = (uint8_t)(h >> 8);
		first = i;
	}
	return first;
}

uint32_t fp8to16_run(const struct fp8to16_table *t, uint8_t *dst, const uint8_t *src, uint32_t n)
{
	uint32_t i;
	unsigned nan = 0;

	if (t->way)
		return t->way->fp8_bf16(dst, src, n, &t->row) ? put_nans(dst, src, n) : n;
	for (i = 0; i < n; i++)
		nan |= (src[i] & 0x7f) == NUM_E4M3_NAN;
	for (i = 0; i < n; i++) {
		uint16_t h = t->bf16[src[i]];

		dst[2 * i] = (uint8_t)h;
		dst[2 * i + 1] = (uint8_t)(h >> 8);
	}
	if (!nan)
		return n;
	for (i = 0; !num_e4m3_is_nan(src[i]); i++)
		;
	return i;
}

uint32_t fp8to16_loses(const struct fp8to16_table *t, const uint8_t *src, uint32_t n)
{
	uint32_t i;

	if (!t->any_lossy)
		return n;
	for (i = 0; i < n && !t->lossy[src[i]]; i++)
		;
	return i;
}
