/* SPDX-License-Identifier: MIT */
#include "quant/uncast.h"

#include <string.h>
#include <zstd.h>

enum { LEVEL = 1 }; /* bits of zeros are noise, residues nearly always zero: more gains nothing */

size_t dropped_room(uint64_t rows, uint64_t k)
{
	return (size_t)(rows * (k / FP4TO8_GROUP) + rows * k / 8 + SIGNS_SLACK);
}

void dropped_begin(struct dropped *d, uint8_t *p, uint64_t rows, uint64_t k, unsigned features)
{
	d->groups = 0;
	d->any = false;
	signs_begin(&d->signs, p, (size_t)(rows * (k / FP4TO8_GROUP)), features);
}

void dropped_row(struct dropped *d, const uint8_t *src, const uint8_t *s, const uint8_t *t,
	size_t k, enum fp4to8_block b)
{
	uint8_t *to = d->signs.p + d->groups, any = 0;
	size_t g, n = k / FP4TO8_GROUP;
	uint64_t w[2];

	for (g = 0; g < n; g++) {
		memcpy(w, src + g * sizeof w, sizeof w);
		to[g] = uncast_residue(w[0], w[1], s[g], t[g >> b]);
		any |= to[g];
	}
	d->groups += n;
	d->signs.add(&d->signs, src, k / 2);
	d->any = d->any || any || d->signs.any;
}

size_t dropped_frame(size_t n)
{
	return ZSTD_compressBound(n);
}

size_t dropped_pack(struct dropped *d, uint8_t *frame, size_t room)
{
	size_t end = signs_end(&d->signs), n = ZSTD_compress(frame, room, d->signs.p, end, LEVEL);

	return ZSTD_isError(n) ? 0 : n;
}

/* --- back --- */

/* code[6 + t - s][E4M3 byte] is what the cast made that byte of; NONE: nothing. */
enum { NONE = 0xff };
struct codes {
	uint8_t code[256][256];
};

static void codes_make(struct codes *c)
{
	struct fp4to8_table t;
	unsigned d, i;

	fp4to8_table_make(&t);
	memset(c, NONE, sizeof *c);
	for (d = 0; d < 256; d++)
		for (i = 0; i < 16; i++)
			if (!(t.lossy[d] >> i & 1) && i != 8)
				c->code[d][t.row[d][i]] = (uint8_t)i;
}

/* The exponent of an E4M3 magnitude that is not zero. */
static int exponent(unsigned m)
{
	int e = (int)(m >> 3) - 7;

	if (m >> 3)
		return e;
	for (e = -9; m > 1; m >>= 1)
		e++;
	return e;
}

struct back {
	const struct codes *codes;
	const uint8_t *residue, *bits;
	size_t at, n_bits; /* of bits: used, there */
};

/* A group of 32; false where a byte is no value that the cast writes. */
static bool back_group(struct back *b, const uint8_t *fp8, uint8_t t, uint8_t *codes,
	uint8_t *scale)
{
	const uint8_t *row;
	unsigned top = 0, i, c, d, s;

	for (i = 0; i < FP4TO8_GROUP; i++)
		top = (fp8[i] & 0x7fu) > top ? fp8[i] & 0x7fu : top;
	if (top)
		s = (unsigned)((int)t + exponent(top) - 2) + *b->residue++;
	else
		s = (uint8_t)(t + FP4TO8_SHIFT + *b->residue++);
	d = FP4TO8_SHIFT + t - s;
	if (s > 254 || (top && d > 255))
		return false;
	*scale = (uint8_t)s;
	row = b->codes->code[d & 255];
	memset(codes, 0, FP4TO8_GROUP / 2);
	for (i = 0; i < FP4TO8_GROUP; i++) {
		c = fp8[i] ? row[fp8[i]] : 0;
		if (c == NONE || (!c && b->at >= b->n_bits))
			return false;
		if (!c) {
			c = b->bits[b->at / 8] >> b->at % 8 & 1 ? 8 : 0;
			b->at++;
		}
		codes[i / 2] |= (uint8_t)(c << i % 2 * 4);
	}
	return true;
}

size_t uncast_work(uint64_t rows, uint64_t k)
{
	return dropped_room(rows, k) + sizeof(struct codes);
}

static int wrong(struct err *e, const char *what)
{
	return err_rule(e, RULE_SET_DIGEST, ERR_NOPOS, "%s: it was damaged since", what);
}

int uncast(const uint8_t *fp8, const uint8_t *t, enum fp4to8_block block, const uint8_t *kept,
	size_t n, uint32_t rows, uint32_t k, uint8_t *codes, uint8_t *scales, uint8_t *work,
	struct err *e)
{
	size_t room = dropped_room(rows, k), across = k / FP4TO8_GROUP,
	       groups = (size_t)rows * across, got, g, row;
	struct codes *table = (struct codes *)work;
	uint8_t *plain = work + sizeof *table;
	struct back b = { .codes = table, .residue = plain, .bits = plain + groups };

	memset(plain, 0, room);
	got = n ? ZSTD_decompress(plain, room, kept, n) : room;
	if (ZSTD_isError(got) || got < groups)
		return wrong(e, "what the cast had dropped cannot be read");
	b.n_bits = (got - groups) * 8;
	codes_make(table);
	for (g = 0; g < groups; g++) {
		row = g / across;
		if (!back_group(&b, fp8 + g * FP4TO8_GROUP,
			    t[row / fp4to8_side(block) * (across >> block) + (g % across >> block)],
			    codes + g * (FP4TO8_GROUP / 2), scales + g))
			return wrong(e, "a byte that no FP4 code was cast to");
	}
	return 0;
}
