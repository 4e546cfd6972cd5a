/* test_round.c -- encoders of formats that round (quant/round.h): every way that this processor has writes what the plain one
 * writes; no group has a greater error than with compressed-tensors' own scale; what is exact stays; bad values are named.
 * tests/oracle/runtime/bytes_ct.py holds them to the package itself.
 *
 * SPDX-License-Identifier: MIT */
#include "core/hash/xxh.h"
#include "quant/num.h"
#include "quant/reform.h"
#include "quant/round.h"
#include "tests/check.h"
#include "tests/emulated.h"

#include <math.h>

enum { COLS = 640, KINDS = 9, SLACK = 32 };
static const enum codec formats[] = { CODEC_INT4_128, CODEC_INT4_32, CODEC_INT8_ROW,
	CODEC_FP8_CHANNEL, CODEC_NVFP4, CODEC_NVFP4_CT, CODEC_MXFP4_CT, CODEC_INT4_128_ASYM,
	CODEC_INT4_32_ASYM };
enum { FORMATS = sizeof formats / sizeof *formats };

struct row {
	uint8_t codes[2 * COLS + SLACK], scales[2 * COLS + SLACK], changed[COLS + SLACK];
};

static float normal(void)
{
	int sum = 0;
	unsigned i;

	for (i = 0; i < 4; i++)
		sum += (int)rnd(2001) - 1000;
	return (float)sum / 1000;
}

static float value_of(unsigned kind, size_t i)
{
	switch (kind) {
	case 0:
		return normal();
	case 1:
		return 0;
	case 2:
		return i % 64 < 40 ? 0 : normal() * (rnd(100) ? 1.0f : 50.0f);
	case 3:
		return normal() * 1e-38f; /* some are subnormal */
	case 4:
		return normal() * 1e37f;
	case 5:
		return num_e2m1(rnd(16)) * ldexpf(1, (int)(i / 32 % 5));
	case 6:
		return (float)(rnd64() >> 40) * 0x1p-24f + 0.25f; /* all above zero */
	case 7:
		return normal() * expf((float)rnd(30) - 15);
	default:
		return ldexpf(normal(), (int)rnd(250) - 140);
	}
}

static const float *make_weights(float *w, unsigned how)
{
	size_t i;

	for (i = 0; i < COLS; i++)
		w[i] = how == 1    ? fabsf(normal())
			: how == 2 ? (i % 128 < 64 ? 0.0f : 1e-38f * (float)rnd(9))
				   : 1e37f * (float)rnd(9);
	return how ? w : NULL;
}

static size_t make(enum codec c, const struct lowbit_way *way, int second, const float *x,
	size_t cols, const float *w, struct row *to)
{
	static float room[4 * COLS];
	const struct round_job j = { rounding_find(c), way, second, w, room };

	CHECK(round_room(cols) <= 4 * COLS);
	memset(to, 0xa5, sizeof *to);
	return round_row(&j, x, cols, to->codes, to->scales, to->changed);
}

/* The power of two of the factor by which no block of x is out of reach. */
static int factor_of(enum codec c, const float *x, size_t cols)
{
	float top = 0x1p-100f;
	size_t i;

	for (i = 0; i < cols; i++)
		top = fmaxf(top, fabsf(x[i]));
	return codecs[c].second.name ? ilogbf(top) - 9 : 0;
}

