/* tile_at.h -- where each element of a matrix lies in a layout that a kernel loads: one function for
 * each layout, compiled by C and by CUDA alike.
 *
 * Not the table of layouts (tile.h), and no loop: this is the meaning, everything fast is compared
 * with it. A function takes the size of the matrix and a row and column, all in elements of the
 * layout (nibbles, bytes, 16- or 32-bit words), and says which element of the result it becomes.
 * What is rounded up says so: such a function returns places beyond rows * cols.
 *
 * Closed forms of our own, from the kernels that formats/layout/tile.c names; docs/layouts.md draws them.
 * Row n, column k; "/" rounds down.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_LAYOUT_TILE_AT_H
#define FORMATS_LAYOUT_TILE_AT_H
#include <stdint.h>

#ifdef __CUDACC__
#define TILE_FN static __host__ __device__ inline
#else
#define TILE_FN static inline
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct tile_dim {
	uint32_t rows, cols;
};

/* n in units of u, rounded up. */
TILE_FN uint64_t tile_up(uint32_t n, uint32_t u)
{
	return ((uint64_t)n + u - 1) / u;
}

TILE_FN uint64_t tile_at_rows(struct tile_dim d, uint32_t r, uint32_t c)
{
	return (uint64_t)r * d.cols + c;
}

/* --- Marlin: tiles of 16 x 64 or 32 x 32, k outside, n inside; a lane loads 16 bytes --- */

/* 4 bits, 16-bit activations: nibble of word 4g+t, w holds p (k parity), h (row half), u (k half). */
TILE_FN uint64_t tile_at_marlin4_a16(struct tile_dim d, uint32_t n, uint32_t k)
{
	uint64_t tile = (uint64_t)(k / 16) * (d.rows / 64) + n / 64;
	uint32_t w = n % 64 / 16, h = n % 16 / 8, g = n % 8;
	uint32_t t = k % 8 / 2, p = k % 2, u = k % 16 / 8;

	return (tile * 128 + (4 * g + t) * 4 + w) * 8 + 4 * p + 2 * h + u;
}

/* 8 bits, 16-bit activations. */
TILE_FN uint64_t tile_at_marlin8_a16(struct tile_dim d, uint32_t n, uint32_t k)
{
	uint64_t tile = (uint64_t)(k / 16) * (d.rows / 64) + n / 64;
	uint32_t w = n % 64 / 16, h = n % 16 / 8, g = n % 8;
	uint32_t t = k % 8 / 2, p = k % 2, u = k % 16 / 8;

	return (tile * 256 + (4 * g + t) * 8 + 2 * w + h) * 4 + 2 * p + u;
}

/* 4 bits, 8-bit activations. */
TILE_FN uint64_t tile_at_marlin4_a8(struct tile_dim d, uint32_t n, uint32_t k)
{
	uint64_t tile = (uint64_t)(k / 32) * (d.rows / 32) + n / 32;
	uint32_t w = n % 32 / 8, g = n % 8, u = k % 32 / 16, t = k % 16 / 4, i = k % 4;

	return ((tile * 128 + (4 * g + t) * 4 + w) * 4 + i) * 2 + u;
}

/* 8 bits, 8-bit activations. */
TILE_FN uint64_t tile_at_marlin8_a8(struct tile_dim d, uint32_t n, uint32_t k)
{
	uint64_t tile = (uint64_t)(k / 32) * (d.rows / 32) + n / 32;
	uint32_t w = n % 32 / 8, g = n % 8, u = k % 32 / 16, t = k % 16 / 4, i = k % 4;

	return (tile * 256 + (4 * g + t) * 8 + 2 * w + u) * 4 + i;
}

/* Scales, transposed, in runs of 64 rows: transposed as 8 x 8. */
TILE_FN uint64_t tile_at_marlin_sf64(struct tile_dim d, uint32_t n, uint32_t kb)
{
	return (uint64_t)kb * d.rows + (n - n % 64) + 8 * (n % 8) + n % 64 / 8;
}

