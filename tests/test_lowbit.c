/* test_lowbit.c -- encoders of ggml's types (quant/lowbit.h): every way that this processor has writes what the plain one
 * writes, for values and weights of many kinds; the error is that of the bytes; bad values and weights are named.
 * tests/oracle/lowbit.py holds the errors to those of ggml's own encoders.
 *
 * SPDX-License-Identifier: MIT */
#include "core/hash/xxh.h"
#include "formats/gguf/ggml_type.h"
#include "quant/ggml_search.h"
#include "quant/num.h"
#include "tests/check.h"
#include "tests/emulated.h"

#include <math.h>

enum { COLS = 1280, MOST_BYTES = 4 * COLS, SLACK = 64 }; /* an odd number of blocks of 256 */

static const float *weights_or_none(const float *w, unsigned how)
{
	return how ? w : NULL;
}

/* About normal: a sum of four. */
static float normal(void)
{
	int sum = 0;
	unsigned i;

	for (i = 0; i < 4; i++)
		sum += (int)rnd(2001) - 1000;
	return (float)sum / 1000;
}

/* Values of kind k; there are KINDS. */
enum { KINDS = 12 };

static float value_of(unsigned k, size_t i)
{
	switch (k) {
	case 0:
		return normal();
	case 1:
		return 0;
	case 2:
		return 0.37f;
	case 3:
		return -0.37f;
	case 4:
		return normal() * 1e-7f; /* d is subnormal */
	case 5:
		return normal() * (rnd(200) ? 1.0f : 60.0f); /* outliers */
	case 6:
		return rnd(3) ? 0 : normal(); /* mostly zeros */
	case 7:
		return num_e2m1(rnd(16)) * (i / 32 % 3 ? 1 : 8); /* FP4 */
	case 8:
		return (float)(rnd64() >> 40) * 0x1p-24f + 0.25f; /* all above zero */
	case 9:
		return normal() * 60000;
	case 10:
		return normal() * 1e-30f;
	default:
		return i % 256 < 128 ? 0 : normal() * expf((float)(i / 16 % 5));
	}
}

static void row_of(float *x, size_t n, unsigned k)
{
	size_t i;

	for (i = 0; i < n; i++)
		x[i] = value_of(k, i);
	for (i = 0; i < n && k != 9; i++)
		x[i] = fmaxf(fminf(x[i], 65504), -65504);
	for (i = 0; i < n && k == 9; i++)
		x[i] = fmaxf(fminf(x[i], 60000), -60000);
}

/* Weights of kind k, of which there are 5. */
static void weights_of(float *w, size_t n, unsigned k)
{
	size_t i;

	for (i = 0; i < n; i++) {
		float v = normal();

		w[i] = k == 0    ? v * v
			: k == 1 ? expf(3 * v)
			: k == 2 ? 0
			: k == 3 ? v * v * 1e-38f
				 : v * v * 1e37f;
		if (k == 1 && !rnd(3))
			w[i] = 0;
	}
}

/* Says which case differs. */
static void same_row(const struct lowbit *t, const struct lowbit_way *w, enum lowbit_aim aim,
	const float *x, size_t cols, const float *weights, unsigned kind, unsigned of)
{
	static uint8_t want[MOST_BYTES + SLACK], got[MOST_BYTES + SLACK];
	const struct ggml_type_row *r = ggml_type_find(t->type);
	size_t bytes = cols / t->items * r->bytes;
	char name[64];

	snprintf(name, sizeof name, "%s %s, values %u, weights %u, aim %d", r->name,
		lowbit_way_name(w), kind, of, aim);
	memset(want, 0xa5, sizeof want);
	memset(got, 0xa5, sizeof got);
	CHECK_IN(name, lowbit_row(t, lowbit_way(2), aim, x, cols, weights, want, NULL) == cols);
	CHECK_IN(name, lowbit_row(t, w, aim, x, cols, weights, got, NULL) == cols);
	CHECK_IN(name, same_bytes(name, got, want, bytes + SLACK) && got[bytes] == 0xa5);
}

static void ways_equal(void)
{
	const struct lowbit_way *w;
	const struct lowbit *t;
	static float x[COLS], weights[COLS];
	unsigned i, k, of;
	size_t cols;

	for (i = 0; (w = lowbit_way(i)); i++) {
		if (lowbit_way_need(w) & ~features_or_emulated() || w == lowbit_way(2))
			continue;
		for (t = lowbits; t->items; t++)
			for (k = 0; k < KINDS; k++)
				for (of = 0; of < 6; of++) {
					row_of(x, COLS, k);
					weights_of(weights, COLS, of ? of - 1 : 0);
					cols = t->items *
						(size_t)(1 + rnd((uint32_t)COLS / t->items));
					same_row(t, w, LOWBIT_PLAIN, x, cols,
						weights_or_none(weights, of), k, of);
					same_row(t, w, LOWBIT_GGML, x, cols,
						weights_or_none(weights, of), k, of);
				}
	}
}

