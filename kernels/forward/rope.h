/* rope.h -- the rotation of queries and keys: frequencies with and without YaRN, and the tables of cos and sin.
 *
 * Source: precompute_freqs_cis of the model's inference/model.py (revision B). The constants are
 * formats/model/params.h's.
 *
 * SPDX-License-Identifier: MIT */
#ifndef KERNELS_FORWARD_ROPE_H
#define KERNELS_FORWARD_ROPE_H
#include "formats/model/params.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Highest position plus one of a table: the model's max_position_embeddings. */
enum { ROPE_POS_MAX = 1 << 20 };

/* Puts the frequencies of the rope_dim / 2 pairs in FP32 into freq[rope_dim / 2]: plain as layers of ratio 0 have
 * them, or with compress and YaRN as those of ratio 4 and 128. */
void rope_freqs(const struct params *p, bool compress, float *freq);
/* Puts cos and sin of f32(pos * freq[i]), [n][rope_dim / 2] each, for the n positions first, first + step, .. */
void rope_tables(const struct params *p, bool compress, uint64_t first, uint64_t step, uint32_t n,
	float *cos, float *sin);

#ifdef __cplusplus
}
#endif
#endif
