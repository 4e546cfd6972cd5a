/* SPDX-License-Identifier: MIT */
#include "kernels/forward/sound.h"

#include "quant/codec.h"
#include "quant/num.h"

#include <math.h>
#include <string.h>

static const char nan_scale[] = "a scale is NaN";

/* The first E4M3 that is NaN; n if none is. */
static uint64_t e4m3_nan(const uint8_t *p, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n && !num_e4m3_is_nan(p[i]); i++)
		;
	return i;
}

const char *sound_numbers(enum dtype d, const void *p, uint64_t n, enum rule_id *rule, uint64_t *at)
{
	uint64_t size = d == DT_F32 ? 4 : d == DT_BF16 ? 2 : 0, i;
	const uint8_t *b =
		p; /* bytes of little end first: the exponent is in the last two of a number */

	*rule = RULE_DATA_NOT_FINITE;
	*at = n;
	for (i = 0; size && i + size <= n; i += size)
		if ((b[i + size - 1] & 0x7f) == 0x7f && b[i + size - 2] & 0x80) {
			*at = i;
			return "a number is NaN or infinite";
		}
	return NULL;
}

const char *sound_codes(enum codec c, const uint8_t *p, uint64_t n, enum rule_id *rule,
	uint64_t *at)
{
	if (c == CODEC_BF16 || c == CODEC_F32)
		return sound_numbers(codecs[c].code, p, n, rule, at);
	*rule = RULE_DATA_FP8_NAN;
	*at = codecs[c].code == DT_F8_E4M3 ? e4m3_nan(p, n) : n;
	return *at < n ? "a weight is NaN" : NULL;
}

/* The first F32 that is no power of two as E8M0 has them, in bytes; n if all are. */
static uint64_t no_power(const uint8_t *p, uint64_t n)
{
	const uint32_t least = 0x00400000; /* 2^-127, which F32 writes without exponent */
	uint32_t bits;
	uint64_t i;

	for (i = 0; i + 4 <= n; i += 4) {
		memcpy(&bits, p + i, 4);
		if (bits != least && (bits & 0x807fffff || !bits || bits >> 23 == 255))
			return i;
	}
	return n;
}

const char *sound_scales(enum codec c, const uint8_t *p, uint64_t n, enum rule_id *rule,
	uint64_t *at)
{
	const uint8_t *nan;

	*rule = RULE_DATA_SCALE_NAN;
	switch (codecs[c].meant) {
	case SCALE_E8M0:
		nan = memchr(p, NUM_E8M0_NAN, (size_t)n);
		*at = nan ? (uint64_t)(nan - p) : n;
		return nan ? nan_scale : NULL;
	case SCALE_E4M3:
		*at = e4m3_nan(p, n);
		return *at < n ? nan_scale : NULL;
	case SCALE_F32:
		*rule = RULE_DATA_SCALE_NUMBER;
		*at = no_power(p, n);
		return *at < n ? "a scale is no power of two" : NULL;
	default:
		*at = n;
		return NULL;
	}
}

const char *sound_second(enum codec c, const uint8_t p[4], enum rule_id *rule)
{
	double factor = codec_second(c, p);

	*rule = RULE_DATA_SCALE_NUMBER;
	return factor > 0 && isfinite(factor) && isfinite((float)factor) && (float)factor > 0
		? NULL
		: "the factor of the matrix is no number above zero";
}
