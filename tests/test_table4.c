/* test_table4.c -- rows of tables in 4 bits: the quick way writes what the plain one does, for every code and scale, and what comes
 * out is within half a step of what went in.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "quant/table4.h"
#include "quant/codec.h"
#include "tests/check.h"

#include <math.h>

enum { COLS = 256, BLOCKS = COLS / TABLE4_BLOCK };

/* Holds the ways to each other on a row: the plain one, tables, and what this processor takes. Returns the result in *q. */
static void both(const struct table4 *t, const uint8_t *codes, const uint8_t *scales,
	struct table4_row *q)
{
	uint8_t a[COLS / 2], b[COLS / 2], f[COLS / 2], as[BLOCKS], bs[BLOCKS], fs[BLOCKS];
	bool ac[BLOCKS], bc[BLOCKS], fc[BLOCKS];
	double v[2 * COLS];
	struct table4_row p, x;
	size_t i;

	memset(a, 0x11, sizeof a);
	memset(b, 0xee, sizeof b);
	*q = table4_look(t, codes, scales, COLS, a, as, ac);
	x = table4_quick(t, codes, scales, COLS, f, fs, fc);
	CHECK(x.nan == q->nan && x.overflow == q->overflow);
	p = table4_plain(codes, scales, COLS, b, bs, bc, v);
	CHECK(p.nan == q->nan && p.overflow == q->overflow);
	if (p.nan < COLS || p.overflow < BLOCKS)
		return;
	CHECK(!memcmp(a, b, sizeof a) && !memcmp(as, bs, sizeof as) && !memcmp(ac, bc, sizeof ac));
	CHECK(!memcmp(a, f, sizeof a) && !memcmp(as, fs, sizeof as) && !memcmp(ac, fc, sizeof ac));
	for (i = 0; i < COLS; i++) {
		double step = ldexp(1, as[i / 32] - 127), was = fabs(v[i]), is = fabs(v[COLS + i]);

		/* steps are 1/2, 1 and 2 times the scale, and beyond 6 there is half of one */
		CHECK(fabs(was - is) <= step * (was < 2 * step ? 0.25 : was < 4 * step ? 0.5 : 1));
		CHECK(signbit(v[i]) == signbit(v[COLS + i]));
	}
}

/* Blocks of one magnitude and zeros, with every scale byte: all that a new scale depends on. */
static void every(void)
{
	static struct table4 t;
	uint8_t codes[COLS], scales[BLOCKS];
	struct table4_row q;
	unsigned s, c, i;
	size_t over = 0, nan = 0;

	CHECK(codecs[CODEC_FP8_ROW].cols == TABLE4_BLOCK && codecs[CODEC_FP8_ROW].rows == 1 &&
		codecs[CODEC_MXFP4].cols == TABLE4_BLOCK && codecs[CODEC_MXFP4].rows == 1);
	table4_make(&t, cpu_features());
	for (s = 0; s < 255; s++) {
		for (c = 0; c < 256; c += BLOCKS) {
			memset(scales, (int)s, sizeof scales);
			for (i = 0; i < COLS; i++)
				codes[i] = i % 32 == c % 32 ? (uint8_t)(c + i / 32) : 0;
			both(&t, codes, scales, &q);
			over += q.overflow < BLOCKS;
			nan += q.nan < COLS;
		}
	}
	CHECK(over && nan);
	/* where the new scale ends: 448 times 2^121 takes 2^127, times 2^122 more */
	memset(codes, 0, sizeof codes);
	memset(scales, 121 + 127 - 1, sizeof scales);
	codes[40] = 0x7e;
	both(&t, codes, scales, &q);
	CHECK(q.overflow == BLOCKS);
	scales[1] = 121 + 127;
	both(&t, codes, scales, &q);
	CHECK(q.overflow == 1);
}

static void any(void)
{
	static struct table4 t;
	uint8_t codes[COLS], scales[BLOCKS];
	struct table4_row q;
	unsigned n, i, width;

	table4_make(&t, cpu_features());
	for (n = 0; n < 20000; n++) {
		width = 1 + rnd(127);
		for (i = 0; i < COLS; i++)
			codes[i] = (uint8_t)(rnd(width) | (rnd(2) ? 128 : 0));
		for (i = 0; i < BLOCKS; i++)
			scales[i] = (uint8_t)(n % 3 ? 110 + rnd(20) : rnd(255));
		both(&t, codes, scales, &q);
	}
	codes[17] = 0xff; /* a NaN where it is told */
	codes[18] = 0x7f;
	memset(scales, 127, sizeof scales);
	both(&t, codes, scales, &q);
	CHECK(q.nan == 17);
}

/* Values that 4 bits have stay, and are said to. */
static void exact(void)
{
	static const float has[] = { 0, 0.5f, 1, 1.5f, 2, 3, 4, 6 };
	static struct table4 t;
	uint8_t codes[COLS], scales[BLOCKS], to[COLS / 2], ts[BLOCKS];
	bool changed[BLOCKS];
	double v[COLS];
	size_t i;

	table4_make(&t, cpu_features());
	for (i = 0; i < COLS; i++)
		v[i] = (double)has[i * 5 % 8] * (i % 3 ? 1 : -1);
	memset(scales, 127, sizeof scales);
	codec_ops[CODEC_FP8_ROW].encode(v, scales, 1, COLS, codes);
	table4_quick(&t, codes, scales, COLS, to, ts, changed);
	for (i = 0; i < BLOCKS; i++)
		CHECK(!changed[i] && ts[i] == 127);
	codes[70] = 0x31; /* 0.5625 */
	table4_quick(&t, codes, scales, COLS, to, ts, changed);
	CHECK(changed[2] && !changed[1]);
}

static const struct test tests[] = { { "table4: every code and scale", every },
	{ "table4: any row", any }, { "table4: exact", exact }, { NULL, NULL } };
TEST_MAIN(tests)
