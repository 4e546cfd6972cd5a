/* test_quant.c -- the number formats and the two casts, on all inputs there are.
 *
 * The small formats are held against a table of values written out by an independent script
 * (tests/vectors/num.txt, from ml_dtypes); encoders against a search for the nearest value; the
 * fast casts against the plain one.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "quant/fp4to8.h"
#include "quant/fp8to16.h"
#include "quant/num.h"
#include "quant/uncast.h"
#include "tests/check.h"

#include <math.h>

/* Lines "format code bits": the FP32 bits of each code's value. */
static void num_decode_table(void)
{
	FILE *f = fopen("tests/vectors/num.txt", "r");
	char format[16];
	unsigned code, bits, n = 0;
	float v;

	CHECK(f);
	if (!f)
		return;
	while (fscanf(f, "%15s %u %x", format, &code, &bits) == 3) {
		v = !strcmp(format, "e2m1")       ? num_e2m1(code)
			: !strcmp(format, "e4m3") ? num_e4m3(code)
						  : num_e8m0(code);
		if (isnan(num_f32(bits)))
			CHECK_IN(format, isnan(v));
		else
			CHECK_IN(format, num_bits(v) == bits);
		n++;
	}
	fclose(f);
	CHECK(n == 16 + 256 + 256);
}

/* The nearest of all finite values, ties to the even code. */
static uint8_t nearest(double x)
{
	double best = 1e300, d;
	uint8_t code = 0;
	unsigned c;

	for (c = 0; c < 0x7f; c++) {
		d = fabs(fabs(x) - (double)num_e4m3(c));
		if (d < best || (d == best && !(c & 1))) {
			best = d;
			code = (uint8_t)c;
		}
	}
	return (uint8_t)(code | (signbit(x) ? 0x80 : 0));
}

static void num_e4m3_encode(void)
{
	unsigned c, d;
	uint32_t b, i;
	float x, mid;

	for (c = 0; c < 256; c++)
		if (!num_e4m3_is_nan(c))
			CHECK(num_e4m3_from(num_e4m3(c)) == c);
	/* Every midpoint between neighbours, and the floats next to it. */
	for (c = 0; c < 0x7e; c++) {
		mid = (num_e4m3(c) + num_e4m3(c + 1)) / 2;
		for (d = 0; d < 3; d++) {
			x = d == 0 ? mid : nextafterf(mid, d == 1 ? 0 : 1000);
			CHECK(num_e4m3_from(x) == nearest(x) &&
				num_e4m3_from(-x) == nearest(-(double)x));
		}
	}
	for (i = 0; i < 300000; i++) {
		b = (uint32_t)rnd64();
		x = num_f32(b);
		if (fabsf(x) <= 448)
			CHECK(num_e4m3_from(x) == nearest(x));
		else if (!(fabsf(x) < 464))
			CHECK(num_e4m3_is_nan(num_e4m3_from(x)) || fabsf(x) == 464);
	}
	CHECK(num_e4m3_from(464) == 0x7e && num_e4m3_is_nan(num_e4m3_from(465)));
	CHECK(num_e4m3_from(-0.0f) == 0x80 && num_e4m3_from(num_f32(1)) == 0);
}

static void num_bf16_encode(void)
{
	uint32_t i, up, b;
	uint16_t h;
	float x;

	for (i = 0; i < 65536; i++) {
		h = (uint16_t)i;
		if (!isnan(num_bf16(h)))
			CHECK(num_bf16_from(num_bf16(h)) == h);
		else
			CHECK(isnan(num_bf16(num_bf16_from(num_bf16(h)))));
	}
	for (i = 0; i < 300000; i++) {
		b = (uint32_t)rnd64();
		x = num_f32(b);
		if (isnan(x)) {
			CHECK(isnan(num_bf16(num_bf16_from(x))));
			continue;
		}
		/* Up by one where the lost half is more than half, or just half and odd. */
		up = (b & 0xffff) > 0x8000 || ((b & 0xffff) == 0x8000 && (b >> 16 & 1));
		CHECK(num_bf16_from(x) == (uint16_t)((b >> 16) + up));
	}
}

/* --- FP4 to FP8 --- */

/* All 256 bytes of two codes at each distance of scales, in every way. A row of 8192 codes holds
 * each byte 16 times, once at each place in a group. */
