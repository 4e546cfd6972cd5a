/* sound.h -- whether plain numbers, and codes and scales of a matrix, are numbers, before anything is multiplied by them.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_FORWARD_SOUND_H
#define KERNELS_FORWARD_SOUND_H
#include "core/err.h"
#include "formats/codec.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Returns NULL where all numbers in the n bytes at p, of dtype d, are finite; else what is wrong, with the rule and the byte
 * where the first that is not begins. Only F32 and BF16 are looked at: nothing is wrong with any other. */
const char *sound_numbers(enum dtype d, const void *p, uint64_t n, enum rule_id *rule,
	uint64_t *at);
/* Returns NULL where none of the n bytes of codes of that number format is NaN, nor, of BF16 and F32, infinite; else what is wrong, with the rule and the
 * byte. */
const char *sound_codes(enum codec c, const uint8_t *p, uint64_t n, enum rule_id *rule,
	uint64_t *at);
/* The same of its scales. F32 scales must be powers of two. */
const char *sound_scales(enum codec c, const uint8_t *p, uint64_t n, enum rule_id *rule,
	uint64_t *at);
/* The same of the four bytes of the factor of a matrix: a number above zero that is not infinite, and neither is the
 * factor where 1 / factor lies there. */
const char *sound_second(enum codec c, const uint8_t p[4], enum rule_id *rule);

#ifdef __cplusplus
}
#endif
#endif
