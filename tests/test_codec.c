/* test_codec.c -- the table of number formats: facts hold together, what is encoded is decoded, and every
 * way from one format to another does what decode and encode do.
 *
 * All tests loop over the tables, so that a new row is tested by being there.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "quant/codec.h"
#include "quant/num.h"
#include "quant/recode.h"
#include "tests/check.h"

#include <math.h>

/* One code of a format, as bytes of a row of `cols` of them. */
static void put_code(enum codec c, uint8_t *row, size_t i, uint32_t code)
{
	unsigned bits = codecs[c].bits;

	if (bits == 4)
		row[i / 2] = (uint8_t)((row[i / 2] & (i % 2 ? 0x0f : 0xf0)) | code << (i % 2 * 4));
	else
		memcpy(row + i * (bits / 8), &code, bits / 8);
}

static uint32_t get_code(enum codec c, const uint8_t *row, size_t i)
{
	unsigned bits = codecs[c].bits;
	uint32_t code = 0;

	if (bits == 4)
		return row[i / 2] >> (i % 2 * 4) & 15;
	memcpy(&code, row + i * (bits / 8), bits / 8);
	return code;
}

static void facts(void)
{
	uint64_t dim[2];
	unsigned c, d;

	for (c = CODEC_NONE + 1; c < CODEC_COUNT; c++) {
		const struct codec_form *f = &codecs[c];

		CHECK_IN(f->name, codec_find(f->name) == (enum codec)c);
		d = codec_of_types(f->code, f->scale); /* the first with these types */
		CHECK_IN(f->name,
			d <= c && codecs[d].code == f->code && codecs[d].scale == f->scale &&
				(c == CODEC_FP8_32 || c == CODEC_FP8_ROW || c == CODEC_INT4_32 ||
					c == CODEC_INT4_32_ASYM ||
					(codecs[d].rows == f->rows && codecs[d].cols == f->cols)));
		CHECK_IN(f->name, (f->scale == DT_COUNT) == (f->meant == SCALE_NONE));
		CHECK_IN(f->name, codec_ops[c].decode && codec_ops[c].encode && codec_ops[c].exact);
		CHECK_IN(f->name, (f->scale == DT_COUNT) == (f->scales == NULL));
		CHECK_IN(f->name, f->scale != DT_COUNT || f->rows * f->cols == 1);
		CHECK_IN(f->name, codec_cols((enum codec)c, codec_dim1((enum codec)c, 256)) == 256);
		CHECK_IN(f->name,
			codec_dim1((enum codec)c, 256) * dtypes[f->code].bits / 8 ==
				codec_row_bytes((enum codec)c, 256));
		for (d = CODEC_NONE; d < c; d++)
			CHECK_IN(f->name, strcmp(f->name, codecs[d].name) != 0);
	}
	CHECK(codec_find("unsaid") == CODEC_NONE && codec_find("fp5") == CODEC_NONE);
	CHECK(codec_of_expert("fp4") == CODEC_MXFP4 && codec_of_expert("fp8") == CODEC_FP8 &&
		codec_of_expert("int4") == CODEC_NONE);
	codec_scale_dim(CODEC_MXFP4, 3, 64, dim);
	CHECK(dim[0] == 3 && dim[1] == 2);
	codec_scale_dim(CODEC_FP8, 129, 256, dim);
	CHECK(dim[0] == 2 && dim[1] == 2);
	CHECK(codec_whole(CODEC_FP8, 128, 256) && !codec_whole(CODEC_FP8, 129, 256) &&
		!codec_whole(CODEC_MXFP4, 1, 33));
}