static void all_in(enum fp4to8_block b)
{
	enum { K = 8192 };
	static struct fp4to8_table table;
	size_t blocks = K / fp4to8_side(b);
	uint8_t *src = guarded(K / 2), *s = guarded(K / 32), *t = guarded(blocks),
		*want = guarded(K);
	uint8_t *got = guarded(K);
	const struct fp4to8_impl *impl;
	unsigned d, i;
	int ran = 0;

	fp4to8_table_make(&table);
	for (i = 0; i < K / 2; i++)
		src[i] = (uint8_t)(i + i / 256);
	for (d = 0; d < 256; d++) {
		/* 6 + t - s == d, over as many pairs of t and s as there are. */
		for (i = 0; i < blocks; i++)
			t[i] = (uint8_t)(d < 6 ? rnd(249) : d - 6 + rnd(255 - (d - 6)));
		for (i = 0; i < K / 32; i++)
			s[i] = (uint8_t)(6 + t[i >> b] - (int)d);
		for (i = 0; fp4to8_impls[i].name; i++)
			; /* the last row is the plain one */
		memset(want, 0x55, K);
		fp4to8_impls[i - 1].row(&table, want, src, s, t, K, b);
		for (impl = fp4to8_impls; impl->name; impl++) {
			if (impl->need & ~cpu_features())
				continue;
			ran++;
			memset(got, 0xaa, K);
			impl->row(&table, got, src, s, t, K, b);
			CHECK_IN(impl->name, same_bytes(impl->name, got, want, K));
		}
	}
	CHECK(ran >= 2 * 256);
}

static void fp4to8_all(void)
{
	all_in(FP4TO8_128);
	all_in(FP4TO8_32);
}

/* Short rows and mixed scales, at the end of a page. */
static void fp4to8_random(void)
{
	static struct fp4to8_table table;
	const struct fp4to8_impl *impl;
	uint8_t *src, *s, *t, *want, *got;
	enum fp4to8_block b;
	size_t k, i, n;

	fp4to8_table_make(&table);
	for (n = 0; n < 120; n++) {
		b = n % 2 ? FP4TO8_32 : FP4TO8_128;
		k = fp4to8_side(b) * (1 + rnd(9));
		src = guarded(k / 2);
		s = guarded(k / 32);
		t = guarded(k / fp4to8_side(b));
		want = guarded(k);
		got = guarded(k);
		rnd_bytes(src, k / 2);
		for (i = 0; i < k / fp4to8_side(b); i++)
			t[i] = (uint8_t)(40 + rnd(200));
		for (i = 0; i < k / 32; i++)
			s[i] = (uint8_t)(t[i >> b] + 6 - rnd(24));
		for (i = 0; fp4to8_impls[i].name; i++)
			;
		fp4to8_impls[i - 1].row(&table, want, src, s, t, k, b);
		for (impl = fp4to8_impls; impl->name; impl++) {
			if (impl->need & ~cpu_features())
				continue;
			memset(got, 0xaa, k);
			impl->row(&table, got, src, s, t, k, b);
			CHECK_IN(impl->name, same_bytes(impl->name, got, want, k));
		}
	}
}

/* Section D.3 of the checkpoint's specification: where each code stops being exact. */
static void fp4to8_lossy_limits(void)
{
	static const unsigned last_exact[16] = { 255, 14, 15, 14, 16, 15, 17, 16, 255, 14, 15, 14,
		16, 15, 17, 16 };
	static struct fp4to8_table table;
	unsigned d, c;

	fp4to8_table_make(&table);
	for (d = 0; d < 256; d++)
		for (c = 0; c < 16; c++)
			CHECK(!(table.lossy[d] >> c & 1) == (d <= last_exact[c]));
	CHECK(table.row[14][1] == 0x01 && table.row[15][1] == 0x00 && table.row[15][3] == 0x02);
	CHECK(table.row[0][7] == num_e4m3_from(384) && table.row[3][8] == 0);
}

/* What the scales of a band say, held against the definition. */
static void bands_in(enum fp4to8_block block)
{
	enum { K = 1152 };
	unsigned side = (unsigned)fp4to8_side(block), cells = side * K / 32;
	uint8_t *s = guarded(cells), t[K / 32], v[K / 32];
	unsigned n, b, i, top[K / 32], low[K / 32], base;
	long nan;

	for (n = 0; n < 2000; n++) {
		base = rnd(250);
		for (i = 0; i < cells; i++)
			s[i] = (uint8_t)(base + rnd(n % 3 ? 2 : 5));
		for (i = 0; i < rnd(4); i++)
			s[rnd(cells)] = (uint8_t)rnd(255);
		memset(top, 0, sizeof top);
		memset(low, 0xff, sizeof low);
		for (i = 0; i < cells; i++) {
			b = i % (K / 32) >> block;
			top[b] = s[i] > top[b] ? s[i] : top[b];
			low[b] = s[i] < low[b] ? s[i] : low[b];
		}
		nan = fp4to8_band(s, K, block, t, v);
		if (memchr(s, 255, cells)) {
			CHECK(nan >= 0 && s[nan] == 255);
			continue;
		}
		CHECK(nan == -1);
		for (b = 0; b < K / side; b++) {
			CHECK(t[b] == (top[b] < 6 ? 0 : top[b] - 6));
			CHECK(v[b] ==
				(top[b] < 6                            ? FP4TO8_LOW
						: top[b] - low[b] > 14 ? FP4TO8_DEPENDS
								       : FP4TO8_EXACT));
		}
	}
	memset(s, 100, cells);
	s[777] = 255;
	CHECK(fp4to8_band(s, K, block, t, v) == 777);
}

