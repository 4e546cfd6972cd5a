/* test_cb4.c -- rows of tables in 4 bits with a codebook: the quick ways write what the plain one does, each scale is the best of its four,
 * and levels are where Lloyd's iteration ends.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cpu.h"
#include "quant/cb4_learn.h"
#include "quant/codec.h"
#include "quant/num.h"
#include "quant/table4.h"
#include "tests/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1024, BLOCKS = MOST / CB4_BLOCK };

/* Levels in order, around zero; now and then two alike, or none that is negative. */
static struct cb4_book any_book(void)
{
	struct cb4_book b = { .power = (int)rnd(227) - 100 };
	unsigned i, kind = (unsigned)rnd(4);
	double at = kind == 1 ? 0 : -1;

	for (i = 0; i < CB4_LEVELS; i++) {
		b.level[i] = (float)ldexp(at, b.power);
		if (i % 5 || kind != 2)
			at += (1 + (double)rnd(1000)) / 4000;
	}
	return b;
}

static void any_row(uint8_t *codes, uint8_t *scales, size_t cols, int power)
{
	unsigned width = 1 + (unsigned)rnd(127), spread = rnd(3) ? 12 : 60;
	int low = power + 127 - (int)spread, s;
	size_t i;

	for (i = 0; i < cols; i++)
		codes[i] = (uint8_t)(rnd(width) | (rnd(2) ? 128 : 0));
	for (i = 0; i < cols / CB4_BLOCK; i++) {
		s = low + (int)rnd(spread + 12u);
		scales[i] = (uint8_t)(s < 0 ? 0 : s > 254 ? 254 : s);
		if (!rnd(20))
			memset(codes + i * CB4_BLOCK, rnd(2) ? 128 : 0, CB4_BLOCK);
	}
}

/* Every way on a row. */
static void every(struct cb4 *t, const struct cb4_book *b, const uint8_t *codes,
	const uint8_t *scales, size_t cols)
{
	uint8_t to[3][MOST / 2], ts[3][BLOCKS];
	bool changed[3][BLOCKS];
	double was[MOST], is[MOST];
	size_t i, n, got[3];

	memset(to, 0xee, sizeof to);
	got[0] = cb4_plain(b, codes, scales, cols, to[0], ts[0], changed[0]);
	got[1] = cb4_look(t, codes, scales, cols, to[1], ts[1], changed[1]);
	got[2] = cb4_quick(t, codes, scales, cols, to[2], ts[2], changed[2]);
	CHECK(got[1] == got[0] && got[2] == got[0]);
	if (got[0] < cols)
		return;
	for (n = 1; n < 3; n++)
		CHECK(!memcmp(to[n], to[0], cols / 2) && !memcmp(ts[n], ts[0], cols / CB4_BLOCK) &&
			!memcmp(changed[n], changed[0], cols / CB4_BLOCK));
	codec_ops[CODEC_FP8_ROW].decode(codes, scales, 1, cols, was);
	cb4_decode(b->level, to[0], ts[0], cols, is);
	for (n = 0; n < cols; n += CB4_BLOCK) {
		for (i = n; i < n + CB4_BLOCK && was[i] == is[i]; i++)
			;
		CHECK(changed[0][n / CB4_BLOCK] == (i < n + CB4_BLOCK));
	}
}

static void ways(void)
{
	static struct cb4 t;
	static uint8_t codes[MOST], scales[BLOCKS];
	struct cb4_book b;
	unsigned n, k;
	size_t cols;

	for (n = 0; n < 40; n++) {
		b = any_book();
		cb4_make(&t, &b, n % 4 ? cpu_features() : 0);
		for (k = 0; k < 60; k++) {
			cols = CB4_BLOCK * (1 + (size_t)rnd(BLOCKS));
			any_row(codes, scales, cols, b.power);
			if (k % 16 == 0)
				codes[rnd((uint32_t)cols)] = rnd(2) ? 0x7f : 0xff;
			every(&t, &b, codes, scales, cols);
		}
	}
}

