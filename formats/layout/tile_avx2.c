/* tile_avx2.c -- packing with AVX2: pieces of 16 bytes of two rows fill a register, and what is left
 * is a transposition inside its halves.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/layout/tile_fast.h"

#include <immintrin.h>

#define TARGET __attribute__((target("avx2")))
#define FAST static inline TARGET __attribute__((always_inline))
#define VEC __m256i
#define LOAD(p) load(p)
#define STORE(p, v) store(p, v)
#define PAIR(x) TILE_PAIR(tile_##x##_avx2, x)
enum { ROWS = 8 };

/* --- 16 or 8 bytes of two places, as the two halves --- */

FAST __m256i load2(const uint8_t *a, const uint8_t *b, unsigned bytes)
{
	__m128i x, y;

	if (bytes == 16) {
		x = _mm_loadu_si128((const __m128i *)(const void *)a);
		y = _mm_loadu_si128((const __m128i *)(const void *)b);
	} else {
		x = _mm_loadl_epi64((const __m128i *)(const void *)a);
		y = _mm_loadl_epi64((const __m128i *)(const void *)b);
	}
	return _mm256_inserti128_si256(_mm256_castsi128_si256(x), y, 1);
}

FAST void store2(uint8_t *a, uint8_t *b, __m256i v, unsigned bytes)
{
	__m128i x = _mm256_castsi256_si128(v), y = _mm256_extracti128_si256(v, 1);

	if (bytes == 16) {
		_mm_storeu_si128((__m128i *)(void *)a, x);
		_mm_storeu_si128((__m128i *)(void *)b, y);
	} else {
		_mm_storel_epi64((__m128i *)(void *)a, x);
		_mm_storel_epi64((__m128i *)(void *)b, y);
	}
}

FAST __m256i load(const uint8_t *p)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

FAST void store(uint8_t *p, __m256i v)
{
	_mm256_storeu_si256((__m256i *)(void *)p, v);
}

/* 32-bit words 0 and 2 of each half of a and then of b; words 1 and 3. */
FAST __m256i even(__m256i a, __m256i b)
{
	return _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b),
		0x88));
}

FAST __m256i odd(__m256i a, __m256i b)
{
	return _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b),
		0xdd));
}

/* --- four rows of four words to 64 bytes: x has rows 0 and 2, y rows 1 and 3 --- */

FAST void four_to(uint8_t *flat, __m256i x, __m256i y)
{
	store(flat, _mm256_permute4x64_epi64(_mm256_unpacklo_epi32(x, y), 0xd8));
	store(flat + 32, _mm256_permute4x64_epi64(_mm256_unpackhi_epi32(x, y), 0xd8));
}

FAST void four_from(const uint8_t *flat, __m256i *x, __m256i *y)
{
	__m256i lo = _mm256_permute4x64_epi64(load(flat), 0xd8);
	__m256i hi = _mm256_permute4x64_epi64(load(flat + 32), 0xd8);

	*x = even(lo, hi);
	*y = odd(lo, hi);
}

/* --- frag-k32 --- */

/* 16 bytes of rows n, n+8, n+16, n+24 make a line. */
FAST void frag_line(uint8_t *const *row, uint64_t at, uint8_t *flat, bool back)
{
	__m256i x, y;

	if (back) {
		four_from(flat, &x, &y);
		store2(row[0] + at, row[16] + at, x, 16);
		store2(row[8] + at, row[24] + at, y, 16);
	} else {
		x = load2(row[0] + at, row[16] + at, 16);
		y = load2(row[8] + at, row[24] + at, 16);
		four_to(flat, x, y);
	}
}

FAST void frag_block(const struct tile_block *b, bool back)
{
	uint32_t groups = *(const uint32_t *)b->ctx, n, i;
	uint64_t far = (uint64_t)groups * 512, at;
	uint8_t *flat;

	for (n = 0; n < 32 * groups; n += n % 8 == 7 ? 25 : 1) {
		flat = b->flat + (n / 32 * 8 + n % 8) * 64;
		at = b->at;
		for (i = 0; i < b->m; i++, flat += b->stride, at += 64) {
			frag_line(b->row + n, at, flat, back);
			frag_line(b->row + n, at + 16, flat + far, back);
			frag_line(b->row + n, at + 32, flat + 2 * far, back);
			frag_line(b->row + n, at + 48, flat + 3 * far, back);
		}
	}
}

TARGET static void frag_to(const struct tile_block *b)
{
	frag_block(b, false);
}

TARGET static void frag_back(const struct tile_block *b)
{
	frag_block(b, true);
}