/* The same, and of four neighbours the middle two swapped: 0 2 1 3. */
TILE_FN uint64_t tile_at_marlin_sf64x(struct tile_dim d, uint32_t n, uint32_t kb)
{
	uint32_t q = 8 * (n % 8) + n % 64 / 8, low = q % 4;

	return (uint64_t)kb * d.rows + (n - n % 64) + (q - low) +
		(low == 1                  ? 2
				: low == 2 ? 1
					   : low);
}

/* Scales for 8-bit activations: runs of 32 rows. */
TILE_FN uint64_t tile_at_marlin_sf32(struct tile_dim d, uint32_t n, uint32_t kb)
{
	return (uint64_t)kb * d.rows + (n - n % 32) + 8 * (n % 8 / 2) + 2 * (n % 32 / 8) + n % 2;
}

/* --- the 128 x 4 scale atom: 512 bytes that one copy brings to tensor memory --- */

TILE_FN uint64_t tile_atom128x4(uint32_t n, uint32_t kb)
{
	return (n % 32) * 16 + n % 128 / 32 * 4 + kb % 4;
}

/* Atoms by rows of atoms: CUTLASS, cuBLASLt, FlashInfer. Rounded up to whole atoms. */
TILE_FN uint64_t tile_at_sf128x4(struct tile_dim d, uint32_t n, uint32_t kb)
{
	return ((n / 128) * tile_up(d.cols, 4) + kb / 4) * 512 + tile_atom128x4(n, kb);
}

/* Atoms by columns of atoms: DeepGEMM MegaMoE. */
TILE_FN uint64_t tile_at_sf128x4k(struct tile_dim d, uint32_t n, uint32_t kb)
{
	return ((kb / 4) * tile_up(d.rows, 128) + n / 128) * 512 + tile_atom128x4(n, kb);
}

/* --- DeepGEMM: four scales of a row in a word, words by columns; rows rounded up to 4 --- */

TILE_FN uint64_t tile_at_dg_sf(struct tile_dim d, uint32_t n, uint32_t kb)
{
	return ((kb / 4) * (tile_up(d.rows, 4) * 4) + n) * 4 + kb % 4;
}

/* --- trtllm-gen: blocks of 128 bytes of k, all rows of one after the other --- */

TILE_FN uint64_t tile_at_block_major_k(struct tile_dim d, uint32_t n, uint32_t c)
{
	return (uint64_t)(c / 128) * d.rows * 128 + (uint64_t)n * 128 + c % 128;
}

/* --- Hopper, mixed input: bytes of rows n and n+8, columns b and b+4 in a word (then twisted) --- */

/* triton_kernels HopperMXValueLayout; columns are bytes. */
TILE_FN uint64_t tile_at_hopper_value(struct tile_dim d, uint32_t n, uint32_t b)
{
	uint64_t row = 4 * (uint64_t)(n / 16) + n % 8 / 2;
	uint64_t col = 128 * (uint64_t)(b / 32) + 64 * (n % 2) + 16 * (b % 4) + 4 * (b % 32 / 8) +
		2 * (b % 8 / 4) + n % 16 / 8;

	return row * (4 * (uint64_t)d.cols) + col;
}

/* triton_kernels HopperMXScaleLayout for w warps: 32w rows a block, two columns together. */
TILE_FN uint64_t tile_hopper_scale(struct tile_dim d, uint32_t n, uint32_t kb, uint32_t w)
{
	uint32_t x = n % (32 * w), a = x / (16 * w), q = x % (16 * w) / 16;
	uint32_t h = x % 16 / 8, c = x % 8;
	uint64_t row = (uint64_t)(n / (32 * w)) * w + q;
	uint64_t col = (((2 * (uint64_t)(kb / 2) + a) * 8 + c) * 2 + kb % 2) * 2 + h;

	return row * (64 * tile_up(d.cols, 2)) + col;
}

TILE_FN uint64_t tile_at_hopper_scale4(struct tile_dim d, uint32_t n, uint32_t kb)
{
	return tile_hopper_scale(d, n, kb, 4);
}

TILE_FN uint64_t tile_at_hopper_scale8(struct tile_dim d, uint32_t n, uint32_t kb)
{
	return tile_hopper_scale(d, n, kb, 8);
}