/* A table in memory. */
struct table {
	uint8_t *codes, *scales;
	size_t rows, cols, reads;
};

static int read_table(void *ctx, bool scales, uint64_t off, uint8_t *dst, size_t n, struct err *e)
{
	struct table *t = ctx;

	(void)e;
	t->reads++;
	CHECK(off + n <= t->rows * t->cols / (scales ? CB4_BLOCK : 1));
	memcpy(dst, (scales ? t->scales : t->codes) + off, n);
	return 0;
}

static double gauss(void)
{
	double s = 0;
	int i;

	for (i = 0; i < 12; i++)
		s += (double)rnd(1 << 20) / (1 << 20);
	return s - 6;
}

/* Rows whose values are drawn by draw, each row of a magnitude of its own, in FP8 as a quantiser of blocks makes them. */
static struct table made(size_t rows, size_t cols, double (*draw)(void))
{
	struct table t = { malloc(rows * cols), malloc(rows * cols / CB4_BLOCK), rows, cols, 0 };
	double v[CB4_BLOCK], top, scale, size = 1;
	size_t i, k;
	int e;

	for (i = 0; i < rows * cols; i += CB4_BLOCK) {
		size = i % cols ? size : ldexp(1, (int)rnd(6)) * (1 + (double)rnd(100) / 100);
		for (k = 0, top = 0; k < CB4_BLOCK; k++) {
			v[k] = size * draw();
			top = fmax(top, fabs(v[k]));
		}
		frexp(top / 448, &e);
		e = top > 0 ? e : 0;
		scale = ldexp(1, e);
		t.scales[i / CB4_BLOCK] = (uint8_t)(e + 127);
		for (k = 0; k < CB4_BLOCK; k++)
			t.codes[i + k] = num_e4m3_from((float)(v[k] / scale));
	}
	return t;
}

static void forget(struct table *t)
{
	free(t->codes);
	free(t->scales);
}

static struct cb4_book learn(struct table *t, unsigned features)
{
	struct cb4_table x = { read_table, t, t->rows, t->cols };
	void *room = malloc(cb4_learn_room());
	struct cb4_book b;
	struct err e = { 0 };

	memset(room, 0xee, cb4_learn_room());
	CHECK(!cb4_learn(&b, &x, features, room, &e));
	free(room);
	return b;
}

/* Squares of what cb4 loses of t, over those of MXFP4. */
static double ratio(const struct table *t, const struct cb4_book *b)
{
	static struct cb4 look;
	static struct table4 four;
	uint8_t to[MOST / 2], ts[BLOCKS];
	bool changed[BLOCKS];
	double was[MOST], is[MOST], ours = 0, theirs = 0;
	size_t r, i, each = t->cols / CB4_BLOCK;

	cb4_make(&look, b, cpu_features());
	table4_make(&four, cpu_features());
	for (r = 0; r < t->rows; r++) {
		codec_ops[CODEC_FP8_ROW].decode(t->codes + r * t->cols, t->scales + r * each, 1,
			t->cols, was);
		cb4_quick(&look, t->codes + r * t->cols, t->scales + r * each, t->cols, to, ts,
			changed);
		cb4_decode(b->level, to, ts, t->cols, is);
		for (i = 0; i < t->cols; i++)
			ours += (was[i] - is[i]) * (was[i] - is[i]);
		table4_quick(&four, t->codes + r * t->cols, t->scales + r * each, t->cols, to, ts,
			changed);
		codec_ops[CODEC_MXFP4].decode(to, ts, 1, t->cols, is);
		for (i = 0; i < t->cols; i++)
			theirs += (was[i] - is[i]) * (was[i] - is[i]);
	}
	return theirs > 0 ? ours / theirs : 0;
}

static double even(void)
{
	return (double)rnd(1 << 20) / (1 << 19) - 1;
}

static double skewed(void)
{
	double x = even();

	return x < -0.3 ? x / 4 : x;
}

static double sparse(void)
{
	return rnd(3) ? 0 : gauss();
}

