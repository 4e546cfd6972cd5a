/* SPDX-License-Identifier: MIT */
#include "quant/reform.h"

#include "core/mem.h"
#include "quant/num.h"
#include "quant/round.h"

#include <math.h>
#include <string.h>

/* The largest scale of NVFP4 is 2^8, for the largest old one; E8M0 has a bias of 127. */
enum { P_MAX = 8, BIAS = 127 };

const struct reform *reform_nth(unsigned i)
{
	unsigned n = 0;

	while (reforms_fp4[n].from != CODEC_NONE)
		n++;
	if (i < n)
		return &reforms_fp4[i];
	for (i -= n, n = 0; reforms_fp8[n].from != CODEC_NONE && n < i; n++)
		;
	return reforms_fp8[n].from == CODEC_NONE ? NULL : &reforms_fp8[n];
}

const struct reform *reform_find(enum codec from, enum codec to)
{
	const struct reform *r;
	unsigned i;

	for (i = 0; (r = reform_nth(i)); i++)
		if (r->from == from && r->to == to)
			return r;
	return NULL;
}

/* --- pairs that round: what quant/round.h has an encoder of, and a source of matrices --- */

/* clang-format off */
#define ROUNDED(from, to, sound) { from, to, 0, false, NULL, NULL, NULL, NULL, sound, NULL, NULL, NULL, NULL, NULL }
#define ROUNDED_2(from, to, sound) { from, to, 0, true, NULL, NULL, NULL, NULL, sound, NULL, NULL, NULL, NULL, NULL }
#define WHOLE_NUMBERS(from, sound) \
	ROUNDED(from, CODEC_INT4_128, sound), ROUNDED(from, CODEC_INT4_32, sound), \
	ROUNDED(from, CODEC_INT4_128_ASYM, sound), ROUNDED(from, CODEC_INT4_32_ASYM, sound), \
	ROUNDED(from, CODEC_INT8_ROW, sound), ROUNDED(from, CODEC_FP8_CHANNEL, sound)
#define FOUR_BITS(from, sound) \
	ROUNDED_2(from, CODEC_NVFP4, sound), ROUNDED_2(from, CODEC_NVFP4_CT, sound), ROUNDED(from, CODEC_MXFP4_CT, sound)
static const struct reform rounded[] = {
	WHOLE_NUMBERS(CODEC_MXFP4, reform_sound_e8m0),
	WHOLE_NUMBERS(CODEC_FP8, reform_sound_e8m0),
	WHOLE_NUMBERS(CODEC_FP8_F32, reform_sound_f32),
	FOUR_BITS(CODEC_FP8, reform_sound_e8m0),
	FOUR_BITS(CODEC_FP8_F32, reform_sound_f32),
};
/* clang-format on */

const struct reform *reform_rounding(enum codec from, enum codec to)
{
	size_t i;

	for (i = 0; i < sizeof rounded / sizeof *rounded; i++)
		if (rounded[i].from == from && rounded[i].to == to)
			return &rounded[i];
	return NULL;
}

uint32_t reform_unit(const struct reform *how)
{
	uint32_t cols = codecs[how->to].cols;

	return !reform_rounds(how) ? how->block : cols == CODEC_ALL_COLS ? ROUND_UNIT : cols;
}

int reform_second(enum codec from, int top, const uint8_t *s, size_t n)
{
	/* The largest code of E4M3 is 448, that of a scale too, and that of E2M1 is 6 or, where 4/6 takes it so, 4: a factor
	 * that is a quarter of the largest scale leaves room for both. */
	enum { BELOW = 2, LEAST = -120 };
	double most = 0, v;
	size_t i;
	int e;

	for (i = 0; i < n; i++) {
		v = fabs(codec_scale(from, s, i));
		most = v > most ? v : most;
	}
	e = most > 0 ? ilogb(most) : LEAST;
	e += most > ldexp(1, e);
	e = e - BELOW < LEAST ? LEAST : e - BELOW;
	return e > top ? e : top;
}

/* --- reformers --- */

static size_t aligned(size_t n)
{
	return mem_ceil_div(n, 16) * 16;
}

size_t reform_no_room(size_t cols)
{
	(void)cols;
	return 0;
}

size_t reform_sound_e8m0(const uint8_t *s, size_t n, enum reform_scale *what)
{
	const uint8_t *nan = memchr(s, NUM_E8M0_NAN, n);

	*what = nan ? REFORM_SCALE_NAN : REFORM_SCALE_SOUND;
	return nan ? (size_t)(nan - s) : n;
}

size_t reform_room(const struct reform *how, size_t cols)
{
	return aligned(how->room(cols)) + cols / how->block;
}

void reformer_begin(struct reformer *r, const struct reform *how, size_t cols, bool signs,
	unsigned features, void *room)
{
	*r = (struct reformer){ .how = how,
		.cols = cols,
		.features = features,
		.way = row_best(features),
		.signs = signs || !how->second,
		.tables = room };
	r->verdict = (uint8_t *)room + aligned(how->room(cols));
	if (how->begin)
		how->begin(r);
}

size_t reform_old_scales(const struct reform *how, size_t cols)
{
	return mem_ceil_div(cols, codecs[how->from].cols);
}

/* --- the factor of a matrix --- */

int reform_top(int top, const uint8_t *s, size_t n)
{
	uint8_t most = row_largest(s, n, 0xff);

	return most && (int)most - BIAS > top ? (int)most - BIAS : top;
}

bool reformer_second(struct reformer *r, int top)
{
	int m = (top == REFORM_TOP_NONE ? 0 : top) - P_MAX;

	r->second = m;
	/* An F32 has powers of two from 2^-149 to 2^127. */
	return !codecs[r->how->to].second.divides || -m <= BIAS;
}

void reformer_put_second(const struct reformer *r, uint8_t p[4])
{
	float f = ldexpf(1, codecs[r->how->to].second.divides ? -r->second : r->second);

	memcpy(p, &f, sizeof f);
}