/* FlashInfer, MXFP4 x BF16; columns are bytes. */
TILE_FN uint64_t tile_at_fi_sm90(struct tile_dim d, uint32_t r, uint32_t b)
{
	uint64_t n = 16 * (uint64_t)(r / 16) + r % 8 + 8 * (b % 32 / 8 % 2);
	uint32_t c =
		32 * (b / 32) + 16 * (b % 32 / 16) + 4 * (b % 4) + 2 * (b % 8 / 4) + r % 16 / 8;

	return n * d.cols + c;
}

/* Its scales, folded: 64 rows x 4 columns. */
TILE_FN uint64_t tile_at_fi_sm90_sf(struct tile_dim d, uint32_t n, uint32_t kb)
{
	uint64_t block = (uint64_t)(n / 64) * (d.cols / 4) + kb / 4;

	return (block * 16 + n % 16) * 16 + n % 64 / 16 * 4 + kb % 4;
}

/* FlashInfer, INT4: 16-bit units; columns are nibbles. */
TILE_FN uint64_t tile_at_fi_sm90_int4(struct tile_dim d, uint32_t n, uint32_t k)
{
	uint32_t u = k / 4, part = u / 16, lane = u % 16;
	uint64_t unit = (16 * (uint64_t)(n / 16) + n % 8 + 8 * (lane % 8 / 4)) * (d.cols / 4) +
		16 * (uint64_t)part + 8 * (lane / 8) + 2 * (lane % 4) + n % 16 / 8;

	return unit * 4 + k % 4;
}

/* vLLM CUTLASS W4A8: atoms of 16 rows x 32 columns, n inside; columns are nibbles. */
TILE_FN uint64_t tile_at_cutlass_w4a8(struct tile_dim d, uint32_t n, uint32_t k)
{
	uint64_t atom = (uint64_t)(k / 32) * (d.rows / 16) + n / 16;

	return atom * 512 + (4 * (n % 8) + k % 16 / 4) * 16 + 8 * (k % 32 / 16) + 4 * (n % 16 / 8) +
		k % 4;
}

/* --- AITER: 16 rows x 16 bytes; scales 32 rows x 8 --- */

TILE_FN uint64_t tile_at_aiter16x16(struct tile_dim d, uint32_t n, uint32_t b)
{
	return ((uint64_t)(n / 16) * (d.cols / 16) + b / 16) * 256 + (n % 16) * 16 + b % 16;
}

TILE_FN uint64_t tile_at_aiter_sf(struct tile_dim d, uint32_t n, uint32_t kb)
{
	uint64_t block = (n / 32) * tile_up(d.cols, 8) + kb / 8;

	return (block * 64 + (kb % 4) * 16 + n % 16) * 4 + 2 * (kb % 8 / 4) + n % 32 / 16;
}

/* --- frag-k32, and b12x W4A8, which is the same with 256 rows: whole words of 8 codes move, so that a
 * lane's four words are rows 8 apart --- */

/* Columns are words of 8 nibbles; tile of 32a rows x 128 codes. */
TILE_FN uint64_t tile_frag_k32(struct tile_dim d, uint32_t n, uint32_t w, uint32_t a)
{
	uint32_t rows = 32 * a, q = w % 16 / 4, t = w % 4;
	uint64_t tile = (n / rows) * tile_up(d.cols, 16) + w / 16;

	return (((tile * 4 + q) * a + n % rows / 32) * 32 + 4 * (n % 8) + t) * 4 + n % 32 / 8;
}

TILE_FN uint64_t tile_at_frag256(struct tile_dim d, uint32_t n, uint32_t w)
{
	return tile_frag_k32(d, n, w, 8);
}

TILE_FN uint64_t tile_at_frag128(struct tile_dim d, uint32_t n, uint32_t w)
{
	return tile_frag_k32(d, n, w, 4);
}

TILE_FN uint64_t tile_at_frag64(struct tile_dim d, uint32_t n, uint32_t w)
{
	return tile_frag_k32(d, n, w, 2);
}