/* The error is that of what the bytes decode to, and no larger than that of zeros; bytes decode to finite numbers. */
static void errors_true(void)
{
	static float x[COLS], weights[COLS];
	static uint8_t dst[MOST_BYTES];
	static double v[COLS];
	const struct lowbit *t;
	double error, want, zeros, w;
	unsigned k, of;
	size_t i;

	for (t = lowbits; t->items; t++)
		for (k = 0; k < KINDS; k++)
			for (of = 0; of < 2; of++) {
				const char *name = ggml_type_find(t->type)->name;

				row_of(x, COLS, k);
				weights_of(weights, COLS, 0);
				error = 1000;
				CHECK_IN(name,
					lowbit_row(t, lowbit_best(0), LOWBIT_PLAIN, x, COLS,
						weights_or_none(weights, of), dst, &error) == COLS);
				CHECK_IN(name, ggml_values(t->type, dst, COLS, 0, v));
				for (want = zeros = 0, i = 0; i < COLS; i++) {
					w = of ? (double)weights[i] : 1;
					want += w * ((double)x[i] - v[i]) * ((double)x[i] - v[i]);
					zeros += w * (double)x[i] * (double)x[i];
				}
				CHECK_IN(name,
					isfinite(want) &&
						fabs(error - 1000 - want) <= 1e-9 * (1000 + want));
				CHECK_IN(name, want <= zeros);
			}
}

/* A value that is not a number or too large in any column is named, and the error left alone. */
static void bad_values(void)
{
	static float x[COLS];
	static uint8_t dst[MOST_BYTES];
	const struct lowbit *t;
	float bad[4] = { NAN, INFINITY, -INFINITY, 0 };
	double error = 5;
	unsigned k;
	size_t at;

	row_of(x, COLS, 0);
	for (t = lowbits; t->items; t++) {
		const char *name = ggml_type_find(t->type)->name;

		bad[3] = -nextafterf(t->most, INFINITY);
		for (k = 0; k < 4; k++) {
			at = rnd(COLS);
			x[at] = bad[k];
			CHECK_IN(name,
				lowbit_row(t, lowbit_best(0), LOWBIT_GGML, x, COLS, NULL, dst,
					&error) == at);
			x[at] = normal();
		}
		x[3] = t->most;
		CHECK_IN(name, error == 5);
		CHECK_IN(name,
			lowbit_row(t, lowbit_best(0), LOWBIT_GGML, x, COLS, NULL, dst, &error) ==
				COLS);
		CHECK_IN(name, isfinite(error));
		x[3] = 0;
		error = 5;
	}
}

static void bad_weights(void)
{
	static const float bad[] = { -1, NAN, INFINITY, -INFINITY, -1e-40f };
	static float w[COLS];
	unsigned k;
	size_t at;

	weights_of(w, COLS, 0);
	CHECK(lowbit_bad_weight(w, COLS) == COLS && lowbit_bad_weight(w, 0) == 0);
	for (k = 0; k < sizeof bad / sizeof *bad; k++) {
		at = rnd(COLS);
		w[at] = bad[k];
		CHECK(lowbit_bad_weight(w, COLS) == at);
		w[at] = 0;
	}
}

/* Weights change what is written where they differ, and nothing where all are the same power of two or zero, but for Q3_K, whose
 * search is shorter without weights. */
static void weights_count(void)
{
	static const float alike[] = { 1, 4, 0x1p-90f, 0x1p120f, 0x1p-140f, 0 };
	static float x[COLS], w[COLS];
	static uint8_t one[MOST_BYTES], other[MOST_BYTES];
	const struct lowbit *t;
	size_t i, k, bytes;

	row_of(x, COLS, 0);
	for (t = lowbits; t->items; t++) {
		const struct ggml_type_row *r = ggml_type_find(t->type);

		bytes = (size_t)(COLS / t->items) * r->bytes;
		lowbit_row(t, lowbit_best(0), LOWBIT_PLAIN, x, COLS, NULL, one, NULL);
		for (k = 0; k < sizeof alike / sizeof *alike; k++) {
			for (i = 0; i < COLS; i++)
				w[i] = alike[k];
			lowbit_row(t, lowbit_best(0), LOWBIT_PLAIN, x, COLS, w, other, NULL);
			CHECK_IN(r->name, t->type == GGML_Q3_K || !memcmp(one, other, bytes));
		}
		weights_of(w, COLS, 1);
		lowbit_row(t, lowbit_best(0), LOWBIT_PLAIN, x, COLS, w, other, NULL);
		CHECK_IN(r->name, !memcmp(one, other, bytes) == !t->step);
	}
}

/* Every number of FP16 comes back from FP32, and halves between them go to the even one. */
static void fp16(void)
{
	float a, b;
	unsigned h;

	for (h = 0; h < 0x7c00; h++) {
		a = num_f16((uint16_t)h);
		CHECK(num_f16_from(a) == h && num_f16_from(-a) == (h | 0x8000));
		if (h == 0x7bff)
			break;
		b = (a + num_f16((uint16_t)(h + 1))) / 2;
		CHECK(num_f16_from(b) == h + (h & 1));
		CHECK(num_f16_from(nextafterf(b, 0)) == h &&
			num_f16_from(nextafterf(b, 1e6f)) == h + 1);
	}
	CHECK(num_f16_from(65519.99f) == 0x7bff && num_f16_from(65520) == 0x7c00 &&
		num_f16_from(-1e38f) == 0xfc00);
}

