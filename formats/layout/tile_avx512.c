/* tile_avx512.c -- packing with AVX-512: pieces of 16 bytes of four rows fill a register, and what is
 * left is one permutation of it, so that whole lines of 64 bytes are written.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/layout/tile_fast.h"

#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vl")))
#define FAST static inline TARGET __attribute__((always_inline))
#define VEC __m512i
#define LOAD(p) _mm512_loadu_si512(p)
#define STORE(p, v) _mm512_storeu_si512(p, v)
#define PAIR(x) TILE_PAIR(tile_##x##_avx512, x)
enum { ROWS = 16 };

/* --- 16 or 8 bytes of four places, as the four quarters --- */

FAST __m128i load1(const uint8_t *p, unsigned bytes)
{
	const __m128i *v = (const __m128i *)(const void *)p;

	return bytes == 16 ? _mm_loadu_si128(v) : _mm_loadl_epi64(v);
}

FAST __m512i load4(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d,
	unsigned bytes)
{
	__m512i v = _mm512_castsi128_si512(load1(a, bytes));

	v = _mm512_inserti32x4(v, load1(b, bytes), 1);
	v = _mm512_inserti32x4(v, load1(c, bytes), 2);
	return _mm512_inserti32x4(v, load1(d, bytes), 3);
}

FAST void store1(uint8_t *p, __m128i v, unsigned bytes)
{
	if (bytes == 16)
		_mm_storeu_si128((__m128i *)(void *)p, v);
	else
		_mm_storel_epi64((__m128i *)(void *)p, v);
}

FAST void store4(uint8_t *a, uint8_t *b, uint8_t *c, uint8_t *d, __m512i v, unsigned bytes)
{
	store1(a, _mm512_castsi512_si128(v), bytes);
	store1(b, _mm512_extracti32x4_epi32(v, 1), bytes);
	store1(c, _mm512_extracti32x4_epi32(v, 2), bytes);
	store1(d, _mm512_extracti32x4_epi32(v, 3), bytes);
}

/* Words of 32 bits, four by four transposed: word j of quarter i and word i of quarter j. */
FAST __m512i turn(__m512i v)
{
	const __m512i order =
		_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);

	return _mm512_permutexvar_epi32(order, v);
}

/* The same of four registers, in each quarter: word j of register i and word i of register j. */
FAST void square(__m512i v[4])
{
	__m512i a = _mm512_unpacklo_epi32(v[0], v[1]), b = _mm512_unpackhi_epi32(v[0], v[1]);
	__m512i c = _mm512_unpacklo_epi32(v[2], v[3]), d = _mm512_unpackhi_epi32(v[2], v[3]);

	v[0] = _mm512_unpacklo_epi64(a, c);
	v[1] = _mm512_unpackhi_epi64(a, c);
	v[2] = _mm512_unpacklo_epi64(b, d);
	v[3] = _mm512_unpackhi_epi64(b, d);
}

/* --- frag-k32: 16 bytes of rows n, n+8, n+16, n+24 make a line; q-th lines are `far` apart --- */

FAST __m512i frag_line(uint8_t *const *row, uint64_t at)
{
	return turn(load4(row[0] + at, row[8] + at, row[16] + at, row[24] + at, 16));
}

FAST void frag_tile_to(uint8_t *const *row, uint64_t at, uint8_t *flat, uint64_t far)
{
	_mm512_storeu_si512(flat, frag_line(row, at));
	_mm512_storeu_si512(flat + far, frag_line(row, at + 16));
	_mm512_storeu_si512(flat + 2 * far, frag_line(row, at + 32));
	_mm512_storeu_si512(flat + 3 * far, frag_line(row, at + 48));
}

FAST __m512i frag_word(const uint8_t *flat, uint64_t far)
{
	return load4(flat, flat + far, flat + 2 * far, flat + 3 * far, 16);
}

/* Word t of the four rows from each of the four lines; then whole lines of the rows. */
FAST void frag_tile_back(uint8_t *const *row, uint64_t at, const uint8_t *flat, uint64_t far)
{
	__m512i v[4];

	v[0] = frag_word(flat, far);
	v[1] = frag_word(flat + 16, far);
	v[2] = frag_word(flat + 32, far);
	v[3] = frag_word(flat + 48, far);
	square(v);
	_mm512_storeu_si512(row[0] + at, v[0]);
	_mm512_storeu_si512(row[8] + at, v[1]);
	_mm512_storeu_si512(row[16] + at, v[2]);
	_mm512_storeu_si512(row[24] + at, v[3]);
}

