/* test_reform.c -- ways from one number format to another, row by row: every row of the table does what decode and
 * encode do, says of every block whether a value changed, and goes back to the bytes that it came from.
 *
 * All tests loop over the table, so that a new row is tested by being there.
 *
 * SPDX-License-Identifier: MIT */
#include "quant/num.h"
#include "core/mem.h"
#include "quant/reform.h"
#include "tests/check.h"
#include "tests/emulated.h"

#include <math.h>

enum { ROWS = 256, COLS = 256, WIDEST = 4 };

/* A matrix in both formats. */
struct both {
	const struct reform *how;
	bool signs;
	unsigned features;
	int top;
	uint8_t codes[ROWS * COLS], scales[ROWS * COLS]; /* old */
	uint8_t to[WIDEST * ROWS * COLS], to_scales[WIDEST * ROWS * COLS], second[4];
	uint8_t verdict[ROWS * COLS];
	uint8_t frame[2 * ROWS * COLS];
	size_t n_frame;
	uint64_t counts[REFORM_OVERFLOW + 1];
};

static size_t scale_row(enum codec c)
{
	uint64_t dim[2];

	if (codecs[c].scale == DT_COUNT)
		return 0;
	codec_scale_dim(c, 1, COLS, dim);
	return (size_t)(dim[1] * dtypes[codecs[c].scale].bits / 8);
}

static const uint8_t *old_scales(const struct both *b, size_t row)
{
	return b->scales + row / codecs[b->how->from].rows * scale_row(b->how->from);
}

static const uint8_t *new_scales(const struct both *b, size_t row)
{
	return b->to_scales + row / codecs[b->how->to].rows * scale_row(b->how->to);
}

/* Random codes, with groups that are all zero; scales up to `spread` below `top`. */
static void fill(struct both *b, int top, unsigned spread)
{
	enum codec from = b->how->from;
	size_t n = (size_t)codec_row_bytes(from, COLS) * ROWS, i;
	float f;

	for (i = 0; i < n; i++) {
		b->codes[i] = (uint8_t)rnd64();
		if (codecs[from].code == DT_F8_E4M3 && num_e4m3_is_nan(b->codes[i]))
			b->codes[i] = 0;
	}
	for (i = 0; i < 64; i++)
		memset(b->codes + rnd64() % (n / 16) * 16, rnd64() % 2 ? 0 : 0x88, 16);
	n = scale_row(from) * mem_ceil_div(ROWS, codecs[from].rows);
	for (i = 0; i < n / (codecs[from].meant == SCALE_F32 ? 4 : 1); i++) {
		int e = top - (int)(rnd64() % (spread + 1));

		e = e < -127 ? -127 : e;
		f = ldexpf(1, e);
		if (codecs[from].meant == SCALE_F32)
			memcpy(b->scales + 4 * i, &f, 4);
		else
			b->scales[i] = (uint8_t)(e + 127);
	}
}

static void make(struct both *b)
{
	const struct reform *how = b->how;
	void *room = malloc(reform_room(how, COLS));
	size_t kept_room = reform_kept_room(how, b->signs, ROWS, COLS), i, k,
	       blocks = COLS / how->block;
	uint8_t *kept = calloc(1, kept_room + 1);
	enum reform_scale what;
	struct reform_kept keep;
	struct reformer r;

	reformer_begin(&r, how, COLS, b->signs, b->features, room);
	b->top = REFORM_TOP_NONE;
	for (i = 0; how->second && i < ROWS; i++)
		b->top = reform_top(b->top, old_scales(b, i), scale_row(how->from));
	CHECK_IN(codecs[how->to].name, !how->second || reformer_second(&r, b->top));
	reformer_put_second(&r, b->second);
	reform_kept_begin(&keep, &r, ROWS, kept);
	memset(b->counts, 0, sizeof b->counts);
	for (i = 0; i < ROWS; i++) {
		const uint8_t *src = b->codes + i * codec_row_bytes(how->from, COLS);

		CHECK_IN(codecs[how->to].name,
			how->sound(old_scales(b, i), reform_old_scales(how, COLS), &what) ==
				reform_old_scales(how, COLS));
		CHECK_IN(codecs[how->to].name,
			how->codes(&r, src, old_scales(b, i),
				b->to + i * codec_row_bytes(how->to, COLS)) == COLS);
		memcpy(b->verdict + i * blocks, r.verdict, blocks);
		for (k = 0; k < blocks; k++)
			b->counts[r.verdict[k]]++;
		if (how->scales)
			how->scales(&r, old_scales(b, i),
				b->to_scales + i / codecs[how->to].rows * scale_row(how->to));
		if (kept_room)
			reform_keep(&keep, &r, i, src, old_scales(b, i));
	}
	b->n_frame = keep.any ? reform_pack(&keep, b->frame, sizeof b->frame) : 0;
	CHECK_IN(codecs[how->to].name, !keep.any || b->n_frame);
	free(kept);
	free(room);
}