static void best(void)
{
	CHECK(lowbit_best(0) == lowbit_way(2) && lowbit_best(~0u) == lowbit_way(0) &&
		!lowbit_way(3));
	CHECK(lowbit_find(GGML_I32) == NULL && lowbit_find(GGML_F16) == lowbits);
}

/* What mixes are made of has a way to every type that there is an encoder of, and to no other. */
static void searched(void)
{
	static const enum codec from[] = { CODEC_MXFP4, CODEC_FP8, CODEC_FP8_F32, CODEC_BF16,
		CODEC_F32 };
	const struct ggml_type_row *r;
	const struct ggml_way *w;
	size_t i;

	for (r = ggml_types; r->name; r++) {
		for (i = 0; i < sizeof from / sizeof *from; i++) {
			w = ggml_searched_find(from[i], r->type);
			CHECK_IN(r->name, !w == !lowbit_find(r->type));
			CHECK_IN(r->name,
				!w || (w->from == from[i] && w->type == r->type && w->lossy));
		}
		CHECK_IN(r->name, !ggml_searched_find(CODEC_NONE, r->type));
	}
}

/* --- bytes that stay --- */

/* Values of FP4 under scales, and others, which no seed changes: numbers that any compiler makes alike. */
static void fixed_values(float *x, float *w, size_t n)
{
	uint32_t state = 20261130;
	size_t i;

	for (i = 0; i < n; i++) {
		state = state * 1664525 + 1013904223;
		x[i] = i / 256 % 2 ? num_e2m1(state >> 28) * (i / 32 % 3 ? 1 : 8)
				   : (float)((int)(state >> 8 & 0xffff) - 0x8000) / 0x4000;
		w[i] = (float)(1 + (state >> 24)) / 64;
	}
}

/* LOWBIT_ID names encoders by the bytes that they write. Where one of these digests has to change, LOWBIT_ID has to change too: a
 * score of the old encoders must not be used with the new ones. */
static void named_by_their_bytes(void)
{
	static const struct {
		uint32_t type;
		const char *digest;
	} rows[] = {
		{ GGML_F16, "19d9505985c4998eccc1ae6ae8a15144" },
		{ GGML_Q8_0, "2966f018b91b3c46f8edd2f5c35648ec" },
		{ GGML_Q2_K, "2ab490cb923a2f006e64121622e22cdf" },
		{ GGML_Q3_K, "adb0adfdeda4be2a21e85e8c87914c43" },
		{ GGML_Q4_K, "09da5774586902c20facef1e88d5f379" },
		{ GGML_Q5_K, "ad0134f97aca10fa0c2cb7d54da14677" },
		{ GGML_Q6_K, "0e9b0fbceac671a057b41e2d086abe25" },
		{ GGML_IQ2_XXS, "3331fb8e33046b6f37cbaf5bcdaa29de" },
		{ GGML_IQ3_XXS, "cbec019381219c24fa7733f5eae11a1f" },
		{ GGML_IQ4_NL, "ae1540f0880ee9a0ec3e160eb5525590" },
	};
	static float x[COLS], w[COLS];
	static uint8_t dst[2 * MOST_BYTES];
	const struct ggml_type_row *r;
	const struct lowbit *t;
	struct xxh_digest d;
	size_t i, bytes;
	char hex[33];

	CHECK(!strcmp(LOWBIT_ID, "lowbit-1"));
	fixed_values(x, w, COLS);
	for (i = 0; lowbits[i].items; i++) {
		t = &lowbits[i];
		r = ggml_type_find(t->type);
		bytes = (size_t)COLS / t->items * r->bytes;
		CHECK(lowbit_row(t, lowbit_best(0), LOWBIT_PLAIN, x, COLS, NULL, dst, NULL) ==
			COLS);
		CHECK(lowbit_row(t, lowbit_best(0), LOWBIT_PLAIN, x, COLS, w, dst + bytes, NULL) ==
			COLS);
		d = xxh_of(dst, 2 * bytes);
		hex_of(d.b, sizeof d.b, hex);
		CHECK_IN(r->name,
			i < sizeof rows / sizeof *rows && rows[i].type == t->type &&
				!strcmp(rows[i].digest, hex));
		if (i < sizeof rows / sizeof *rows && strcmp(rows[i].digest, hex) != 0)
			printf("# %s has %s\n", r->name, hex);
	}
	CHECK(i == sizeof rows / sizeof *rows);
}

static const struct test tests[] = { { "ways_equal", ways_equal }, { "errors_true", errors_true },
	{ "bad_values", bad_values }, { "bad_weights", bad_weights },
	{ "weights_count", weights_count }, { "fp16", fp16 }, { "best", best },
	{ "searched", searched }, { "named_by_their_bytes", named_by_their_bytes },
	{ NULL, NULL } };
TEST_MAIN(tests)
