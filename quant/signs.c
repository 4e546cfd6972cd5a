/* SPDX-License-Identifier: MIT */
#include "quant/signs.h"

#include "core/cpu.h"

void signs_begin(struct signs *s, uint8_t *p, size_t end, unsigned features)
{
	unsigned i, lo, hi;

	*s = (struct signs){ .p = p, .end = end };
	s->add = features & CPU_AVX512 ? signs_add_bmi2
		: features & CPU_AVX2  ? signs_add_avx2
				       : signs_add_plain;
	for (i = 0; i < 256; i++) {
		lo = !(i & 0x07);
		hi = !(i & 0x70);
		s->zeros[i] = (uint8_t)((lo + hi) << 4 | (lo & i >> 3) | (hi & i >> 7) << lo);
	}
}

size_t signs_end(struct signs *s)
{
	memcpy(s->p + s->end, &s->word, sizeof s->word);
	return s->end + (s->in_word + 7) / 8;
}

/* By a table, byte by byte. */
static inline unsigned of_plain(const uint8_t zeros[256], uint64_t w, uint64_t *bits)
{
	uint64_t b = 0;
	unsigned i, n = 0, z;

	for (i = 0; i < 64; i += 8) {
		z = zeros[w >> i & 255];
		b |= (uint64_t)(z & 3) << n;
		n += z >> 4;
	}
	*bits = b;
	return n;
}

void signs_add_plain(struct signs *s, const uint8_t *src, size_t n)
{
	signs_add(s, src, n, of_plain);
}
