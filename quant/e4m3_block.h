/* e4m3_block.h -- what encoders of 32 codes of E4M3 with one scale look for first: the largest magnitude, and a NaN.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_E4M3_BLOCK_H
#define QUANT_E4M3_BLOCK_H
#include <stddef.h>
#include <stdint.h>

enum {
	E4M3_BLOCK = 32,
	E4M3_MAGNITUDE =
		127 /* all bits of a code but the sign; magnitudes are in order as numbers, and 127 is NaN */
};

/* Returns the largest magnitude of a block, E4M3_MAGNITUDE where it has a NaN. */
static inline unsigned e4m3_largest(const uint8_t codes[E4M3_BLOCK])
{
	uint8_t most = 0, c;
	size_t i;

	for (i = 0; i < E4M3_BLOCK; i++) {
		c = codes[i] & E4M3_MAGNITUDE;
		most = c > most ? c : most;
	}
	return most;
}

/* Returns the index of the first NaN of a block that has one. */
static inline size_t e4m3_first_nan(const uint8_t *codes)
{
	size_t i = 0;

	while ((codes[i] & E4M3_MAGNITUDE) != E4M3_MAGNITUDE)
		i++;
	return i;
}

#endif