static void frag(const struct tile_call *c, bool back)
{
	uint32_t groups = c->t->slab_rows / 32;

	tile_blocks(c, back ? 4 : 2, back ? frag_back : frag_to, &groups);
}
PAIR(frag)

/* --- marlin4-a16: 8 rows, 8 apart, 8 bytes each make 64 bytes --- */

/* High nibbles of a and low ones of b change places. */
FAST void trade(__m256i *a, __m256i *b)
{
	__m256i x = _mm256_xor_si256(_mm256_srli_epi16(*a, 4), *b);

	x = _mm256_and_si256(x, _mm256_set1_epi8(15));
	*b = _mm256_xor_si256(*b, x);
	*a = _mm256_xor_si256(*a, _mm256_slli_epi16(x, 4));
}

/* 16 bytes each of rows h = 0 and h = 1, in both halves, to what two slabs take of them. */
FAST void marlin_words(__m256i h0, __m256i h1, __m256i *slab0, __m256i *slab1)
{
	const __m256i pairs = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4,
		12, 5, 13, 6, 14, 7, 15));
	__m256i a = even(h0, h1), b = odd(h0, h1);

	trade(&a, &b);
	a = _mm256_shuffle_epi8(a, pairs);
	b = _mm256_shuffle_epi8(b, pairs);
	*slab0 = _mm256_unpacklo_epi16(a, b);
	*slab1 = _mm256_unpackhi_epi16(a, b);
}

FAST void marlin_unwords(__m256i slab0, __m256i slab1, __m256i *h0, __m256i *h1)
{
	const __m256i fours = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2,
		6, 10, 14, 3, 7, 11, 15));
	__m256i a, b;

	slab0 = _mm256_shuffle_epi8(slab0, fours);
	slab1 = _mm256_shuffle_epi8(slab1, fours);
	a = _mm256_unpacklo_epi32(slab0, slab1);
	b = _mm256_unpackhi_epi32(slab0, slab1);
	trade(&a, &b);
	*h0 = _mm256_unpacklo_epi32(a, b);
	*h1 = _mm256_unpackhi_epi32(a, b);
}

/* Rows row[0], row[8] .. row[56] of two slabs (bytes 16) or one (8). */
FAST void marlin_to(uint8_t *const *row, uint64_t at, uint8_t *flat, uint64_t stride,
	unsigned bytes)
{
	__m256i x0, x1, y0, y1;

	marlin_words(load2(row[0] + at, row[32] + at, bytes),
		load2(row[8] + at, row[40] + at, bytes), &x0, &x1);
	marlin_words(load2(row[16] + at, row[48] + at, bytes),
		load2(row[24] + at, row[56] + at, bytes), &y0, &y1);
	four_to(flat, x0, y0);
	if (bytes == 16)
		four_to(flat + stride, x1, y1);
}

FAST void marlin_back(uint8_t *const *row, uint64_t at, const uint8_t *flat, uint64_t stride,
	unsigned bytes)
{
	__m256i x0, x1 = _mm256_setzero_si256(), y0, y1 = x1, h0, h1;

	four_from(flat, &x0, &y0);
	if (bytes == 16)
		four_from(flat + stride, &x1, &y1);
	marlin_unwords(x0, x1, &h0, &h1);
	store2(row[0] + at, row[32] + at, h0, bytes);
	store2(row[8] + at, row[40] + at, h1, bytes);
	marlin_unwords(y0, y1, &h0, &h1);
	store2(row[16] + at, row[48] + at, h0, bytes);
	store2(row[24] + at, row[56] + at, h1, bytes);
}

/* --- scales, four of a row in a word --- */

/* Four words of four rows, in both halves, transposed. */
FAST void square(__m256i v[4])
{
	__m256i a = _mm256_unpacklo_epi32(v[0], v[1]), b = _mm256_unpackhi_epi32(v[0], v[1]);
	__m256i c = _mm256_unpacklo_epi32(v[2], v[3]), d = _mm256_unpackhi_epi32(v[2], v[3]);

	v[0] = _mm256_unpacklo_epi64(a, c);
	v[1] = _mm256_unpackhi_epi64(a, c);
	v[2] = _mm256_unpacklo_epi64(b, d);
	v[3] = _mm256_unpackhi_epi64(b, d);
}

/* 16 bytes at a quarter of the words; 2 rows. */
FAST __m256i words_load(uint8_t *const *r, size_t next, uint64_t at)
{
	return load2(r[0] + at, r[next] + at, 16);
}

FAST void words_store(uint8_t *const *r, size_t next, uint64_t at, __m256i v)
{
	store2(r[0] + at, r[next] + at, v, 16);
}

#include "formats/layout/tile_simd.inc"
