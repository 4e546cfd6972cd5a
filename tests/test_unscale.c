/* test_unscale.c -- codes read off the bits of numbers (quant/unscale.h): every BF16 under many scales, every pair of E4M3
 * codes, held to what quant/num.h makes of each code; largest magnitudes of rows of any length.
 *
 * SPDX-License-Identifier: MIT */
#include "quant/num.h"
#include "quant/unscale.h"
#include "tests/check.h"

#include <math.h>

enum { ALL = 65536, NONE = -1 };

static void put(uint8_t *p, size_t i, unsigned h)
{
	p[2 * i] = (uint8_t)h;
	p[2 * i + 1] = (uint8_t)(h >> 8);
}

/* want[h]: the code whose product is the BF16 h, or NONE. */
static void products(int want[ALL], unsigned codes, float (*value)(unsigned code), float scale)
{
	unsigned c, h;
	float v;

	for (h = 0; h < ALL; h++)
		want[h] = NONE;
	for (c = 0; c < codes; c++) {
		v = value(c) * scale;
		if (isfinite(v) && !(num_bits(v) & 0xffff))
			want[num_bits(v) >> 16] = (int)c;
	}
}

static void fp8(void)
{
	static const int powers[] = { ROW_BF16_MIN, ROW_BF16_MIN + 1, -60, -7, 0, 1, 8, 60,
		ROW_BF16_MAX - 1, ROW_BF16_MAX };
	static int want[ALL];
	uint8_t bf16[6], codes[3];
	unsigned h, at, i;
	bool ok;

	for (i = 0; i < sizeof powers / sizeof *powers; i++) {
		products(want, 256, num_e4m3, ldexpf(1, powers[i]));
		for (h = 0; h < ALL; h++) {
			at = h % 3;
			memset(bf16, 0, sizeof bf16);
			put(bf16, at, h);
			memset(codes, 0x55, sizeof codes);
			ok = unscale_fp8(codes, bf16, 3, powers[i]);
			CHECK(ok == (want[h] != NONE));
			CHECK(!ok || codes[at] == want[h]);
			CHECK(!ok || (!codes[(at + 1) % 3] && !codes[(at + 2) % 3]));
		}
	}
}

static void fp4(void)
{
	static int want[ALL];
	uint8_t bf16[2 * ROW_GROUP], codes[ROW_GROUP_BYTES];
	unsigned h, at, scale;
	bool ok;

	for (scale = UNSCALE_E8M0_MIN; scale < NUM_E8M0_NAN; scale++) {
		products(want, 16, num_e2m1, num_e8m0(scale));
		for (h = scale % 7; h < ALL; h += scale % 5 ? 7 : 1) {
			at = h % ROW_GROUP;
			memset(bf16, 0, sizeof bf16);
			put(bf16, at, h);
			ok = unscale_fp4(codes, bf16, scale);
			CHECK(ok == (want[h] != NONE));
			CHECK(!ok || (codes[at / 2] >> at % 2 * 4 & 15) == want[h]);
			CHECK(!ok || !(codes[at / 2] >> (1 - at % 2) * 4 & 15));
		}
	}
}

static void narrow(void)
{
	uint8_t e4m3[2], code;
	int of[256];
	unsigned c, h;
	bool ok;

	for (c = 0; c < 256; c++)
		of[c] = NONE;
	for (c = 0; c < 16; c++)
		of[num_e4m3_from(num_e2m1(c))] = (int)c;
	for (h = 0; h < ALL; h++) {
		e4m3[0] = (uint8_t)h;
		e4m3[1] = (uint8_t)(h >> 8);
		ok = unscale_narrow(&code, e4m3, 2);
		CHECK(ok == (of[h & 255] != NONE && of[h >> 8] != NONE));
		CHECK(!ok || code == (of[h & 255] | of[h >> 8] << 4));
	}
}

static void top(void)
{
	uint8_t bf16[2 * 70];
	unsigned i, n, h, most;

	for (n = 0; n < 70; n++) {
		for (i = most = 0; i < n; i++) {
			h = (i * 40503u + n * 977u) & 0xffff;
			put(bf16, i, h);
			most = (h & 0x7fff) > most ? h & 0x7fff : most;
		}
		CHECK(unscale_top(bf16, n) == most);
	}
}

static void power(void)
{
	int e, k;

	for (e = -149; e <= 127; e++) {
		CHECK(unscale_power(ldexpf(1, e), &k) == (e >= ROW_BF16_MIN && e <= ROW_BF16_MAX));
		CHECK(e < ROW_BF16_MIN || e > ROW_BF16_MAX || k == e);
		CHECK(!unscale_power(-ldexpf(1, e), &k));
	}
	CHECK(!unscale_power(0, &k) && !unscale_power(1.5f, &k));
	CHECK(!unscale_power(INFINITY, &k) && !unscale_power(NAN, &k));
}

static const struct test tests[] = { { "unscale: FP8", fp8 }, { "unscale: FP4", fp4 },
	{ "unscale: narrow", narrow }, { "unscale: top", top }, { "unscale: powers", power },
	{ 0 } };

TEST_MAIN(tests)
