/* SPDX-License-Identifier: MIT */
#include "quant/round.h"

#include "quant/lowbit_way.h"
#include "quant/num.h"

#include <math.h>

enum {
	K = ROUND_LANES,
	BF16_STEP = 1 << 16, /* of the bits of FP32, from a BF16 number to the next */
	FIXED = 1, /* of FP8: the first of two lanes whose scales are powers of two, before the largest magnitude is looked at */
	E4M3_BELOW = 4, /* codes below the one that is nearest to the largest magnitude over 6 */
	E4M3_LAST = 126,
	E2M1_TOP = 2, /* the largest level is 1.5 * 2^2 */
	BATCH = 8, /* groups of which each step is made before the next one is: their sums do not wait for each other */
	BIAS = 127, /* of E8M0 */
	E8M0_LAST = 254,
	TOP_LEAST =
		-100, /* the least power of two that the largest magnitude of a group is divided by */
	APART = 100,    /* powers of two that a scale may lie off its group */
	CODE_LAST = 15, /* of four bits */
	ZERO_MIDDLE = 8 /* the code that is zero in formats without zero points */
};
/* The least scale of a group that was divided so: times 2^TOP_LEAST it is a normal BF16. */
static const float scale_least = 0x1p-26f;

struct rounding {
	uint8_t to;   /* enum codec */
	uint8_t zero; /* of formats whose scales are bytes: the scale of a group that is zero */
	struct round_grid grid;
	/* What numbers are divided by to be BF16 scales: the largest magnitude, and of formats with zero points the distance from the
	 * least value to the largest, zero being one of them. */
	float by[K], range_by[K];
};

#define EXPONENT 0x7f800000u
#define WHOLE 0x1.8p23f
static const float zero_bf16 =
	0x1p-7f; /* of a group that is zero: torch's eps of BF16, as the package has it */
/* clang-format off */
#define INT4_BY { 7.5f, 8, 7.75f, 7.25f, 7, 6.75f, 6.5f, 6.25f, 6, 5.75f, 5.5f, 5.25f, 5, 4.75f, 4.5f, 4.25f }
#define INT4 { 0, 1, WHOLE, -8, 7, false }, INT4_BY, { 0 }
#define INT4_ASYM { 0, 1, WHOLE, -8, 7, true }, INT4_BY, { 15, 15.5f, 16, 16.5f, 17, 18, 20, 14.5f, 14, 13.5f, 13, 12, 11, 10, 9, 8 }
#define E2M1 { EXPONENT, 1, WHOLE / 2, -6, 6, false }, { 0 }, { 0 }
static const struct rounding roundings[] = {
	{ CODEC_INT4_128, 0, INT4 },
	{ CODEC_INT4_32,  0, INT4 },
	{ CODEC_INT4_128_ASYM, 0, INT4_ASYM },
	{ CODEC_INT4_32_ASYM, 0, INT4_ASYM },
	{ CODEC_INT8_ROW, 0, { 0, 1, WHOLE, -128, 127, false }, { 127.5f, 128, 127, 125, 122, 119, 115, 110, 105, 100, 95, 90, 84, 78, 72, 66 }, { 0 } },
	/* 0: the power of two by which the largest magnitude is below 256, then the one by which it is below 512. */
	{ CODEC_FP8_CHANNEL, 0, { EXPONENT, 0x1p-6f, WHOLE / 8, -448, 448, false }, { 448, 0, 0, 480, 464, 432, 416, 400, 384, 368, 352, 336, 320, 288, 272, 240 }, { 0 } },
	{ CODEC_NVFP4,    0x38, E2M1 },
	{ CODEC_NVFP4_CT, 0x38, E2M1 },
	{ CODEC_MXFP4_CT, BIAS, E2M1 },
};
/* clang-format on */

const struct rounding *rounding_find(enum codec c)
{
	size_t i;

	for (i = 0; i < sizeof roundings / sizeof *roundings; i++)
		if (roundings[i].to == c)
			return &roundings[i];
	return NULL;
}

size_t round_group(enum codec c, size_t cols)
{
	return codecs[c].cols == CODEC_ALL_COLS ? cols : codecs[c].cols;
}

size_t round_groups(enum codec c, size_t cols)
{
	return cols ? cols / round_group(c, cols) : 0;
}

