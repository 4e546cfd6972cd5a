/* test_row.c -- the steps that rows are made by (quant/row.h): every way that this processor has writes what the plain
 * one writes, for all codes, scales and exponents, and for lengths off the edges of vectors; nothing beyond them is
 * touched. The plain one is held to quant/num.h.
 *
 * SPDX-License-Identifier: MIT */
#include "quant/num.h"
#include "quant/row.h"
#include "tests/check.h"
#include "tests/emulated.h"

#include <math.h>

enum { MOST = 4096, SLACK = 64 };

/* Calls the test for each way that can run here. */
static void each_way(void (*test)(const struct row_way *w))
{
	const struct row_way *w;
	unsigned i;

	for (i = 0; (w = row_way(i)); i++)
		if (!(w->need & ~features_or_emulated()))
			test(w);
}

/* Bytes, written by the way and by the plain one; what lies behind must stay what it is. */
struct pair {
	uint8_t want[4 * MOST + SLACK], got[4 * MOST + SLACK];
};

static void begin(struct pair *p)
{
	memset(p->want, 0xa5, sizeof p->want);
	memset(p->got, 0xa5, sizeof p->got);
}

static bool equal(const struct pair *p)
{
	return !memcmp(p->want, p->got, sizeof p->want);
}

/* Every byte there is in every place of a vector, in rows of n bytes. */
static void fill(uint8_t *p, size_t n, unsigned from)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 37 + from + i / 256 * 11);
}

static void e2m1(const struct row_way *w)
{
	static struct pair p;
	static uint8_t src[MOST];
	size_t n;

	for (n = 0; n < 600; n++) {
		fill(src, n, (unsigned)n);
		begin(&p);
		row_plain.unsign(p.want, src, n);
		w->unsign(p.got, src, n);
		CHECK_IN(w->name, equal(&p));
		begin(&p);
		row_plain.widen(p.want, src, n);
		w->widen(p.got, src, n);
		CHECK_IN(w->name, equal(&p));
	}
	for (n = 0; n < 256; n++) {
		memset(src, (int)n, 256);
		begin(&p);
		row_plain.unsign(p.want, src, 256);
		w->unsign(p.got, src, 256);
		CHECK_IN(w->name, equal(&p));
		row_plain.widen(p.want, src, 256);
		w->widen(p.got, src, 256);
		CHECK_IN(w->name, equal(&p));
		CHECK(p.want[0] == num_e4m3_from(num_e2m1(n & 15)));
		CHECK(p.want[1] == num_e4m3_from(num_e2m1((unsigned)n >> 4)));
	}
}

/* Every byte in every place of a group, by every distance. */
static void shifts(const struct row_way *w)
{
	struct row_shift t;
	struct row_halves a, b;
	uint8_t src[16], want[16], got[16];
	unsigned d, signs, at, c, i;

	for (signs = 0; signs < 2; signs++) {
		row_shift_make(&t, signs);
		for (d = 1; d <= ROW_SHIFTS; d++)
			for (at = 0; at < 16; at++)
				for (c = 0; c < 256; c++) {
					for (i = 0; i < 16; i++)
						src[i] =
							(uint8_t)(c & 1 ? rnd64() & 0x88 : rnd64());
					src[at] = (uint8_t)c;
					a = row_plain.shift(want, src, &t, d);
					b = w->shift(got, src, &t, d);
					CHECK_IN(w->name, !memcmp(want, got, 16));
					CHECK_IN(w->name, a.any == b.any && a.lossy == b.lossy);
				}
	}
}

/* Every byte with every scale: 256 bytes are 16 groups. */
static void scaled(const struct row_way *w)
{
	static struct row_bf16 t;
	static struct pair p;
	static uint8_t src[256], scales[16];
	uint16_t h;
	unsigned s, i, n;

	row_bf16_make(&t);
	fill(src, sizeof src, 0);
	for (s = 0; s < 255; s++) {
		for (i = 0; i < 16; i++)
			scales[i] = (uint8_t)((s + i) % 255);
		for (n = 0; n <= 16; n += s ? 16 : 1) {
			begin(&p);
			row_plain.fp4_bf16(p.want, src, scales, n, &t);
			w->fp4_bf16(p.got, src, scales, n, &t);
			CHECK_IN(w->name, equal(&p));
		}
		for (i = 0; i < 512; i++) {
			memcpy(&h, p.want + 2 * i, sizeof h);
			CHECK(h ==
				num_bf16_from(num_e2m1(src[i / 2] >> i % 2 * 4 & 15) *
					num_e8m0(scales[i / 32])));
		}
	}
}

static void ggml(const struct row_way *w)
{
	static struct pair p;
	static uint8_t src[16 * 64], scales[64];
	unsigned n, g, j, lo, hi;

	for (n = 0; n <= 64; n++) {
		fill(src, sizeof src, n);
		fill(scales, sizeof scales, 7 * n);
		begin(&p);
		row_plain.ggml_mxfp4(p.want, src, scales, n);
		w->ggml_mxfp4(p.got, src, scales, n);
		CHECK_IN(w->name, equal(&p));
	}
	for (g = 0; g < 64; g++) {
		CHECK(p.want[17 * g] == scales[g]);
		for (j = 0; j < 16; j++) {
			lo = src[16 * g + j / 2] >> j % 2 * 4 & 15;
			hi = src[16 * g + 8 + j / 2] >> j % 2 * 4 & 15;
			CHECK(p.want[17 * g + 1 + j] == (lo | hi << 4));
		}
	}
}

