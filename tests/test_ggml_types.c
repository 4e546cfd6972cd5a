/* test_ggml_types.c -- what the bits of ggml's types mean: tests/vectors/ggml_types.txt has digests of what ggml's own
 * library decodes of random blocks (tests/oracle/ggml_types.py makes and checks it).
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "core/hash/sha256.h"
#include "core/hash/xxh.h"
#include "quant/ggml_back.h"
#include "quant/ggml_floats.h"
#include "quant/ggml_lowbit.h"
#include "tests/check.h"
#include "tests/emulated.h"

#include <math.h>

enum { BLOCKS = 512, MXFP4 = 39, NVFP4 = 40, MOST = 256 };

/* Digest of the values of random blocks of that type, as the file has it; false where there is no decoder. */
static bool digest(const struct ggml_type_row *r, unsigned features, char hex[65])
{
	static uint8_t raw[BLOCKS * MOST];
	static uint32_t bits[BLOCKS * MOST];
	double v[MOST];
	uint8_t sha[32];
	struct err e = { 0 };
	size_t i, b, scales;
	float f;

	scales = r->type == MXFP4 ? 1 : r->type == NVFP4 ? 4 : 0;
	check_seed = r->type;
	check_state = 0;
	for (i = 0; i < (size_t)BLOCKS * r->bytes; i++)
		raw[i] = (uint8_t)rnd64();
	for (b = 0; b < BLOCKS; b++) {
		for (i = 0; i < scales; i++)
			raw[b * r->bytes + i] &= 0x77;
		if (!ggml_values(r->type, raw + b * r->bytes, r->items, features, v))
			return false;
		for (i = 0; i < r->items; i++) {
			f = isnan(v[i]) ? NAN : v[i] == 0 ? 0 : (float)v[i];
			memcpy(&bits[b * r->items + i], &f, sizeof f);
			if (isnan(v[i]))
				bits[b * r->items + i] = 0x7fc00000;
		}
	}
	CHECK(!sha256_of(bits, (size_t)BLOCKS * r->items * sizeof *bits, sha, &e));
	hex_of(sha, sizeof sha, hex);
	return true;
}

static void as_ggml(void)
{
	FILE *f = fopen("tests/vectors/ggml_types.txt", "r");
	const struct ggml_type_row *r;
	char name[16], want[80], hex[65];
	unsigned type, n = 0;

	CHECK(f != NULL);
	for (; f && fscanf(f, "%u %15s %79s", &type, name, want) == 3; n++) {
		r = ggml_type_find(type);
		CHECK_IN(name, r && !strcmp(r->name, name));
		CHECK_IN(name, r && digest(r, 0, hex) && !strcmp(hex, want));
		CHECK_IN(name, r && digest(r, cpu_features(), hex) && !strcmp(hex, want));
	}
	CHECK(n == 25);
	fclose(f);
}

/* Every type that the table of files has is decoded, but for those that no file of weights has. */
static void every_type(void)
{
	static const unsigned none[] = { 9, 15, 24, 25, 26, 27,
		28 }; /* of sums, of whole numbers; F64 */
	const struct ggml_type_row *r;
	static uint8_t zeros[512];
	double v[MOST];
	size_t i;

	for (r = ggml_types; r->name; r++) {
		for (i = 0; i < sizeof none / sizeof *none && none[i] != r->type; i++)
			;
		CHECK_IN(r->name, r->items <= GGML_LOWBIT_MOST);
		CHECK_IN(r->name,
			ggml_values(r->type, zeros, r->items, 0, v) ==
				(i == sizeof none / sizeof *none));
	}
}

/* Bits of numbers: every NaN is the same. */
static bool same_numbers(const float *a, const float *b, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (memcmp(a + i, b + i, sizeof *a) && !(isnan(a[i]) && isnan(b[i])))
			return false;
	return true;
}

/* Vectors decode what plain C decodes: rows of one block to 17, random bytes, at any address. */
static void by_vectors(unsigned features, const struct ggml_type_row *r)
{
	enum { LONGEST = 17 };
	static uint8_t raw[LONGEST * MOST + 64];
	static float plain[LONGEST * MOST + 1], fast[LONGEST * MOST + 1];
	size_t i, turn, n = 1 + rnd64() % LONGEST, at = rnd64() % 32;

	for (turn = 0; turn < 400; turn++) {
		for (i = 0; i < n * r->bytes; i++)
			raw[at + i] = (uint8_t)rnd64();
		plain[n * r->items] = fast[n * r->items] = 77; /* what lies behind stays */
		CHECK_IN(r->name, ggml_floats(r->type, raw + at, n * r->items, 0, plain));
		CHECK_IN(r->name, ggml_floats(r->type, raw + at, n * r->items, features, fast));
		CHECK_IN(r->name, same_numbers(plain, fast, n * r->items + 1));
		n = 1 + rnd64() % LONGEST;
		at = rnd64() % 32;
	}
}

static void floats_by_vectors(void)
{
	static const unsigned ways[] = { CPU_AVX2, CPU_AVX512 };
	const struct ggml_floats *f;
	uint8_t none[4] = { 0 };
	float v;
	size_t i;

	for (i = 0; i < sizeof ways / sizeof *ways; i++)
		for (f = ggml_floats_avx2; features_or_emulated() & ways[i] && f->blocks; f++)
			by_vectors(ways[i], ggml_type_find(f->type));
	CHECK(!ggml_floats(GGML_I32, none, 1, 0, &v));
}

static const struct test tests[] = { { "floats_by_vectors", floats_by_vectors },
	{ "as_ggml", as_ggml }, { "every_type", every_type }, { NULL, NULL } };
TEST_MAIN(tests)