static void ways_equal(void)
{
	static float x[COLS], w[COLS];
	const struct lowbit_way *way, *plain = lowbit_best(0);
	unsigned f, i, kind, how;
	struct row a, b;
	size_t cols, k;
	char name[96];

	for (f = 0; f < FORMATS; f++)
		for (kind = 0; kind < KINDS; kind++)
			for (how = 0; how < 4; how++) {
				cols = 128 * (1 + rnd(COLS / 128));
				for (k = 0; k < cols; k++)
					x[k] = value_of(kind, k);
				(void)make_weights(w, how);
				for (i = 0; (way = lowbit_way(i)); i++) {
					if ((lowbit_way_need(way) & features_or_emulated()) !=
						lowbit_way_need(way))
						continue;
					snprintf(name, sizeof name, "%s %s, values %u, weights %u",
						codecs[formats[f]].name, lowbit_way_name(way), kind,
						how);
					CHECK_IN(name,
						make(formats[f], plain,
							factor_of(formats[f], x, cols), x, cols,
							how ? w : NULL, &a) == cols);
					CHECK_IN(name,
						make(formats[f], way,
							factor_of(formats[f], x, cols), x, cols,
							how ? w : NULL, &b) == cols);
					CHECK_IN(name, !memcmp(&a, &b, sizeof a));
					CHECK_IN(name,
						a.codes[cols * codecs[formats[f]].bits / 8] ==
							0xa5);
				}
			}
}

/* The weighted error of columns at..at+n of a row. */
static double error_of(enum codec c, int second, const uint8_t *codes, const uint8_t *scales,
	const float *x, size_t cols, const float *w, size_t at, size_t n)
{
	static double v[COLS];
	double sum = 0;
	size_t i;

	codec_ops[c].decode(codes, scales, ldexp(1, second), cols, v);
	for (i = at; i < at + n; i++)
		sum += (w ? (double)w[i] : 1) * (v[i] - (double)x[i]) * (v[i] - (double)x[i]);
	return sum;
}

/* Scale i of a row as compressed-tensors has it: the largest magnitude over what the format has. */
static void package_scale(enum codec c, float top, int second, size_t i, uint8_t *scales)
{
	const float by = c == CODEC_INT8_ROW ? 127.5f : c == CODEC_FP8_CHANNEL ? 448.0f : 7.5f;
	uint16_t h = num_bf16_from(top > 0 ? top / by : 1);

	if (codecs[c].meant == SCALE_BF16)
		memcpy(scales + 2 * i, &h, 2);
	else if (codecs[c].meant == SCALE_E4M3)
		scales[i] = num_e4m3_from(fmaxf(ldexpf(top / 6, -second), 0x1p-9f));
	else /* its observer: up where the mantissa is 1.75 or more */
		scales[i] = (uint8_t)((num_bits(top) + (num_bits(top) & 0x400000 ? 0x200000 : 0)) >>
				    23) -
			2;
}

/* Scale and zero point i of a row as compressed-tensors has them, of values from low to high, zero being one of them. */
static void package_zero(enum codec c, const float *x, size_t i, uint8_t *scales)
{
	size_t n = round_group(c, COLS), k;
	float low = 0, high = 0, s;
	uint16_t h;

	for (k = i * n; k < (i + 1) * n; k++) {
		low = fminf(low, x[k]);
		high = fmaxf(high, x[k]);
	}
	s = high > low ? (high - low) / 15 : 1;
	h = num_bf16_from(s);
	memcpy(scales + 2 * i, &h, 2);
	scales[2 * round_groups(c, COLS) + i] = (uint8_t)fminf(nearbyintf(-low / s), 15);
}

/* Those of the format without zero points, and the code that is zero there. */
static void package_none(enum codec c, const float *x, uint8_t *scales)
{
	struct row a;

	CHECK(make(c == CODEC_INT4_32_ASYM ? CODEC_INT4_32 : CODEC_INT4_128, lowbit_best(0), 0, x,
		      COLS, NULL, &a) == COLS);
	memcpy(scales, a.scales, 2 * round_groups(c, COLS));
	memset(scales + 2 * round_groups(c, COLS), 8, round_groups(c, COLS));
}