static void fp4to8_bands(void)
{
	bands_in(FP4TO8_128);
	bands_in(FP4TO8_32);
}

/* A row loses something just when some value differs after the cast. */
static void loses_in(enum fp4to8_block block)
{
	enum { K = 256 };
	static struct fp4to8_table table;
	unsigned side = (unsigned)fp4to8_side(block);
	uint8_t src[K / 2], s[K / 32], t[K / 32], dst[K];
	const struct fp4to8_impl *plain = fp4to8_impls;
	unsigned n, i, b, lost;
	double x, y;

	fp4to8_table_make(&table);
	while (plain[1].name)
		plain++;
	for (n = 0; n < 20000; n++) {
		for (i = 0; i < K / 2; i++)
			src[i] = (uint8_t)(n % 2 ? rnd(256) : (6 + rnd(2)) * 0x11);
		for (i = 0; i < K / side; i++)
			t[i] = (uint8_t)(100 + rnd(3));
		for (i = 0; i < K / 32; i++)
			s[i] = (uint8_t)(t[i >> block] + 6 - (rnd(20) ? rnd(15) : rnd(30)));
		plain->row(&table, dst, src, s, t, K, block);
		for (b = 0; b < K / side; b++) {
			for (lost = 0, i = side * b; i < side * (b + 1); i++) {
				x = ldexp(num_e2m1(src[i / 2] >> (i % 2 * 4) & 15),
					s[i / 32] - 127);
				y = ldexp(num_e4m3(dst[i]), t[i / side] - 127);
				lost += x != y;
			}
			CHECK(fp4to8_row_loses(&table, src, s, t, block, b) == (lost > 0));
		}
	}
}

static void fp4to8_loses(void)
{
	loses_in(FP4TO8_128);
	loses_in(FP4TO8_32);
}

static void fp4to8_masks(void)
{
	CHECK(!strcmp(fp4to8_best(0)->name, "table"));
	CHECK(fp4to8_best(CPU_AVX2)->need == CPU_AVX2);
}

/* --- FP8 to BF16 --- */

/* Every code with every E8M0 scale, against double arithmetic. */
/* With every way of making rows: what looking up gave. */
static void fp8to16_ways(const struct fp8to16_table *t, float scale, const uint8_t src[256],
	const uint8_t want[512])
{
	const struct row_way *w;
	struct fp8to16_table other;
	uint8_t got[512], with[256], wanted[512];
	unsigned i;

	for (i = 0; (w = row_way(i)); i++) {
		if (w->need & ~cpu_features())
			continue;
		fp8to16_table_make(&other, scale, w);
		CHECK_IN(w->name, fp8to16_run(&other, got, src, 256) == 256);
		CHECK_IN(w->name, !memcmp(want, got, 512) && other.any_lossy == t->any_lossy);
		CHECK_IN(w->name, fp8to16_loses(&other, src, 256) == fp8to16_loses(t, src, 256));
		memcpy(with, src, 256); /* NaNs are what they are */
		with[200] = with[77] = 0x7f;
		with[201] = 0xff;
		CHECK_IN(w->name, fp8to16_run(t, wanted, with, 256) == 77);
		CHECK_IN(w->name, fp8to16_run(&other, got, with, 256) == 77);
		CHECK_IN(w->name, !memcmp(wanted, got, 512));
	}
}

