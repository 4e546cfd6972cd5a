/* tile_swar.c -- quick ways that any processor has where bytes or nibbles change places inside a word:
 * scales transposed, Hopper's twisted words.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/layout/tile_fast.h"

/* --- slabs of one column of bytes, 8 x 8 transposed --- */

/* The source row of each byte of a slab. */
struct order {
	uint32_t rows;
	uint8_t row[256];
};

/* Bits of b at mask and bits of a at mask << n change places. */
static inline void trade(uint64_t *a, uint64_t *b, unsigned n, uint64_t mask)
{
	uint64_t x = (*a >> n ^ *b) & mask;

	*b ^= x;
	*a ^= x << n;
}

/* Bytes of 8 words; it undoes itself. */
static inline void transpose8(uint64_t v[8])
{
	unsigned i;

	for (i = 0; i < 4; i++)
		trade(&v[i], &v[i + 4], 32, 0x00000000ffffffff);
	for (i = 0; i < 8; i += i % 4 ? 3 : 1)
		trade(&v[i], &v[i + 2], 16, 0x0000ffff0000ffff);
	for (i = 0; i < 8; i += 2)
		trade(&v[i], &v[i + 1], 8, 0x00ff00ff00ff00ff);
}

/* 8 rows and m <= 8 columns. */
static inline void eight(const struct tile_block *b, const uint8_t *order, uint8_t *flat,
	uint32_t m, bool back)
{
	uint64_t v[8] = { 0 };
	uint32_t i;

	for (i = 0; i < (back ? m : 8); i++) {
		if (back)
			memcpy(&v[i], flat + i * b->stride, 8);
		else
			memcpy(&v[i], b->row[order[i]] + b->at, m);
	}
	transpose8(v);
	for (i = 0; i < (back ? 8 : m); i++) {
		if (back)
			memcpy(b->row[order[i]] + b->at, &v[i], m);
		else
			memcpy(flat + i * b->stride, &v[i], 8);
	}
}

static inline void bytes8_block(const struct tile_block *b, bool back)
{
	const struct order *o = b->ctx;
	uint32_t i;

	for (i = 0; i < o->rows; i += 8) {
		if (b->m == 8)
			eight(b, o->row + i, b->flat + i, 8, back);
		else
			eight(b, o->row + i, b->flat + i, b->m, back);
	}
}

static void bytes8_to(const struct tile_block *b)
{
	bytes8_block(b, false);
}

static void bytes8_back(const struct tile_block *b)
{
	bytes8_block(b, true);
}

static void bytes8(const struct tile_call *c, bool back)
{
	struct order o = { .rows = c->t->slab_rows };
	uint32_t i;

	for (i = 0; i < o.rows; i++)
		o.row[c->t->at(c->d, i, 0)] = (uint8_t)i;
	tile_blocks(c, 8, back ? bytes8_back : bytes8_to, &o);
}
TILE_PAIR(tile_bytes8, bytes8)

/* --- Hopper: a word is bytes b and b+4 of rows n and n+8 --- */

static inline void word_to(uint8_t *flat, const uint8_t *upper, const uint8_t *lower)
{
	uint32_t w = tile_twist((uint32_t)upper[0] | (uint32_t)lower[0] << 8 |
		(uint32_t)upper[4] << 16 | (uint32_t)lower[4] << 24);

	memcpy(flat, &w, 4);
}

static inline void word_back(const uint8_t *flat, uint8_t *upper, uint8_t *lower)
{
	uint32_t w;

	memcpy(&w, flat, 4);
	w = tile_untwist(w);
	upper[0] = (uint8_t)w;
	lower[0] = (uint8_t)(w >> 8);
	upper[4] = (uint8_t)(w >> 16);
	lower[4] = (uint8_t)(w >> 24);
}

/* Slabs are 16 whole rows, a band each; bytes 32 apart are as far apart in all rows. */
static void twisted(const struct tile_call *c, bool back)
{
	uint64_t far = c->t->at(c->d, 0, 32 % c->d.cols), at;
	uint32_t n, b, part;

	for (n = 0; n < 8; n++) {
		for (b = 0; b < 32; b += b % 8 == 3 ? 5 : 1) {
			at = c->t->at(c->d, n, b);
			for (part = 0; part < c->d.cols / 32; part++) {
				uint8_t *upper = c->row[n] + part * 32 + b;
				uint8_t *lower = c->row[n + 8] + part * 32 + b;

				if (back)
					word_back(c->flat + at + part * far, upper, lower);
				else
					word_to(c->flat + at + part * far, upper, lower);
			}
		}
	}
}
TILE_PAIR(tile_twisted, twisted)