/* With all ways of making rows, which write the same; *b is that of the plain one. */
static void make_all(struct both *b)
{
	static struct both was;
	const struct row_way *w;
	unsigned i;

	b->features = 0;
	make(b);
	for (i = 0; (w = row_way(i)); i++) {
		if (w->need & ~features_or_emulated())
			continue;
		was = *b;
		b->features = w->need;
		make(b);
		b->features = 0;
		CHECK_IN(w->name, !memcmp(&was, b, sizeof was));
	}
}

/* Codes are what encode writes for the values, and a verdict tells where a value changed. */
static bool means_it(const struct both *b)
{
	enum codec from = b->how->from, to = b->how->to;
	double was[COLS], is[COLS], second = codec_second(to, b->second);
	size_t blocks = COLS / b->how->block, n = (size_t)codec_row_bytes(to, COLS), i, k;
	uint8_t want[WIDEST * COLS];
	bool ok = true, changed;

	for (i = 0; ok && i < ROWS; i++) {
		codec_ops[from].decode(b->codes + i * codec_row_bytes(from, COLS), old_scales(b, i),
			1, COLS, was);
		for (k = 0; !b->signs && k < COLS; k++)
			was[k] = was[k] == 0 ? 0 : was[k];
		codec_ops[to].encode(was, new_scales(b, i), second, COLS, want);
		ok = !memcmp(want, b->to + i * n, n);
		codec_ops[to].decode(b->to + i * n, new_scales(b, i), second, COLS, is);
		changed = false;
		for (k = 0; ok && k < COLS; k++) {
			changed = changed || memcmp(&was[k], &is[k], sizeof *was);
			if ((k + 1) % b->how->block)
				continue;
			ok = changed ==
				(b->verdict[i * blocks + k / b->how->block] >= REFORM_LOSSY);
			changed = false;
		}
	}
	return ok;
}

static bool goes_back(const struct both *b)
{
	static uint8_t codes[ROWS * COLS], scales[ROWS * COLS];
	const struct reform *how = b->how;
	size_t n = (size_t)codec_row_bytes(how->from, COLS) * ROWS,
	       n_scales = scale_row(how->from) * mem_ceil_div(ROWS, codecs[how->from].rows);
	struct reform_matrix m = { .how = how,
		.rows = ROWS,
		.cols = COLS,
		.codes = b->to,
		.scales = how->scales ? b->to_scales : NULL,
		.second = how->second ? b->second : NULL,
		.kept = b->frame,
		.n_kept = b->n_frame };
	uint8_t *work = malloc(reform_work(how, ROWS, COLS));
	struct err e = { 0 };
	bool ok;

	memset(codes, 0xaa, sizeof codes);
	memset(scales, 0xaa, sizeof scales);
	ok = !reform_back(&m, codes, scales, work, &e) && !memcmp(codes, b->codes, n) &&
		!memcmp(scales, b->scales, n_scales);
	free(work);
	return ok;
}

/* Where the scales lie, and how far apart. */
static const struct {
	int top;
	unsigned spread;
} places[] = { { 0, 0 }, { 3, 17 }, { -100, 17 }, { 20, 18 }, { 0, 20 }, { 5, 24 }, { -90, 60 },
	{ 100, 9 }, { -127, 0 }, { -120, 7 }, { 118, 200 } };