static void fp8to16_all(void)
{
	static const float odd[] = { 0, -1, 1.5f, 0.75f, 1.1f, 0x1p-149f, 0x1p-120f, -0x1p3f,
		0x1.fffffep127f, INFINITY };
	struct fp8to16_table t;
	uint8_t src[256], dst[512];
	unsigned s, c, want_lossy;
	double exact;
	uint16_t h;

	for (s = 0; s < 255; s++) {
		fp8to16_table_make(&t, num_e8m0(s), NULL);
		for (c = 0; c < 256; c++)
			src[c] = (uint8_t)(num_e4m3_is_nan(c) ? 0 : c);
		CHECK(fp8to16_run(&t, dst, src, 256) == 256);
		for (c = 0; c < 256; c++) {
			h = (uint16_t)(dst[2 * c] | dst[2 * c + 1] << 8);
			exact = (double)num_e4m3(src[c]) * ldexp(1, (int)s - 127);
			want_lossy = (double)num_bf16(h) != exact;
			CHECK(t.lossy[src[c]] == want_lossy);
			/* Inside the range of BF16 nothing is ever lost. */
			if (fabs(exact) >= 0x1p-126 && fabs(exact) < 0x1p127)
				CHECK(!want_lossy);
			CHECK(h == num_bf16_from((float)exact));
		}
		fp8to16_ways(&t, num_e8m0(s), src, dst);
	}
	for (s = 0; s < sizeof odd / sizeof *odd; s++) {
		fp8to16_table_make(&t, odd[s], NULL);
		(void)fp8to16_run(&t, dst, src, 256);
		fp8to16_ways(&t, odd[s], src, dst);
	}
}

static void fp8to16_notices(void)
{
	struct fp8to16_table t;
	uint8_t src[64], dst[128];

	fp8to16_table_make(&t, 1.0f, row_best(cpu_features()));
	memset(src, 0x38, sizeof src);
	CHECK(fp8to16_run(&t, dst, src, 64) == 64 && fp8to16_loses(&t, src, 64) == 64);
	src[41] = 0xff;
	CHECK(fp8to16_run(&t, dst, src, 64) == 41);
	src[41] = 0x38;
	fp8to16_table_make(&t, 1.1f,
		row_best(cpu_features())); /* no power of two: products need more than 8 bits */
	CHECK(fp8to16_loses(&t, src, 64) == 0);
	fp8to16_table_make(&t, 0x1p-127f, row_best(cpu_features()));
	src[0] = 0x01;
	CHECK(fp8to16_loses(&t, src, 64) == 0);
}

/* A matrix of the cast: codes, scales, what it became, what it dropped. */
enum { UR = 256, UK = 384 };
struct undo {
	enum fp4to8_block block;
	uint8_t codes[UR * UK / 2], scales[UR * UK / 32], fp8[UR * UK], t[UR / 32 * UK / 32];
	uint8_t codes2[UR * UK / 2], scales2[UR * UK / 32];
	uint8_t *kept, *work;
	size_t n; /* of kept */
	bool any;
};

/* Casts u and collects what that drops. */
static void undo_cast_with(struct undo *u, unsigned features)
{
	struct fp4to8_table table;
	size_t side = fp4to8_side(u->block);
	uint8_t verdict[UK / 32], *room = guarded(dropped_room(UR, UK));
	struct dropped d;
	size_t r, bound;

	fp4to8_table_make(&table);
	dropped_begin(&d, room, UR, UK, features);
	for (r = 0; r < UR; r++) {
		uint8_t *t = u->t + r / side * (UK / side);

		if (r % side == 0)
			CHECK(fp4to8_band(u->scales + r * (UK / 32), UK, u->block, t, verdict) < 0);
		fp4to8_impls[3].row(&table, u->fp8 + r * UK, u->codes + r * (UK / 2),
			u->scales + r * (UK / 32), t, UK, u->block);
		dropped_row(&d, u->codes + r * (UK / 2), u->scales + r * (UK / 32), t, UK,
			u->block);
	}
	u->any = d.any;
	bound = dropped_frame(dropped_room(UR, UK));
	u->kept = malloc(bound);
	u->work = malloc(uncast_work(UR, UK));
	u->n = d.any ? dropped_pack(&d, u->kept, bound) : 0;
	CHECK(u->kept && u->work && (u->n || !d.any));
}

/* With all ways, which keep the same. */
static void undo_cast(struct undo *u)
{
	static const unsigned masks[2] = { ~0u, ~(unsigned)CPU_AVX512 };
	struct undo *other = malloc(sizeof *other);
	unsigned i;

	undo_cast_with(u, 0);
	for (i = 0; other && i < 2; i++) {
		memcpy(other, u, sizeof *u);
		undo_cast_with(other, cpu_features() & masks[i]);
		CHECK(other->any == u->any && other->n == u->n &&
			same_bytes("kept", other->kept, u->kept, u->n));
		free(other->kept);
		free(other->work);
	}
	free(other);
}

static int undo_back(struct undo *u, struct err *e)
{
	memset(e, 0, sizeof *e);
	return uncast(u->fp8, u->t, u->block, u->kept, u->n, UR, UK, u->codes2, u->scales2, u->work,
		e);
}