/* Every scale with every least one. */
static void nvfp4(const struct row_way *w)
{
	static struct pair p;
	static uint8_t scales[512];
	size_t n, i;
	int least, x;
	bool a, b;

	for (i = 0; i < sizeof scales; i++)
		scales[i] = (uint8_t)(i % 255);
	for (least = -16; least < 255; least++) {
		n = 255 + (size_t)(least + 16) % 200;
		begin(&p);
		row_plain.nvfp4_scales(p.want, scales, n, least);
		w->nvfp4_scales(p.got, scales, n, least);
		CHECK_IN(w->name, equal(&p));
		for (i = 0; i < n; i++) {
			x = (int)scales[i] - least;
			x = x < 0 ? 0 : x > 17 ? 17 : x;
			CHECK(p.want[2 * i] == p.want[2 * i + 1] &&
				num_e4m3(p.want[2 * i]) == ldexpf(1, x - 9));
		}
		begin(&p);
		a = row_plain.nvfp4_below(p.want, scales, n, least);
		b = w->nvfp4_below(p.got, scales, n, least);
		CHECK_IN(w->name, equal(&p) && a == b && a == (least > 0));
		for (i = 0; i < 255; i++) /* one that is below, somewhere */
			p.want[i] = (uint8_t)(least > 0 && i == (size_t)least % 255 ? least - 1
					: least > 0                                 ? least
										    : 0);
		CHECK_IN(w->name, w->nvfp4_below(NULL, p.want, 255, least) == (least > 0));
		p.want[least > 0 ? least % 255 : 0] = (uint8_t)(least > 0 ? least : 0);
		CHECK_IN(w->name, !w->nvfp4_below(NULL, p.want, 255, least));
	}
}

/* A NaN of either sign in every place, in rows of every length. */
static void nans(const struct row_way *w)
{
	uint8_t src[300];
	size_t n, i;

	for (i = 0; i < sizeof src; i++)
		src[i] = (uint8_t)(i * 3 % 127 | (i % 2 ? 0x80 : 0));
	for (n = 0; n < sizeof src; n++) {
		CHECK_IN(w->name, w->nan(src, n) == n);
		src[n] = n % 3 ? 0x7f : 0xff;
		CHECK_IN(w->name, w->nan(src, sizeof src) == n && w->nan(src, n) == n);
		i = n + 100 < sizeof src ? n + 100 : n;
		src[i] = 0x7f;
		CHECK_IN(w->name, w->nan(src, sizeof src) == n);
		src[i] = src[n] = 0x70;
	}
}

/* Every code with every exponent, in rows of every length up to some vectors: exactly the product. */
static void products(const struct row_way *w)
{
	static uint8_t src[300], got[2 * sizeof src + SLACK];
	struct row_fp8 t;
	uint16_t h;
	size_t n, i;
	int k;

	for (k = ROW_BF16_MIN; k <= ROW_BF16_MAX; k++) {
		row_fp8_make(&t, k);
		for (n = k % 16 ? sizeof src : 0; n <= sizeof src; n++) {
			for (i = 0; i < n; i++) {
				src[i] = (uint8_t)(i + (size_t)(k - ROW_BF16_MIN));
				src[i] = num_e4m3_is_nan(src[i]) ? 0x80 : src[i];
			}
			memset(got, 0xa5, sizeof got);
			CHECK_IN(w->name, !w->fp8_bf16(got, src, n, &t));
			for (i = 0; i < n; i++) {
				memcpy(&h, got + 2 * i, sizeof h);
				CHECK_IN(w->name,
					h == num_bf16_from(ldexpf(num_e4m3(src[i]), k)) &&
						(double)num_bf16(h) ==
							ldexp((double)num_e4m3(src[i]), k));
			}
			for (i = 2 * n; i < sizeof got; i++)
				CHECK_IN(w->name, got[i] == 0xa5);
			if (!n)
				continue;
			src[(n * 7 + 3) % n] = n % 2 ? 0xff : 0x7f;
			CHECK_IN(w->name, w->fp8_bf16(got, src, n, &t));
		}
	}
}

/* The largest in every place of rows of every length. */
static void largest(void)
{
	uint8_t p[300] = { 0 };
	size_t n, at;

	for (n = 0; n < sizeof p; n++) {
		for (at = 0; at < n; at++)
			p[at] = (uint8_t)(at * 7 % 50 | (at % 3 ? 0x80 : 0));
		CHECK(row_largest(p, n, 0x7f) == (n > 7 ? 49 : row_largest(p, n, 0x3f)));
		for (at = 0; at < n; at += 1 + n / 64) {
			p[at] ^= 64;
			CHECK(row_largest(p, n, 0x7f) >= 64 && row_largest(p, n, 0x40) == 64);
			p[at] ^= 64;
		}
	}
	CHECK(row_largest(p, 0, 0xff) == 0);
}

/* DSV4_CPU leaves ways out, and the plain one is always there. */
static void best(void)
{
	CHECK(row_best(0) == &row_plain && row_best(CPU_AVX2) == &row_avx2);
	CHECK(row_best(CPU_AVX2 | CPU_AVX512) == &row_avx512 && row_best(CPU_SHA) == &row_plain);
}

#define EACH(name)                   \
	static void all_##name(void) \
	{                            \
		each_way(name);      \
	}
EACH(e2m1)
EACH(shifts)
EACH(scaled)
EACH(ggml)
EACH(nvfp4)
EACH(nans)
EACH(products)

static const struct test tests[] = { { "e2m1", all_e2m1 }, { "shifts", all_shifts },
	{ "scaled", all_scaled }, { "ggml", all_ggml }, { "nvfp4", all_nvfp4 },
	{ "nans", all_nans }, { "products", all_products }, { "largest", largest },
	{ "best", best }, { NULL, NULL } };
TEST_MAIN(tests)