static void means_and_goes_back(void)
{
	static struct both b;
	unsigned i, s, w;

	for (w = 0; (b.how = reform_nth(w)); w++)
		for (i = 0; i < sizeof places / sizeof *places; i++)
			for (s = 0; s < (b.how->second ? 2 : 1); s++) {
				b.signs = !s;
				if (codecs[b.how->to].second.divides && places[i].top < -110)
					continue; /* the divisor is none that F32 has */
				fill(&b, places[i].top, places[i].spread);
				make_all(&b);
				CHECK_IN(codecs[b.how->to].name, means_it(&b));
				CHECK_IN(codecs[b.how->to].name,
					b.counts[REFORM_FORGOT] || b.counts[REFORM_LOSSY] ||
						b.counts[REFORM_OVERFLOW] || goes_back(&b));
			}
}

/* Each code with each distance of scales, alone in its block: rescued where the value is on the grid. */
static void rescues(void)
{
	static struct both b;
	unsigned d, code, want;
	size_t i;

	b.how = reform_find(CODEC_MXFP4, CODEC_NVFP4);
	b.signs = true;
	for (d = 0; d <= 40; d++)
		for (code = 0; code < 16; code++) {
			memset(b.codes, 0, sizeof b.codes);
			for (i = 0; i < ROWS; i++) /* one in the second half of group 1 */
				b.codes[i * COLS / 2 + 31] = (uint8_t)(code << 4);
			memset(b.scales, 127, sizeof b.scales);
			for (i = 0; i < ROWS; i++)
				b.scales[i * COLS / 32 + 1] = (uint8_t)(127 - d);
			make_all(&b);
			want = d <= 17 || !(code & 7) ? REFORM_EXACT : REFORM_LOSSY;
			if (want == REFORM_LOSSY && d - 17 <= 3 &&
				fmodf(num_e2m1(code), ldexpf(0.5f, (int)(d - 17))) == 0 &&
				(num_e2m1(code & 7) != 3 || d == 18))
				want = REFORM_RESCUED;
			CHECK(b.verdict[3] == want);
			CHECK(means_it(&b) && (want == REFORM_LOSSY || goes_back(&b)));
		}
}

/* Of old scales the largest that is not byte 0; what cannot be a factor is refused. */
static void factors(void)
{
	static const uint8_t zeros[4] = { 0 }, some[4] = { 0, 127, 130, 5 };
	struct reformer r = { .how = reform_find(CODEC_MXFP4, CODEC_NVFP4) };
	uint8_t p[4];

	CHECK(reform_top(REFORM_TOP_NONE, zeros, 4) == REFORM_TOP_NONE);
	CHECK(reform_top(REFORM_TOP_NONE, some, 4) == 3 && reform_top(5, some, 4) == 5);
	CHECK(reformer_second(&r, REFORM_TOP_NONE) && r.second == -8);
	CHECK(reformer_second(&r, -126) && r.second == -134);
	reformer_put_second(&r, p);
	CHECK(codec_second(CODEC_NVFP4, p) == ldexp(1, -134));
	r.how = reform_find(CODEC_MXFP4, CODEC_NVFP4_CT);
	CHECK(!reformer_second(&r, -126) && !reformer_second(&r, -120) &&
		reformer_second(&r, -119));
	reformer_put_second(&r, p);
	CHECK(codec_second(CODEC_NVFP4_CT, p) == ldexp(1, -127));
}