/* Matrices of every kind: all codes, few small ones, zeros of both signs, scales that no maximum says. */
static void uncast_back(void)
{
	static struct undo u;
	struct err e;
	unsigned kind, n;
	size_t i;

	for (n = 0; n < 12; n++) {
		kind = n / 2;
		u.block = n % 2 ? FP4TO8_32 : FP4TO8_128;
		rnd_bytes(u.codes, sizeof u.codes);
		for (i = 0; i < sizeof u.codes; i++)
			u.codes[i] = kind == 1            ? u.codes[i] & 0x99 /* 0 and 0.5 */
				: kind == 2               ? u.codes[i] & 0x88 /* zeros */
				: kind == 3               ? 0
				: kind == 4 && i / 16 % 3 ? u.codes[i] & (rnd(2) ? 0xbb : 0)
							  : u.codes[i];
		for (i = 0; i < sizeof u.scales; i++)
			u.scales[i] = (uint8_t)(kind == 5 ? 240 + rnd(15) : 110 + rnd(15));
		undo_cast(&u);
		memset(u.codes2, 0x55, sizeof u.codes2);
		CHECK(!undo_back(&u, &e));
		CHECK(same_bytes("codes", u.codes2, u.codes, sizeof u.codes));
		CHECK(same_bytes("scales", u.scales2, u.scales, sizeof u.scales));
		free(u.kept);
		free(u.work);
	}
}

/* Where maxima are 4 or 6 and no zero is negative there is nothing to keep. */
static void uncast_nothing(void)
{
	static struct undo u = { .block = FP4TO8_128 };
	struct err e;
	size_t i, k;

	for (i = 0; i < sizeof u.codes; i++) {
		u.codes[i] = (uint8_t)(rnd64() >> 56);
		if (i % 16 == 3)
			u.codes[i] |= 6;
		for (k = 0; k < 8; k += 4)
			if ((u.codes[i] >> k & 15) == 8)
				u.codes[i] ^= (uint8_t)(8 << k);
	}
	for (i = 0; i < sizeof u.scales; i++)
		u.scales[i] = (uint8_t)(110 + rnd(15));
	undo_cast(&u);
	CHECK(!u.any && !u.n);
	CHECK(!undo_back(&u, &e));
	CHECK(same_bytes("codes", u.codes2, u.codes, sizeof u.codes));
	CHECK(same_bytes("scales", u.scales2, u.scales, sizeof u.scales));
	free(u.kept);
	free(u.work);
}

/* A frame cut, of another matrix, or a byte that is nobody's: said, and nothing beyond the end is read. */
static void uncast_damaged(void)
{
	static struct undo u = { .block = FP4TO8_128 };
	struct err e;
	size_t n, i;
	uint8_t was;

	rnd_bytes(u.codes, sizeof u.codes);
	for (i = 0; i < sizeof u.scales; i++)
		u.scales[i] = (uint8_t)(110 + rnd(15));
	undo_cast(&u);
	n = u.n;
	for (u.n = 1; u.n < n; u.n += 1 + u.n / 3) {
		CHECK(undo_back(&u, &e) && e.kind == ERR_MISMATCH);
		CHECK(e.rule && !strcmp(e.rule, "set.digest"));
	}
	u.n = 0; /* and for lack of what was kept it is another matrix */
	CHECK(undo_back(&u, &e) || memcmp(u.codes, u.codes2, sizeof u.codes));
	u.n = n;
	was = u.fp8[777];
	u.fp8[777] = 0x7f;
	CHECK(undo_back(&u, &e) && e.kind == ERR_MISMATCH);
	u.fp8[777] = was;
	CHECK(!undo_back(&u, &e));
	free(u.kept);
	free(u.work);
}

static const struct test tests[] = { { "num_decode_table", num_decode_table },
	{ "uncast_back", uncast_back }, { "uncast_nothing", uncast_nothing },
	{ "uncast_damaged", uncast_damaged }, { "num_e4m3_encode", num_e4m3_encode },
	{ "num_bf16_encode", num_bf16_encode }, { "fp4to8_all", fp4to8_all },
	{ "fp4to8_random", fp4to8_random }, { "fp4to8_lossy_limits", fp4to8_lossy_limits },
	{ "fp4to8_bands", fp4to8_bands }, { "fp4to8_loses", fp4to8_loses },
	{ "fp4to8_masks", fp4to8_masks }, { "fp8to16_all", fp8to16_all },
	{ "fp8to16_notices", fp8to16_notices }, { 0 } };
TEST_MAIN(tests)
