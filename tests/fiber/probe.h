/* probe.h -- the host side of probe.cu.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_FIBER_PROBE_H
#define TESTS_FIBER_PROBE_H
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Every address function of formats/layout/tile_at.h with its number; test_cuda.c holds it to the table. */
/* clang-format off */
#define PROBE_LAYOUTS(X) \
	X(0, rows) X(1, marlin4_a16) X(2, marlin8_a16) X(3, marlin4_a8) X(4, marlin8_a8) \
	X(5, marlin_sf64) X(6, marlin_sf64x) X(7, marlin_sf32) X(8, sf128x4) X(9, sf128x4k) \
	X(10, dg_sf) X(11, block_major_k) X(12, hopper_value) X(13, hopper_scale4) \
	X(14, hopper_scale8) X(15, fi_sm90) X(16, fi_sm90_sf) X(17, fi_sm90_int4) \
	X(18, cutlass_w4a8) X(19, aiter16x16) X(20, aiter_sf) X(21, frag256) X(22, frag128) \
	X(23, frag64) X(24, frag_sf256) X(25, frag_sf128) X(26, frag_sf64) X(27, frag_fp8) \
	X(28, sm110) X(29, ggml)
/* clang-format on */
enum { PROBE_NUMS = 7 };
enum { PROBE_BAD_BARRIER, PROBE_BAD_SHUFFLE, PROBE_BAD_RACE };

int probe_dot(float *y, const float *a, const float *b, uint32_t rows, uint32_t k);
int probe_turn(uint32_t *y, const uint32_t *x, uint32_t n);
int probe_nums(uint32_t *y, const uint32_t *x, uint32_t n);
int probe_place(uint64_t *y, uint32_t which, uint32_t rows, uint32_t cols);
int probe_bad(int which, uint32_t *y);

#ifdef __cplusplus
}
#endif
#endif
