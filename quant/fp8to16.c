/* SPDX-License-Identifier: MIT */
#include "quant/fp8to16.h"

#include "quant/num.h"

void fp8to16_table_make(struct fp8to16_table *t, float scale)
{
	unsigned c;
	float w;

	t->any_lossy = 0;
	for (c = 0; c < 256; c++) {
		w = num_e4m3(c) * scale;
		t->bf16[c] = num_bf16_from(w);
		/* A NaN code is not lossy but an error of its own; every comparison with it is false. */
		t->lossy[c] = !num_e4m3_is_nan(c) &&
			(double)num_bf16(t->bf16[c]) != (double)num_e4m3(c) * (double)scale;
		t->any_lossy |= t->lossy[c];
	}
}

uint32_t fp8to16_run(const struct fp8to16_table *t, uint8_t *dst, const uint8_t *src, uint32_t n)
{
	uint32_t i;
	unsigned nan = 0;

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