size_t round_room(size_t cols)
{
	return 3 * cols;
}

/* --- a group --- */

struct group {
	const struct round_job *j;
	size_t n;
	float *x, *w, *level; /* [n] divided by powers of two; w NULL: 1 */
	float top;            /* the largest magnitude of x */
	int exponent,
		by; /* the power of two of the largest magnitude as it was; x was divided by 2^by */
	struct round_lanes l;
	int code[K]; /* of scales that are bytes */
	/* The best so far. */
	float scale, error;
	int best;
	/* Of formats with zero points: the best with code 8 as zero. */
	struct {
		float scale, error;
	} middle;
};

/* Divides values by a power of two, so that the largest is between 1 and 2 unless all are tiny, and weights so that no
 * sum leaves FP32. Where all weights are zero there are none. */
static void normalise(struct group *g, const float *x, const float *w)
{
	float top = g->j->way->round_largest(x, g->n), most, a, b;
	size_t i;
	int e;

	g->exponent = top > 0 ? ilogbf(top) : 0;
	g->by = g->exponent > TOP_LEAST ? g->exponent : TOP_LEAST;
	a = num_f32((uint32_t)(BIAS - g->by) << 23); /* a power of two that is a normal number */
	g->j->way->round_times(x, a, g->n, g->x);
	g->top = top * a;
	most = w ? g->j->way->round_largest(w, g->n) : 0;
	if (!(most > 0)) {
		g->w = NULL;
		return;
	}
	e = ilogbf(most);
	a = ldexpf(1, -e / 2);
	b = ldexpf(1, -e - -e / 2);
	for (i = 0; i < g->n; i++)
		g->w[i] = w[i] * a * b;
}

static int bounded(int v, int low, int high)
{
	return v < low ? low : v > high ? high : v;
}

/* Sets which code is zero under the scales of all lanes: `even` of lanes 0, 2, ..., `odd` of the others. Formats without zero points do
 * not look at it. */
static void set_zeros(struct group *g, int even, int odd)
{
	if (g->j->how->grid.window)
		g->j->way->round_zeros(even, odd, &g->l);
}

/* Tries the scales of all lanes; keep: the best so far is one of those to choose from. */
static void try_lanes(struct group *g, bool keep)
{
	float error;
	unsigned at = g->j->way->round_best(&g->j->how->grid, &g->l, g->x, g->w, g->n, &error);

	if (keep && !(error < g->error))
		return;
	g->error = error;
	g->scale = g->l.scale[at];
	g->best = g->j->how->grid.window ? (int)-g->l.low[at] : g->code[at];
}

/* Tries the neighbours of the best scale so far, with its zero point. */
static void try_neighbours(struct group *g)
{
	static const int steps[K] = { -BF16_STEP, BF16_STEP, -2 * BF16_STEP, 2 * BF16_STEP,
		-3 * BF16_STEP, 3 * BF16_STEP, -4 * BF16_STEP, 4 * BF16_STEP, -5 * BF16_STEP,
		5 * BF16_STEP, -6 * BF16_STEP, 6 * BF16_STEP, -7 * BF16_STEP, 7 * BF16_STEP,
		-8 * BF16_STEP, 8 * BF16_STEP };

	if (g->error <= 0)
		return;
	g->j->way->round_beside(g->scale, steps, scale_least, g->l.scale);
	set_zeros(g, g->best, g->best);
	try_lanes(g, true);
}

/* Tries the largest magnitude over each divisor, with code 8 as zero. */
static void try_divided(struct group *g)
{
	const struct rounding *r = g->j->how;

	g->j->way->round_divided(g->top, r->by, scale_least, g->l.scale);
	if (r->by[FIXED] <= 0) {
		g->l.scale[FIXED] = 0x1p-7f;
		g->l.scale[FIXED + 1] = 0x1p-8f;
	}
	set_zeros(g, ZERO_MIDDLE, ZERO_MIDDLE);
	try_lanes(g, false);
}

/* Begins once more, with the ranges over each divisor; what was best is kept for choose(). */
static void try_ranges(struct group *g)
{
	g->middle.scale = g->scale;
	g->middle.error = g->error;
	if (g->error <= 0)
		return;
	g->j->way->round_ranges(g->x, g->n, g->j->how->range_by, scale_least, &g->l);
	try_lanes(g, false);
}