static double tailed(void)
{
	double x = gauss();

	return x * x * x;
}

static void better(void)
{
	static const struct {
		const char *name;
		double (*draw)(void);
		double most;
	} row[] = { { "gauss", gauss, 0.6 }, { "even", even, 0.6 }, { "skewed", skewed, 0.6 },
		{ "sparse", sparse, 0.6 }, { "tailed", tailed, 0.6 } };
	struct cb4_book b, again;
	struct table t;
	unsigned i, k;
	double is;

	for (i = 0; i < sizeof row / sizeof *row; i++) {
		t = made(1500, 256, row[i].draw);
		b = learn(&t, cpu_features());
		again = learn(&t, 0);
		CHECK(!memcmp(&b, &again, sizeof b));
		is = ratio(&t, &b);
		if (getenv("SHOW")) {
			printf("%s %g, power %d:", row[i].name, is, b.power);
			for (k = 0; k < CB4_LEVELS; k++)
				printf(" %.4f", ldexp((double)b.level[k], -b.power));
			printf("\n");
		}
		CHECK_IN(row[i].name, is < row[i].most);
		for (k = 1; k < CB4_LEVELS; k++)
			CHECK_IN(row[i].name, b.level[k - 1] <= b.level[k]);
		if (row[i].draw == sparse)
			CHECK(b.level[7] == 0 || b.level[8] == 0);
		forget(&t);
	}
}

/* With the levels that were chosen each of the four scales of a block has no smaller error than the one that it has, by values that are
 * decoded; and no level moved to the mean of what is nearest to it takes more than a thousandth of the error away. */
static void settled(void)
{
	static const int off[CB4_TRIES] = { 0, -1, 1, -2 };
	struct table t = made(1200, 128, gauss);
	struct cb4_book b = learn(&t, cpu_features());
	double x[MOST], amax, scale, d, sum, least, won = 0, all = 0;
	double w[CB4_LEVELS] = { 0 }, wx[CB4_LEVELS] = { 0 }, move;
	uint8_t to[MOST / 2], ts[BLOCKS];
	bool changed[BLOCKS];
	size_t r, i, k, n, near;
	unsigned q, code;

	for (r = 0; r < t.rows; r++) {
		codec_ops[CODEC_FP8_ROW].decode(t.codes + r * 128, t.scales + r * 4, 1, 128, x);
		cb4_plain(&b, t.codes + r * 128, t.scales + r * 4, 128, to, ts, changed);
		for (i = 0; i < 128; i += CB4_BLOCK) {
			for (k = i, amax = 0; k < i + CB4_BLOCK; k++)
				amax = fmax(amax, fabs(x[k]));
			q = cb4_scale_of(ldexp(amax, -b.power));
			CHECK(q > 10 && q < 255 && (double)num_e5m3(q) <= ldexp(amax, -b.power) &&
				(double)num_e5m3(q + 1) > ldexp(amax, -b.power));
			for (n = 0, least = 1e300; n < CB4_TRIES; n++) {
				scale = (double)num_e5m3((unsigned)((int)q + off[n]));
				for (k = i, sum = 0; k < i + CB4_BLOCK; k++) {
					for (near = 0, d = 1e300; near < CB4_LEVELS; near++)
						d = fmin(d,
							fabs(x[k] - (double)b.level[near] * scale));
					sum += d / amax * (d / amax);
				}
				least = fmin(least, sum);
			}
			scale = (double)num_e5m3(ts[i / CB4_BLOCK]);
			for (k = i, sum = 0; k < i + CB4_BLOCK; k++) {
				code = to[k / 2] >> (k % 2 ? 4 : 0) & 15;
				d = (x[k] - (double)b.level[code] * scale) / amax;
				sum += d * d;
				w[code] += scale / amax * (scale / amax);
				wx[code] += x[k] / amax * (scale / amax);
			}
			CHECK(sum <= least + 32 * 0x1p-24); /* errors are whole units */
			all += sum;
		}
	}
	for (n = 0; n < CB4_LEVELS; n++) {
		if (b.level[n] == 0 || w[n] <= 0)
			continue;
		move = wx[n] / w[n] - (double)b.level[n];
		won += w[n] * move * move;
	}
	if (getenv("SHOW"))
		printf("settled: %g of %g\n", won, all);
	CHECK(won < all * 1e-3);
	forget(&t);
}