/* Zero points as compressed-tensors packs them: of rows, the first in the lowest bits of a word; each a code from 0 to 15. */
static void zero_points(void)
{
	enum { ROWS = 11, GROUPS = 3 };
	uint8_t zeros[ROWS][GROUPS], found[GROUPS], words[2][4 * GROUPS] = { { 0 } };
	const uint8_t codes[16] = { 0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe };
	uint8_t scales[3] = { 0x00, 0x3f, 0 }, back[16]; /* 0.5 */
	uint64_t dim[2];
	uint32_t word;
	double v[32];
	unsigned r, g, z;

	codec_zero_dim(CODEC_INT4_32_ASYM, ROWS, 32 * GROUPS, dim);
	CHECK(dim[0] == 2 && dim[1] == GROUPS);
	CHECK(codec_scale_row(CODEC_INT4_32_ASYM, 32 * GROUPS) == 3 * GROUPS &&
		codec_scale_row(CODEC_INT4_32, 32 * GROUPS) == 2 * GROUPS &&
		codec_scale_row(CODEC_INT8_ROW, 77) == 2 && codec_scale_row(CODEC_BF16, 77) == 0);
	for (r = 0; r < ROWS; r++) {
		for (g = 0; g < GROUPS; g++)
			zeros[r][g] = (uint8_t)rnd(16);
		codec_zeros_put(zeros[r], r, GROUPS, words[r / 8]);
	}
	for (r = 0; r < ROWS; r++) {
		codec_zeros_get(words[r / 8], r, GROUPS, found);
		CHECK(!memcmp(found, zeros[r], GROUPS));
		for (g = 0; g < GROUPS; g++) {
			memcpy(&word, words[r / 8] + 4 * g, sizeof word);
			CHECK((word >> 4 * (r % 8) & 15) == zeros[r][g]);
		}
	}
	for (z = 0; z < 16; z++) {
		scales[2] = (uint8_t)z;
		codec_ops[CODEC_INT4_32_ASYM].decode(codes, scales, 1, 32, v);
		for (r = 0; r < 16; r++)
			CHECK(v[r] == 0.5 * ((int)r - (int)z));
		codec_ops[CODEC_INT4_32_ASYM].encode(v, scales, 1, 32, back);
		CHECK(!memcmp(back, codes, sizeof codes));
		for (r = 0; r < 32; r++)
			v[r] = r % 2 ? 99 : -99; /* beyond either end */
		codec_ops[CODEC_INT4_32_ASYM].encode(v, scales, 1, 32, back);
		CHECK(back[0] == 0xf0 && back[15] == 0xf0);
	}
}

static void num_e2m1_encode(void)
{
	/* value, code: ties and what lies beside them */
	static const struct {
		double x;
		uint8_t code;
	} at[] = { { .25, 0 }, { .75, 2 }, { 1.25, 2 }, { 1.75, 4 }, { 2.5, 4 }, { 3.5, 6 },
		{ 5, 6 }, { 6, 7 }, { 1e9, 7 }, { 0, 0 } };
	unsigned i;

	for (i = 0; i < sizeof at / sizeof *at; i++) {
		CHECK(num_e2m1_from(at[i].x) == at[i].code);
		CHECK(num_e2m1_from(-at[i].x) == (at[i].code | 8));
	}
	for (i = 0; i < 16; i++)
		CHECK(num_e2m1_from((double)num_e2m1(i)) == i);
	for (i = 0; i < 7; i++) { /* next to the middle between neighbours */
		double mid = ((double)num_e2m1(i) + (double)num_e2m1(i + 1)) / 2;

		CHECK(num_e2m1_from(nextafter(mid, 0)) == i);
		CHECK(num_e2m1_from(nextafter(mid, 9)) == i + 1);
	}
}

/* A scale that is a power of two, so that every code of E2M1 and E4M3 comes back. */
static void put_scale(enum codec c, uint8_t *scales, size_t i, int exponent)
{
	float f = ldexpf(1, exponent);

	if (codecs[c].meant == SCALE_E8M0)
		scales[i] = (uint8_t)(exponent + 127);
	else if (codecs[c].meant == SCALE_E4M3) /* as far as its exponents reach */
		scales[i] = num_e4m3_from(ldexpf(1, (exponent + 127) % 18 - 9));
	else if (codecs[c].meant == SCALE_F32)
		memcpy(scales + 4 * i, &f, sizeof f);
}

/* Every code of up to 16 bits, many of 32: what decode says, encode writes. */
static void there_and_back(void)
{
	enum { COLS = 512 };
	static double v[COLS];
	uint8_t row[8 * COLS], back[8 * COLS],
		scales[8 * COLS]; /* 64 bits: the widest type there is */
	unsigned c, round;
	size_t i;

	for (c = CODEC_NONE + 1; c < CODEC_COUNT; c++) {
		for (round = 0; round < 256; round++) {
			memset(row, 0, sizeof row);
			for (i = 0; i < COLS; i++)
				put_code((enum codec)c, row, i,
					codecs[c].bits == 32 ? (uint32_t)rnd64()
							     : round * COLS + (uint32_t)i);
			for (i = 0; i < COLS; i++)
				put_scale((enum codec)c, scales, i,
					(int)round - 127 - (round == 255));
			codec_ops[c].decode(row, scales, 1, COLS, v);
			memset(back, 0xaa, sizeof back);
			for (i = 0; i < COLS; i++)
				v[i] = isnan(v[i]) ? 0 : v[i];
			codec_ops[c].encode(v, scales, 1, COLS, back);
			for (i = 0; i < COLS; i++) /* a NaN was made 0 */
				CHECK_IN(codecs[c].name,
					v[i] == 0 ||
						get_code((enum codec)c, back, i) ==
							get_code((enum codec)c, row, i));
		}
	}
}

/* --- recodings --- */

/* A band of random codes and scales that lie `spread` apart at most, around a place where nothing leaves
 * any range, or at the ends of the range. */