/* Tries the best scale so far and its neighbours, with the zero points beside its own. */
static void try_zeros(struct group *g)
{
	static const int steps[K] = { -4 * BF16_STEP, -4 * BF16_STEP, -3 * BF16_STEP,
		-3 * BF16_STEP, -2 * BF16_STEP, -2 * BF16_STEP, -BF16_STEP, -BF16_STEP, 0, 0,
		BF16_STEP, BF16_STEP, 2 * BF16_STEP, 2 * BF16_STEP, 3 * BF16_STEP, 3 * BF16_STEP };

	if (g->error <= 0)
		return;
	g->j->way->round_beside(g->scale, steps, scale_least, g->l.scale);
	set_zeros(g, bounded(g->best - 1, 0, CODE_LAST), bounded(g->best + 1, 0, CODE_LAST));
	try_lanes(g, true);
}

/* Goes back to what was best with code 8 as zero, unless there is less error now. */
static void choose(struct group *g)
{
	if (g->error < g->middle.error)
		return;
	g->scale = g->middle.scale;
	g->error = g->middle.error;
	g->best = ZERO_MIDDLE;
}

static void try_e4m3(struct group *g)
{
	int off = bounded(g->j->second - g->by, -APART, APART), c;
	unsigned k;

	c = num_e4m3_from(fminf(ldexpf(g->top / 6, -off), 448));
	for (k = 0; k < K; k++) { /* the nearest, those above it, those below */
		g->code[k] = bounded(c - E4M3_BELOW + (int)((k + E4M3_BELOW) % K), 1, E4M3_LAST);
		g->l.scale[k] = ldexpf(num_e4m3((unsigned)g->code[k]), off);
	}
	try_lanes(g, false);
}

static void try_e8m0(struct group *g)
{
	static const int off[K] = { 0, 1, -1 }; /* and more zeros */
	unsigned k;

	for (k = 0; k < K; k++) {
		g->code[k] = bounded(g->exponent - E2M1_TOP + BIAS + off[k], 0, E8M0_LAST);
		g->l.scale[k] = ldexpf(1, bounded(g->code[k] - BIAS - g->by, -APART, APART));
	}
	try_lanes(g, false);
}

/* --- what is written --- */

/* zero: the code of level 0 where codes are of 4 bits. */
static void put_codes(const struct round_job *j, const float *level, size_t n, int zero,
	uint8_t *codes)
{
	size_t i;

	switch (codecs[j->how->to].code) {
	case DT_I32:
		j->way->round_pairs(level, zero, n, codes);
		break;
	case DT_I8:
		for (i = 0; i < n; i++)
			codes[i] = (uint8_t)(int)level[i];
		break;
	case DT_F8_E4M3:
		for (i = 0; i < n; i++)
			codes[i] = num_e4m3_from(level[i]);
		break;
	default:
		for (i = 0; i < n; i += 2)
			codes[i / 2] = (uint8_t)(num_e2m1_from((double)level[i]) |
				num_e2m1_from((double)level[i + 1]) << 4);
	}
}

/* Writes scale i of the row, and its zero point. */
static void put_scale(const struct group *g, size_t i, size_t cols, uint8_t *scales)
{
	bool zero = g->top == 0;
	uint16_t h;

	if (codecs[g->j->how->to].meant != SCALE_BF16) {
		scales[i] = zero ? g->j->how->zero : (uint8_t)g->best;
		return;
	}
	h = num_bf16_from(zero ? zero_bf16 : ldexpf(g->scale, g->by));
	scales[2 * i] = (uint8_t)h;
	scales[2 * i + 1] = (uint8_t)(h >> 8);
	if (codecs[g->j->how->to].zeros)
		scales[2 * round_groups((enum codec)g->j->how->to, cols) + i] = (uint8_t)g->best;
}

/* Whether a value is not that of its level. */
static bool changed(const struct group *g, const float *x, size_t i, const uint8_t *scales)
{
	enum codec c = (enum codec)g->j->how->to;
	double s = codec_scale(c, scales, i);
	size_t k;

	if (codecs[c].second.name)
		s = ldexp(s, g->j->second);
	for (k = 0; k < g->n; k++)
		if ((double)g->level[k] * s != (double)x[k])
			return true;
	return false;
}

typedef void step(struct group *g);