TARGET static void frag_to(const struct tile_block *b)
{
	uint32_t groups = *(const uint32_t *)b->ctx, n, i;
	uint64_t far = (uint64_t)groups * 512;
	uint8_t *flat;

	for (n = 0; n < 32 * groups; n += n % 8 == 7 ? 25 : 1) {
		flat = b->flat + (n / 32 * 8 + n % 8) * 64;
		for (i = 0; i < b->m; i++, flat += b->stride)
			frag_tile_to(b->row + n, b->at + 64 * i, flat, far);
	}
}

TARGET static void frag_back(const struct tile_block *b)
{
	uint32_t groups = *(const uint32_t *)b->ctx, n, i;
	uint64_t far = (uint64_t)groups * 512;
	uint8_t *flat;

	for (n = 0; n < 32 * groups; n += n % 8 == 7 ? 25 : 1) {
		flat = b->flat + (n / 32 * 8 + n % 8) * 64;
		for (i = 0; i < b->m; i++, flat += b->stride)
			frag_tile_back(b->row + n, b->at + 64 * i, flat, far);
	}
}
static void frag(const struct tile_call *c, bool back)
{
	uint32_t groups = c->t->slab_rows / 32;

	tile_blocks(c, back ? 4 : 2, back ? frag_back : frag_to, &groups);
}
PAIR(frag)

/* --- marlin4-a16: 8 rows, 8 apart, 8 bytes each make a line --- */

/* Words 0 and 2 of each quarter of a and then of b; words 1 and 3. */
FAST __m512i even(__m512i a, __m512i b)
{
	return _mm512_castps_si512(_mm512_shuffle_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b),
		0x88));
}

FAST __m512i odd(__m512i a, __m512i b)
{
	return _mm512_castps_si512(_mm512_shuffle_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b),
		0xdd));
}

/* High nibbles of a and low ones of b change places. */
FAST void trade(__m512i *a, __m512i *b)
{
	const __m512i low = _mm512_set1_epi8(15);
	__m512i x = _mm512_ternarylogic_epi32(low, *a, _mm512_slli_epi16(*b, 4), 0xca);

	*b = _mm512_ternarylogic_epi32(low, _mm512_srli_epi16(*a, 4), *b, 0xca);
	*a = x;
}

/* Rows row[0], row[8] .. row[56] of two slabs (bytes 16) or one (8). */
FAST void marlin_to(uint8_t *const *row, uint64_t at, uint8_t *flat, uint64_t stride,
	unsigned bytes)
{
	const __m512i pairs = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12,
		5, 13, 6, 14, 7, 15));
	__m512i h0 = load4(row[0] + at, row[16] + at, row[32] + at, row[48] + at, bytes);
	__m512i h1 = load4(row[8] + at, row[24] + at, row[40] + at, row[56] + at, bytes);
	__m512i a = even(h0, h1), b = odd(h0, h1);

	trade(&a, &b);
	a = _mm512_shuffle_epi8(a, pairs);
	b = _mm512_shuffle_epi8(b, pairs);
	_mm512_storeu_si512(flat, turn(_mm512_unpacklo_epi16(a, b)));
	if (bytes == 16)
		_mm512_storeu_si512(flat + stride, turn(_mm512_unpackhi_epi16(a, b)));
}

FAST void marlin_back(uint8_t *const *row, uint64_t at, const uint8_t *flat, uint64_t stride,
	unsigned bytes)
{
	const __m512i fours = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6,
		10, 14, 3, 7, 11, 15));
	__m512i x = _mm512_shuffle_epi8(turn(_mm512_loadu_si512(flat)), fours), y = x, a, b;

	if (bytes == 16)
		y = _mm512_shuffle_epi8(turn(_mm512_loadu_si512(flat + stride)), fours);
	a = _mm512_unpacklo_epi32(x, y);
	b = _mm512_unpackhi_epi32(x, y);
	trade(&a, &b);
	store4(row[0] + at, row[16] + at, row[32] + at, row[48] + at, _mm512_unpacklo_epi32(a, b),
		bytes);
	store4(row[8] + at, row[24] + at, row[40] + at, row[56] + at, _mm512_unpackhi_epi32(a, b),
		bytes);
}

/* --- scales, four of a row in a word --- */

/* 16 bytes at a quarter of the words; 4 rows. */
FAST __m512i words_load(uint8_t *const *r, size_t next, uint64_t at)
{
	return load4(r[0] + at, r[next] + at, r[2 * next] + at, r[3 * next] + at, 16);
}

FAST void words_store(uint8_t *const *r, size_t next, uint64_t at, __m512i v)
{
	store4(r[0] + at, r[next] + at, r[2 * next] + at, r[3 * next] + at, v, 16);
}

#include "formats/layout/tile_simd.inc"