static void bad_scales(void)
{
	const struct reform *how;
	enum reform_scale what;
	unsigned w;
	uint8_t s[8];
	/* 0 is sound where products are written, or the scale itself: the verdict of each block says what becomes of it. */
	static const struct {
		float f;
		enum reform_scale power, any;
	} rows[] = { { NAN, REFORM_SCALE_NAN, REFORM_SCALE_NAN },
		{ INFINITY, REFORM_SCALE_NAN, REFORM_SCALE_NAN },
		{ 0, REFORM_SCALE_POWER, REFORM_SCALE_SOUND },
		{ -1, REFORM_SCALE_POWER, REFORM_SCALE_SOUND },
		{ 1.5f, REFORM_SCALE_POWER, REFORM_SCALE_SOUND },
		{ 0x1p-128f, REFORM_SCALE_POWER, REFORM_SCALE_SOUND },
		{ 0x1p-127f, REFORM_SCALE_SOUND, REFORM_SCALE_SOUND },
		{ 0x1p127f, REFORM_SCALE_SOUND, REFORM_SCALE_SOUND } };
	size_t i;

	for (w = 0; (how = reform_nth(w)); w++) {
		if (codecs[how->from].meant == SCALE_E8M0) {
			memset(s, 7, sizeof s);
			s[5] = 255;
			CHECK_IN(codecs[how->to].name,
				how->sound(s, 8, &what) == 5 && what == REFORM_SCALE_NAN);
			CHECK_IN(codecs[how->to].name, how->sound(s, 5, &what) == 5);
			continue;
		}
		for (i = 0; i < sizeof rows / sizeof *rows; i++) {
			enum reform_scale want =
				how->to == CODEC_MXFP8 ? rows[i].power : rows[i].any;
			float f[2] = { 1, rows[i].f };

			memcpy(s, f, sizeof f);
			CHECK_IN(codecs[how->to].name,
				how->sound(s, 2, &what) == (want ? 1 : 2) && what == want);
		}
	}
}

/* A scale of zero is a number, and of zeros it says all there is: the sign of each is kept. Of other codes it says
 * nothing in a format that has products alone: their blocks are told apart, and have no way back. */
static void zero_scales(void)
{
	static struct both b;
	const float zeros[2] = { 0.0f, -0.0f };
	unsigned w, z, code;
	size_t i;

	for (w = 0; (b.how = reform_nth(w)); w++) {
		if (b.how->from != CODEC_FP8_F32 || b.how->to == CODEC_MXFP8)
			continue;
		for (z = 0; z < 2; z++)
			for (code = 0; code < 0x7f; code += 9) {
				bool mute = code && b.how->to == CODEC_BF16;

				b.signs = true;
				fill(&b, 3, 4);
				memcpy(b.scales + 4, &zeros[z], 4);
				for (i = 0; i < 128 * COLS; i++)
					if (i % COLS >= 128)
						b.codes[i] = i % 3 ? 0x80 : 0;
				b.codes[5 * COLS + 131] = (uint8_t)code;
				make(&b);
				CHECK_IN(codecs[b.how->to].name,
					b.counts[REFORM_FORGOT] == mute &&
						!b.counts[REFORM_LOSSY] &&
						b.verdict[5 * 2 + 1] ==
							(mute ? REFORM_FORGOT : REFORM_EXACT));
				/* Encoded by value, codes under a scale of zero would be zero: copies are not. */
				CHECK_IN(codecs[b.how->to].name, b.how->scales || means_it(&b));
				CHECK_IN(codecs[b.how->to].name, mute != goes_back(&b));
			}
	}
}

/* A byte that was changed since is found, or changes what comes out, but never goes out of bounds. */
static void damaged(void)
{
	static struct both b;
	unsigned i, w;
	size_t n;
	uint8_t *at;

	for (w = 0; (b.how = reform_nth(w)); w++)
		for (i = 0; i < 200; i++) {
			b.signs = i % 2;
			fill(&b, 3, 17);
			make(&b);
			n = b.how->scales && i % 3 == 1 ? scale_row(b.how->to) * 2
				: i % 3 == 2 && b.n_frame
				? b.n_frame
				: (size_t)codec_row_bytes(b.how->to, COLS) * ROWS;
			at = n == b.n_frame                   ? b.frame
				: b.how->scales && i % 3 == 1 ? b.to_scales
							      : b.to;
			at[rnd64() % n] ^= (uint8_t)(1 << rnd64() % 8);
			/* A frame has bits that say nothing: those of matrices are held to their digests besides. */
			CHECK_IN(codecs[b.how->to].name, !goes_back(&b) || at == b.frame);
		}
}

static const struct test tests[] = { { "reform: means it and goes back", means_and_goes_back },
	{ "reform: rescues", rescues }, { "reform: factors", factors },
	{ "reform: bad scales", bad_scales }, { "reform: zero scales", zero_scales },
	{ "reform: damaged", damaged }, { 0 } };
TEST_MAIN(tests)