/* Returns the steps of the search of a format, which end with NULL. */
static step *const *steps_of(enum codec c)
{
	static step *const bf16[] = { try_divided, try_neighbours, NULL };
	static step *const zeros[] = { try_divided, try_neighbours, try_ranges, try_neighbours,
		try_zeros, choose, NULL };
	static step *const e4m3[] = { try_e4m3, NULL };
	static step *const e8m0[] = { try_e8m0, NULL };

	if (codecs[c].zeros)
		return zeros;
	if (codecs[c].meant == SCALE_BF16)
		return bf16;
	return codecs[c].meant == SCALE_E4M3 ? e4m3 : e8m0;
}

/* Writes codes and scale of group i. */
static void write_group(struct group *g, size_t i, size_t cols, uint8_t *codes, uint8_t *scales)
{
	struct round_grid grid = g->j->how->grid;
	int zero = grid.window ? g->best : ZERO_MIDDLE;

	if (grid.window) {
		grid.low = (float)-zero;
		grid.high = (float)(CODE_LAST - zero);
	}
	g->j->way->round_levels(&grid, 1 / g->scale, g->x, g->n, g->level);
	put_scale(g, i, cols, scales);
	put_codes(g->j, g->level, g->n, zero, codes);
}

/* Divides the values of n groups from group `from` on. */
static void begin(struct group *g, size_t from, size_t n, size_t cols, const float *x)
{
	const struct round_job *j = g->j;
	size_t i, at;

	for (i = 0; i < n; i++) {
		at = (from + i) * g->n;
		g[i].j = j;
		g[i].n = g->n;
		g[i].x = j->room + at;
		g[i].w = g[i].x + cols;
		g[i].level = g[i].w + cols;
		normalise(&g[i], x + at, j->weights ? j->weights + at : NULL);
		g[i].scale = 1;
		g[i].best = 0;
	}
}

size_t round_row(const struct round_job *j, const float *x, size_t cols, uint8_t *codes,
	uint8_t *scales, uint8_t *altered)
{
	enum codec c = (enum codec)j->how->to;
	size_t size = round_group(c, cols), groups = round_groups(c, cols), at, i, n;
	struct group g[BATCH] = { 0 };
	step *const *s;

	if (j->way->beyond(x, cols, ROUND_MOST)) {
		for (i = 0; fabsf(x[i]) <= ROUND_MOST; i++)
			;
		return i;
	}
	for (at = 0; at < groups; at += n) {
		n = groups - at < BATCH ? groups - at : BATCH;
		g->j = j;
		g->n = size;
		begin(g, at, n, cols, x);
		for (s = steps_of(c); *s; s++)
			for (i = 0; i < n; i++)
				if (g[i].top > 0)
					(*s)(&g[i]);
		for (i = 0; i < n; i++) {
			write_group(&g[i], at + i, cols,
				codes + (at + i) * size * codecs[c].bits / 8, scales);
			altered[at + i] = changed(&g[i], x + (at + i) * size, at + i, scales);
		}
	}
	return cols;
}

/* --- the source --- */

static void source_fp4(const uint8_t *codes, const uint8_t *scales, size_t cols, float *x)
{
	const size_t group = codecs[CODEC_MXFP4].cols;
	float level[16], s;
	size_t i, k;

	for (k = 0; k < 16; k++)
		level[k] = num_e2m1((unsigned)k);
	for (i = 0; i < cols; i += group) {
		s = num_e8m0(scales[i / group]);
		for (k = i; k < i + group; k += 2) {
			x[k] = level[codes[k / 2] & 15] * s;
			x[k + 1] = level[codes[k / 2] >> 4] * s;
		}
	}
}

void round_source(enum codec from, const uint8_t *codes, const uint8_t *scales, size_t cols,
	float *x)
{
	const size_t group = codecs[from].cols;
	float level[256], s;
	size_t i, k, end;

	if (from == CODEC_MXFP4) {
		source_fp4(codes, scales, cols, x);
		return;
	}
	for (k = 0; k < 256; k++)
		level[k] = num_e4m3((unsigned)k);
	for (i = 0; i < cols; i = end) {
		end = i + group < cols ? i + group : cols;
		s = (float)codec_scale(from, scales, i / group);
		for (k = i; k < end; k++)
			x[k] = level[codes[k]] * s;
	}
}
