/* test_regain.c -- rows of MXFP4 written in other formats and made MXFP4 again: the old bytes where the format has the
 * scales, else the old values; and values that are on no grid.
 *
 * SPDX-License-Identifier: MIT */
#include "quant/num.h"
#include "quant/reform.h"
#include "quant/regain.h"
#include "tests/check.h"

#include <math.h>

enum { COLS = 256, GROUPS = COLS / 32 };

struct row {
	uint8_t codes[COLS / 2], scales[GROUPS];
	uint8_t to[4 * COLS], to_scales[4 * COLS], second[4];
	uint8_t back[COLS / 2], back_scales[GROUPS];
	bool exact;
};

static void fill(struct row *x, unsigned spread)
{
	size_t i;

	/* every other group has codes of up to 1.5 alone, which a smaller scale has too */
	for (i = 0; i < sizeof x->codes; i++)
		x->codes[i] = (uint8_t)(rnd64() & (i / 16 % 2 ? 0xbb : 0xff));
	for (i = 0; i < GROUPS; i++)
		x->scales[i] = (uint8_t)(120 - rnd(spread + 1));
}

/* Writes the row in the other format. */
static void make(struct row *x, const struct reform *how)
{
	void *room = malloc(reform_room(how, COLS));
	struct reformer r;
	size_t k;

	reformer_begin(&r, how, COLS, true, 0, room);
	if (how->second) {
		CHECK(reformer_second(&r, reform_top(REFORM_TOP_NONE, x->scales, GROUPS)));
		reformer_put_second(&r, x->second);
	}
	CHECK(how->codes(&r, x->codes, x->scales, x->to) == COLS);
	if (how->scales)
		how->scales(&r, x->scales, x->to_scales);
	x->exact = true;
	for (k = 0; k < COLS / how->block; k++)
		x->exact = x->exact && r.verdict[k] <= REFORM_RESCUED;
	free(room);
}

static bool same_values(const struct row *x)
{
	double was[COLS], is[COLS];

	codec_ops[CODEC_MXFP4].decode(x->codes, x->scales, 1, COLS, was);
	codec_ops[CODEC_MXFP4].decode(x->back, x->back_scales, 1, COLS, is);
	return !memcmp(was, is, sizeof was);
}

static void there_and_back(void)
{
	const struct reform *how;
	struct regain n;
	struct row x;
	double v[COLS];
	unsigned w, i;

	CHECK(codecs[CODEC_MXFP4].cols == 32);
	for (w = 0; (how = reform_nth(w)); w++)
		for (i = 0; i < 400 && how->from == CODEC_MXFP4; i++) {
			fill(&x, i % 20);
			make(&x, how);
			n = (struct regain){ 0 };
			CHECK_IN(codecs[how->to].name,
				regain_row(how->to, x.to, how->scales ? x.to_scales : NULL,
					how->second ? codec_second(how->to, x.second) : 1, COLS, v,
					x.back, x.back_scales, &n) == COLS);
			CHECK_IN(codecs[how->to].name, n.blocks == GROUPS);
			if (x.exact)
				CHECK_IN(codecs[how->to].name,
					!n.inexact && n.first == COLS && same_values(&x));
			/* a format that has the scales gives the bytes */
			if (how->scales && i % 20 <= 17)
				CHECK_IN(codecs[how->to].name,
					!memcmp(x.codes, x.back, sizeof x.codes) &&
						!memcmp(x.scales, x.back_scales, GROUPS));
		}
}

/* Every code under every scale, alone: BF16 and F32 have the value where it is in their range. */
static void every_code(void)
{
	double v[COLS], was;
	struct regain n;
	struct row x = { .back = { 0 } };
	unsigned code, e;
	float f[COLS];

	for (e = 0; e < 255; e++)
		for (code = 0; code < 16; code++) {
			was = (double)num_e2m1(code) * (double)num_e8m0(e);
			if (fabs(was) > 0x1p127)
				continue;
			memset(f, 0, sizeof f);
			f[37] = (float)was;
			n = (struct regain){ 0 };
			CHECK(regain_row(CODEC_F32, (uint8_t *)f, NULL, 1, COLS, v, x.back,
				      x.back_scales, &n) == COLS &&
				!n.inexact);
			codec_ops[CODEC_MXFP4].decode(x.back, x.back_scales, 1, COLS, v);
			CHECK(v[37] == was && !signbit(v[37]) == !signbit(was));
			CHECK(x.back_scales[0] == 0 && x.back_scales[2] == 0); /* zeros */
		}
}

/* Values that are on no grid are told, and rounded; what is no number stops. */
static void off_the_grid(void)
{
	static const struct {
		float a, b;
		bool exact;
	} rows[] = { { 6, 0.5f, true }, { 6, 0.25f, false }, { 5, 0, false }, { 7, 0, false },
		{ 3, 0.75f, true }, { 3, 0.25f, true }, { 3, 0.125f, false }, { 12, 1, true },
		{ 0x1p-126f, 0x1p-128f, true }, { 0x1p-126f, 0x1p-129f, false }, { 1.5f, 1, true },
		{ 1.1f, 0, false } };
	double v[COLS];
	struct regain n;
	struct row x;
	float f[COLS];
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		memset(f, 0, sizeof f);
		f[64] = rows[i].a;
		f[95] = -rows[i].b;
		n = (struct regain){ 0 };
		CHECK(regain_row(CODEC_F32, (uint8_t *)f, NULL, 1, COLS, v, x.back, x.back_scales,
			      &n) == COLS);
		CHECK(n.inexact == !rows[i].exact && n.first == (rows[i].exact ? COLS : 64));
	}
	f[70] = NAN;
	CHECK(regain_row(CODEC_F32, (uint8_t *)f, NULL, 1, COLS, v, x.back, x.back_scales, &n) ==
		70);
	f[70] = INFINITY;
	CHECK(regain_row(CODEC_F32, (uint8_t *)f, NULL, 1, COLS, v, x.back, x.back_scales, &n) ==
		70);
}

/* Two scales of 16 that differ: one is made of both where the values allow it. */
static void halves(void)
{
	static const uint8_t one = 0x38, two = 0x40; /* 1 and 2 in E4M3 */
	double v[COLS];
	struct regain n = { 0 };
	struct row x;

	memset(&x, 0, sizeof x);
	memset(x.to, 0x22, COLS / 2); /* 1 */
	memset(x.to_scales, one, COLS / 16);
	x.to_scales[1] = two;
	CHECK(regain_row(CODEC_NVFP4, x.to, x.to_scales, 1, COLS, v, x.back, x.back_scales, &n) ==
		COLS);
	CHECK(!n.inexact);
	codec_ops[CODEC_MXFP4].decode(x.back, x.back_scales, 1, COLS, v);
	CHECK(v[0] == 1 && v[16] == 2 && v[32] == 1);
	x.to_scales[1] = 0x39; /* 1.125 */
	CHECK(regain_row(CODEC_NVFP4, x.to, x.to_scales, 1, COLS, v, x.back, x.back_scales, &n) ==
			COLS &&
		n.inexact == 1);
}

static const struct test tests[] = { { "regain: there and back", there_and_back },
	{ "regain: every code", every_code }, { "regain: off the grid", off_the_grid },
	{ "regain: halves", halves }, { 0 } };
TEST_MAIN(tests)