static void fill_band(const struct recode *how, uint8_t *src, size_t row_bytes, uint8_t *scales,
	size_t n_scales, unsigned round)
{
	static const int at[] = { -20, 0, 60, -127, 110 };
	unsigned spread = round % 5 == 4 ? 120 : round % 5 * 6;
	int low = at[round / 5 % 5], e;
	size_t i;

	for (i = 0; i < row_bytes * how->rows; i++)
		src[i] = (uint8_t)rnd64();
	for (i = 0; i < n_scales; i++) {
		e = low + (int)rnd(spread + 1);
		put_scale(how->from, scales, i, e > 126 ? 126 : e);
	}
	for (i = 0; codecs[how->from].scale == DT_F32 && round % 7 == 6 && i < n_scales; i++)
		memcpy(scales + 4 * i, &(float){ 1.1f }, 4); /* no power of two */
}

static void check_band(const struct recode *how, unsigned features, unsigned round)
{
	enum { COLS = 512, BLOCKS = 16 };
	size_t in = codec_row_bytes(how->from, COLS), out = codec_row_bytes(how->to, COLS);
	uint8_t *src = guarded(in * how->rows), *got = guarded(out), *want = guarded(out);
	uint8_t was[BLOCKS], *room = malloc(recode_room(how, COLS)), *scales;
	static double v[2 * COLS];
	struct recoder r;
	size_t nan, n;
	uint64_t dim[2];
	uint32_t row;

	codec_scale_dim(how->from, how->rows, COLS, dim);
	n = (size_t)(dim[0] * dim[1]);
	scales = guarded(n * dtypes[codecs[how->from].scale].bits / 8);
	fill_band(how, src, in, scales, n, round);
	recoder_begin(&r, how, COLS, room, features);
	CHECK(recoder_band(&r, scales) < 0);
	for (row = 0; row < how->rows; row++) {
		memset(got, 0x55, out);
		memset(want, 0xaa, out);
		memcpy(was, r.verdict, COLS / how->cols);
		nan = recoder_row_plain(&r, row, src + row * in, want, v);
		n = COLS / how->cols;
		while (n--) { /* the same verdicts */
			uint8_t plain = r.verdict[n];

			r.verdict[n] = was[n];
			was[n] = plain;
		}
		CHECK_IN(codecs[how->from].name, recoder_row(&r, row, src + row * in, got) == nan);
		CHECK_IN(codecs[how->from].name, !memcmp(r.verdict, was, COLS / how->cols));
		CHECK_IN(codecs[how->from].name, same_bytes(codecs[how->to].name, got, want, out));
		for (n = recoder_changed(&r, row, src + row * in, got, v); n < COLS; n = COLS)
			CHECK_IN(codecs[how->from].name, r.verdict[n / how->cols] & RECODE_LOST);
	}
	free(room);
}

static void recode_is_its_meaning(void)
{
	const struct recode *how;
	unsigned round;

	for (how = recodes; how->from != CODEC_NONE; how++) {
		CHECK(recode_find(how->from, how->to) == how && how->exact);
		CHECK(how->rows % codecs[how->from].rows == 0 &&
			how->cols % codecs[how->from].cols == 0);
		CHECK(how->rows % codecs[how->to].rows == 0 &&
			how->cols % codecs[how->to].cols == 0);
		for (round = 0; round < 50; round++) {
			check_band(how, 0, round);
			check_band(how, cpu_features(), round);
		}
	}
	CHECK(!recode_find(CODEC_BF16, CODEC_MXFP4));
}

/* A scale that is no number, or infinite, is found, and which it is. */
static void recode_nan_scales(void)
{
	const struct recode *how;
	uint8_t scales[4096 * 4], *room;
	struct recoder r;
	uint64_t dim[2];
	size_t i, k;

	for (how = recodes; how->from != CODEC_NONE; how++) {
		room = malloc(recode_room(how, 256));
		recoder_begin(&r, how, 256, room, 0);
		codec_scale_dim(how->from, how->rows, 256, dim);
		for (i = 0; i < dim[0] * dim[1]; i++) {
			for (k = 0; k < dim[0] * dim[1]; k++)
				put_scale(how->from, scales, k, 0);
			if (codecs[how->from].scale == DT_F32)
				memcpy(scales + 4 * i, &(float){ i % 2 ? NAN : INFINITY }, 4);
			else
				scales[i] = NUM_E8M0_NAN;
			CHECK_IN(codecs[how->from].name, recoder_band(&r, scales) == (long)i);
		}
		free(room);
	}
}

static const struct test tests[] = { { "facts", facts }, { "zero points", zero_points },
	{ "num_e2m1_encode", num_e2m1_encode }, { "there_and_back", there_and_back },
	{ "recode_is_its_meaning", recode_is_its_meaning },
	{ "recode_nan_scales", recode_nan_scales }, { 0 } };
TEST_MAIN(tests)