/* The largest scale of a table that is not zero decides; a larger one of zeros and a NaN do not. */
static void powers(void)
{
	struct table t = made(300, 64, even);
	struct cb4_book b = learn(&t, 0), c;
	int top = b.power + 134;
	size_t i;

	for (i = 0; i < 600; i++)
		CHECK(t.scales[i] <= top);
	memset(t.codes + 64 * 120 + 32, 0, 32);
	t.codes[64 * 120 + 40] = 0x80;
	t.scales[2 * 120 + 1] = 254;
	c = learn(&t, 0);
	CHECK(c.power == b.power);
	t.scales[2 * 120 + 1] = 255;
	c = learn(&t, 0);
	CHECK(c.power == b.power);
	t.codes[64 * 120 + 41] = 1;
	t.scales[2 * 120 + 1] = (uint8_t)(top + 3);
	c = learn(&t, 0);
	CHECK(c.power == b.power + 3);
	t.codes[64 * 120 + 41] = 0x7e;
	t.scales[2 * 120 + 1] = 254; /* all others are below what has all bits */
	c = learn(&t, 0);
	CHECK(c.power == 120);
	memset(t.scales, 3, 600);
	c = learn(&t, 0);
	CHECK(c.power == -100);
	forget(&t);
}

static double nothing(void)
{
	return 0;
}

/* Tables of one row, of zeros, of one value, and one that is larger than the sample. */
static void edges(void)
{
	static struct cb4 look;
	struct table t = made(1, 32, gauss);
	struct cb4_book b = learn(&t, 0);
	uint8_t to[16], scale;
	bool changed;
	double v[32];
	size_t i;

	CHECK(ratio(&t, &b) < 1);
	forget(&t);
	t = made(5, 32, nothing);
	t.codes[70] = 0x80;
	b = learn(&t, 0);
	CHECK(b.level[7] == 0 && b.level[0] == -1 && b.level[15] == 1);
	cb4_make(&look, &b, 0);
	cb4_quick(&look, t.codes + 64, t.scales + 2, 32, to, &scale, &changed);
	CHECK(!changed && !scale && to[0] == 0x77);
	cb4_decode(b.level, to, &scale, 32, v);
	for (i = 0; i < 32; i++)
		CHECK(v[i] == 0);
	memset(t.codes, 0x3a, 5 * 32); /* one value: the level of it is exact */
	b = learn(&t, 0);
	cb4_make(&look, &b, 0);
	cb4_quick(&look, t.codes, t.scales, 32, to, &scale, &changed);
	CHECK(!changed);
	forget(&t);
	t = made(200000, 32, gauss);
	b = learn(&t, 0);
	CHECK(ratio(&t, &b) < 0.5);
	t.reads = 0;
	b = learn(&t, 0);
	CHECK(t.reads > 2 * 4096 && t.reads < 2 * 4096 + 40);
	forget(&t);
}

/* Of a table whose values have 16 ratios to their scale, no value changes. */
static void exact(void)
{
	struct table t = made(64, 64, gauss);
	struct cb4_book b;
	size_t i;

	for (i = 0; i < 64 * 64; i++)
		t.codes[i] = i % 32 ? num_e4m3_from((float)(1 + rnd(7)) * (i % 2 ? -1 : 1))
				    : num_e4m3_from(8);
	b = learn(&t, cpu_features());
	CHECK(ratio(&t, &b) == 0);
	forget(&t);
}

static const struct test tests[] = { { "cb4: every way", ways },
	{ "cb4: better than MXFP4", better }, { "cb4: settled", settled },
	{ "cb4: powers", powers }, { "cb4: edges", edges }, { "cb4: exact", exact },
	{ NULL, NULL } };
TEST_MAIN(tests)
