/* round_way.h -- what the encoders of quant/round.h and the steps of their ways (struct lowbit_way) share.
 *
 * Sixteen scales are tried at a time, each in a lane of a vector, so that the sum of a lane runs in the order of the
 * values whatever the width of a vector is. The plain way has one lane: it is the meaning.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_ROUND_WAY_H
#define QUANT_ROUND_WAY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
	ROUND_LANES = 16,
	ROUND_RUN = 32 /* values whose errors are added up before they are added to the sum */
};

/* The levels of a code: multiples of a distance that is the same everywhere (whole numbers), or that doubles with each
 * power of two (floating point). */
struct round_grid {
	uint32_t mask; /* the bits of FP32's exponent; 0: the distance is the same everywhere */
	float least;   /* the power of two below which levels lie as just above it */
	float shift; /* 1.5 * 2^(23 - m), m the bits of a code's fraction: what an ulp is 2^-m of the power of two of */
	float low, high; /* the least and the largest level */
	bool window; /* each scale has a least and a largest level of its own (struct round_lanes) */
};

/* Sixteen scales; and their least and largest levels, which only a grid with window asks for. */
struct round_lanes {
	float scale[ROUND_LANES], low[ROUND_LANES], high[ROUND_LANES];
};

#ifdef __cplusplus
}
#endif
#endif