/* Its scales: those of a tile together, four of a row in a word. */
TILE_FN uint64_t tile_frag_sf(struct tile_dim d, uint32_t n, uint32_t kb, uint32_t rows)
{
	return ((n / rows) * tile_up(d.cols, 4) + kb / 4) * 4 * rows + (n % rows) * 4 + kb % 4;
}

TILE_FN uint64_t tile_at_frag_sf256(struct tile_dim d, uint32_t n, uint32_t kb)
{
	return tile_frag_sf(d, n, kb, 256);
}

TILE_FN uint64_t tile_at_frag_sf128(struct tile_dim d, uint32_t n, uint32_t kb)
{
	return tile_frag_sf(d, n, kb, 128);
}

TILE_FN uint64_t tile_at_frag_sf64(struct tile_dim d, uint32_t n, uint32_t kb)
{
	return tile_frag_sf(d, n, kb, 64);
}

/* The FP8 companion: fragments of 16 rows x 32 codes in tiles of 128 x 128. */
TILE_FN uint64_t tile_at_frag_fp8(struct tile_dim d, uint32_t n, uint32_t k)
{
	uint64_t tile = (uint64_t)(n / 128) * (d.cols / 128) + k / 128;
	uint64_t frag = (tile * 4 + k % 128 / 32) * 8 + n % 128 / 16;

	return (frag * 32 + 4 * (n % 8) + k % 32 / 8) * 16 + 8 * (n % 16 / 8) + k % 8;
}

/* --- a community engine for SM110: 8 rows x 128 columns; columns are nibbles --- */

TILE_FN uint64_t tile_at_sm110(struct tile_dim d, uint32_t n, uint32_t k)
{
	uint64_t tile = (uint64_t)(n / 8) * (d.cols / 128) + k / 128;
	uint64_t byte =
		tile * 512 + (4 * (n % 8) + k % 8 / 2) * 16 + 2 * (k % 128 / 16) + k % 16 / 8;

	return byte * 2 + k % 2;
}

/* --- ggml block_mxfp4: 17 bytes for 32 codes; a row of the matrix is such blocks with the codes in
 * their order, and of those j and j+16 come together; columns are nibbles --- */

TILE_FN uint64_t tile_at_ggml(struct tile_dim d, uint32_t n, uint32_t c)
{
	uint32_t in = c % 34, j = in - 2;

	return (uint64_t)n * d.cols + (c - in) + (in < 2 ? in : 2 + 2 * (j % 16) + j / 16);
}

/* --- the twist of Hopper mixed input: bits of a word go where one mask and shift finds them --- */

/* Nibble x as a half word: sign to 15, the rest to 8..6; and the fourth: sign 14, 11..10, 13. */
TILE_FN uint32_t tile_twist_c(uint32_t x)
{
	return (x >> 3) << 15 | (x & 7) << 6;
}

TILE_FN uint32_t tile_twist_d(uint32_t x)
{
	return (x >> 3) << 14 | (x >> 1 & 3) << 10 | (x & 1) << 13;
}

TILE_FN uint32_t tile_twist(uint32_t v)
{
	uint32_t out = tile_twist_d(v >> 24 & 15) | tile_twist_d(v >> 28) << 16, i, b;

	for (i = 0; i < 3; i++) {
		b = v >> (8 * i);
		out |= (tile_twist_c(b & 15) | tile_twist_c(b >> 4 & 15) << 16) >> (3 * i);
	}
	return out;
}

TILE_FN uint32_t tile_untwist(uint32_t w)
{
	uint32_t out = 0, i, half, x;

	for (i = 0; i < 8; i++) {
		half = i % 2 ? w >> 16 : w & 0xffff;
		if (i < 6)
			x = (half << (3 * (i / 2)) >> 15 & 1) << 3 |
				(half << (3 * (i / 2)) >> 6 & 7);
		else
			x = (half >> 14 & 1) << 3 | (half >> 10 & 3) << 1 | (half >> 13 & 1);
		out |= x << (4 * i);
	}
	return out;
}

#ifdef __cplusplus
}
#endif
#endif