static void no_worse(void)
{
	static float x[COLS], w[COLS];
	static uint8_t codes[4 * COLS], scales[4 * COLS];
	static double v[COLS];
	unsigned f, kind, how;
	struct row a;
	size_t n, i, k;
	double ours, theirs;
	double sum[FORMATS][2] = { { 0 } };
	float top;

	for (f = 0; f < FORMATS; f++)
		for (kind = 0; kind < 7; kind++)
			for (how = 0; how < 2; how++) {
				enum codec c = formats[f];
				int second;

				if (kind == 3 || kind == 4 || kind == 1)
					continue; /* the package's scale is not normal, or nothing is */
				for (k = 0; k < COLS; k++)
					x[k] = value_of(kind, k);
				(void)make_weights(w, how);
				second = factor_of(c, x, COLS);
				n = round_group(c, COLS);
				for (i = 0; i < COLS / n; i++) {
					for (top = 0, k = i * n; k < (i + 1) * n; k++)
						top = fmaxf(top, fabsf(x[k]));
					if (codecs[c].zeros)
						package_zero(c, x, i, scales);
					else
						package_scale(c, top, second, i, scales);
				}
				if (codecs[c].zeros && kind % 2 && !how)
					package_none(c, x, scales);
				for (k = 0; k < COLS; k++)
					v[k] = (double)x[k];
				codec_ops[c].encode(v, scales, ldexp(1, second), COLS, codes);
				CHECK(make(c, lowbit_best(features_or_emulated()), second, x, COLS,
					      how ? w : NULL, &a) == COLS);
				for (i = 0; i < COLS / n; i++) {
					ours = error_of(c, second, a.codes, a.scales, x, COLS,
						how ? w : NULL, i * n, n);
					theirs = error_of(c, second, codes, scales, x, COLS,
						how ? w : NULL, i * n, n);
					CHECK_IN(codecs[c].name, ours <= theirs * 1.00001);
					sum[f][0] += kind ? 0 : ours;
					sum[f][1] += kind ? 0 : theirs;
				}
			}
	/* and of normal values much better, but for formats that have a step of two, or hardly an error */
	CHECK(sum[0][0] < 0.92 * sum[0][1]);
	CHECK(sum[1][0] < 0.9 * sum[1][1]);
	CHECK(sum[4][0] < 0.85 * sum[4][1]);
	CHECK(sum[7][0] < 0.95 * sum[7][1]);
	CHECK(sum[8][0] < 0.92 * sum[8][1]);
}

/* What was changed is what decodes to something else. */
static void verdicts(void)
{
	static float x[COLS];
	static double v[COLS];
	unsigned f, kind;
	struct row a;
	size_t i, k, n;
	int second;
	bool differs;

	for (f = 0; f < FORMATS; f++)
		for (kind = 0; kind < KINDS; kind++) {
			for (k = 0; k < COLS; k++)
				x[k] = value_of(kind, k);
			second = factor_of(formats[f], x, COLS);
			n = round_group(formats[f], COLS);
			CHECK(make(formats[f], lowbit_best(0), second, x, COLS, NULL, &a) == COLS);
			codec_ops[formats[f]].decode(a.codes, a.scales, ldexp(1, second), COLS, v);
			for (i = 0; i < COLS / n; i++) {
				for (differs = false, k = i * n; k < (i + 1) * n; k++)
					differs = differs || v[k] != (double)x[k];
				CHECK_IN(codecs[formats[f]].name, differs == (a.changed[i] != 0));
			}
		}
}

/* FP4 stays FP4, and becomes FP8 by rows without a change, as far as the scales of a row reach. */
static void exact(void)
{
	static const enum codec same[] = { CODEC_FP8_CHANNEL, CODEC_NVFP4, CODEC_MXFP4_CT };
	static float x[COLS];
	struct row a;
	size_t i, k;
	int second;

	for (i = 0; i < 3; i++) {
		for (k = 0; k < COLS; k++)
			x[k] = value_of(5, k);
		second = factor_of(same[i], x, COLS);
		CHECK(make(same[i], lowbit_best(0), second, x, COLS, NULL, &a) == COLS);
		for (k = 0; k < COLS / round_group(same[i], COLS); k++)
			CHECK_IN(codecs[same[i]].name, !a.changed[k]);
	}
}

static void bad_values(void)
{
	static const float bad[] = { NAN, INFINITY, -INFINITY, 0x1.8p126f };
	static float x[COLS];
	struct row a;
	unsigned f, i;
	size_t at;

	for (f = 0; f < FORMATS; f++)
		for (i = 0; i < 4; i++) {
			memset(x, 0, sizeof x);
			at = rnd(COLS);
			x[at] = bad[i];
			CHECK(make(formats[f], lowbit_best(features_or_emulated()), 0, x, COLS,
				      NULL, &a) == at);
		}
	CHECK(!rounding_find(CODEC_BF16));
}

/* The quick decoders of sources say what the formats mean. */
static void sources(void)
{
	static const enum codec from[] = { CODEC_MXFP4, CODEC_FP8, CODEC_FP8_F32 };
	static uint8_t codes[COLS], scales[4 * COLS];
	static float x[COLS];
	static double v[COLS];
	unsigned f;
	size_t k;

	for (f = 0; f < 3; f++) {
		for (k = 0; k < COLS; k++)
			codes[k] = (uint8_t)rnd(256);
		for (k = 0; k < 4 * COLS; k++)
			scales[k] = (uint8_t)rnd(255);
		for (k = 0; f == 2 && k < COLS; k++)
			memcpy(scales + 4 * k, &(float){ expf(normal()) }, 4);
		codec_ops[from[f]].decode(codes, scales, 1, COLS, v);
		round_source(from[f], codes, scales, COLS, x);
		for (k = 0; k < COLS; k++)
			CHECK((float)v[k] == x[k] || (isnan(v[k]) && isnan(x[k])));
	}
}

/* --- bytes that stay --- */

/* What is written for values that no seed and no compiler changes, without weights and with them: an encoder that is made faster
 * writes the same. */
static void bytes_stay(void)
{
	static const char *const digests[] = {
		"e353ab8532416ae9dba08c1d66d84128",
		"cd18dead32968952ce34b7bb8bb3d0a8",
		"6bf5be2fff9561898d52c495090c7373",
		"3342408a1f8184e1999cfea34f5224e6",
		"f1702e4b5b5727821505bfdcaa8a0604",
		"f1702e4b5b5727821505bfdcaa8a0604",
		"c506bdd29eea2fe8b0329ea38c40efe4",
		"252c973aac07e93e9ea16c015995950a",
		"29a65282b1c4132afe2dd23ec7c66391",
	};
	static float x[COLS], w[COLS];
	static struct row rows[2];
	uint32_t state = 20261130;
	struct xxh_digest d;
	char hex[33];
	size_t f, i;

	for (i = 0; i < COLS; i++) {
		state = state * 1664525 + 1013904223;
		x[i] = i / 256 % 2 ? num_e2m1(state >> 28) * (i / 32 % 3 ? 1 : 8)
				   : (float)((int)(state >> 8 & 0xffff) - 0x7000) / 0x4000;
		w[i] = (float)(1 + (state >> 24)) / 64;
	}
	CHECK(sizeof digests / sizeof *digests == FORMATS);
	for (f = 0; f < FORMATS; f++) {
		CHECK(make(formats[f], lowbit_best(0), -9, x, COLS, NULL, &rows[0]) == COLS);
		CHECK(make(formats[f], lowbit_best(0), -9, x, COLS, w, &rows[1]) == COLS);
		d = xxh_of(rows, sizeof rows);
		hex_of(d.b, sizeof d.b, hex);
		CHECK_IN(codecs[formats[f]].name, !strcmp(digests[f], hex));
		if (strcmp(digests[f], hex) != 0)
			printf("# %s has %s\n", codecs[formats[f]].name, hex);
	}
}

static const struct test tests[] = { { "ways_equal", ways_equal }, { "no_worse", no_worse },
	{ "verdicts", verdicts }, { "exact", exact }, { "bad_values", bad_values },
	{ "sources", sources }, { "bytes_stay", bytes_stay }, { NULL, NULL } };
TEST_MAIN(tests)
