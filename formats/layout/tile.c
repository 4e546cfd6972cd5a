/* SPDX-License-Identifier: MIT */
#include "formats/layout/tile.h"

#include <string.h>

/* clang-format off */
#define VLLM "vLLM 0.33.0, SGLang"
#define FLASHINFER "FlashInfer 0.6.18"
#define DEEPGEMM "DeepGEMM 54e2261"
#define TRITON "triton_kernels 3.5.1"
#define AITER "AITER e404860"
#define B12X "b12x 1.2.6"
#define HUMMING "Humming 0.1.19"
#define OWN "dsv4-tools"

const struct tile tiles[] = {
	/* name, version, bits, holds, status, slab, units, pads, by_cols, at, twist, untwist, engine, what */
	{ "rows", 1, 8, TILE_FP4, TILE_EXECUTED, 1, 0, 1, 1, false, false, tile_at_rows, NULL, NULL, "all", "as in the checkpoint" },
	{ "marlin4-a16", 1, 4, TILE_FP4, TILE_EXECUTED, 64, 16, 64, 16, false, true, tile_at_marlin4_a16, NULL, NULL, VLLM ", " FLASHINFER, "Marlin 4-bit, 16-bit activations" },
	{ "marlin4-a8", 1, 4, TILE_FP4, TILE_EXECUTED, 32, 32, 32, 32, false, true, tile_at_marlin4_a8, NULL, NULL, VLLM, "Marlin 4-bit, 8-bit activations" },
	{ "marlin8-a16", 1, 8, TILE_FP8, TILE_EXECUTED, 64, 16, 64, 16, false, true, tile_at_marlin8_a16, NULL, NULL, VLLM, "Marlin 8-bit, 16-bit activations" },
	{ "marlin8-a8", 1, 8, TILE_FP8, TILE_EXECUTED, 32, 32, 32, 32, false, true, tile_at_marlin8_a8, NULL, NULL, VLLM, "Marlin 8-bit, 8-bit activations" },
	{ "marlin-sf-a16", 1, 8, TILE_SF, TILE_EXECUTED, 64, 1, 64, 1, false, true, tile_at_marlin_sf64x, NULL, NULL, VLLM ", " FLASHINFER, "Marlin MXFP4 scales, 16-bit activations" },
	{ "marlin-sf-a8", 1, 8, TILE_SF, TILE_EXECUTED, 32, 1, 32, 1, false, true, tile_at_marlin_sf32, NULL, NULL, VLLM, "Marlin MXFP4 scales, 8-bit activations (exponents plus 6 are a codec)" },
	{ "marlin-sf-fp8", 1, 16, TILE_SF128, TILE_EXECUTED, 64, 1, 64, 1, false, true, tile_at_marlin_sf64, NULL, NULL, VLLM, "Marlin FP8 block scales, a BF16 for each row" },
	{ "humming-sf", 1, 8, TILE_SF, TILE_EXECUTED, 64, 1, 64, 1, false, true, tile_at_marlin_sf64, NULL, NULL, HUMMING, "Humming scales, 16-bit activations" },
	{ "sf128x4", 1, 8, TILE_SF, TILE_EXECUTED, 128, 4, 128, 4, true, false, tile_at_sf128x4, NULL, NULL, "CUTLASS, cuBLASLt, cuDNN, " FLASHINFER ", torchao 0.18", "128 x 4 scale atoms, by rows of atoms" },
	{ "sf128x4-kmajor", 1, 8, TILE_SF, TILE_EXECUTED, 128, 4, 128, 4, true, true, tile_at_sf128x4k, NULL, NULL, DEEPGEMM " MegaMoE", "128 x 4 scale atoms, by columns of atoms" },
	{ "deepgemm-sm100-sf", 1, 8, TILE_SF, TILE_EXECUTED, 4, 4, 4, 4, true, true, tile_at_dg_sf, NULL, NULL, DEEPGEMM, "four scales of a row in a word, words by columns" },
	{ "deepgemm-sm90-sf", 1, 32, TILE_SF128, TILE_READ, 1, 0, 1, 1, false, false, tile_at_rows, NULL, NULL, DEEPGEMM, "scales of 128 x 128 as FP32 (a codec), by rows" },
	{ "block-major-k", 1, 8, TILE_FP8, TILE_EXECUTED, 1, 128, 1, 128, false, true, tile_at_block_major_k, NULL, NULL, FLASHINFER, "128 bytes of k of all rows together" },
	{ "triton-hopper", 1, 8, TILE_FP4, TILE_EXECUTED, 16, 0, 16, 32, false, false, tile_at_hopper_value, tile_twist, tile_untwist, TRITON, "HopperMXValueLayout, twisted" },
	{ "triton-hopper-sf-w4", 1, 8, TILE_SF, TILE_EXECUTED, 128, 0, 128, 2, true, false, tile_at_hopper_scale4, NULL, NULL, TRITON, "HopperMXScaleLayout, 4 warps" },
	{ "triton-hopper-sf-w8", 1, 8, TILE_SF, TILE_EXECUTED, 256, 0, 256, 2, true, false, tile_at_hopper_scale8, NULL, NULL, TRITON, "HopperMXScaleLayout, 8 warps" },
	{ "flashinfer-sm90", 1, 8, TILE_FP4, TILE_EMULATED, 16, 0, 16, 32, false, false, tile_at_fi_sm90, tile_twist, tile_untwist, FLASHINFER, "mixed GEMM MXFP4 x BF16, twisted" },
	{ "flashinfer-sm90-sf", 1, 8, TILE_SF, TILE_EXECUTED, 64, 4, 64, 4, false, false, tile_at_fi_sm90_sf, NULL, NULL, FLASHINFER, "its scales, folded: 64 x 4" },
	{ "flashinfer-sm90-int4", 1, 4, TILE_FP4, TILE_EMULATED, 16, 0, 16, 64, false, false, tile_at_fi_sm90_int4, NULL, NULL, FLASHINFER, "mixed GEMM INT4" },
	{ "tensorrt-sm90-sf", 1, 8, TILE_SF, TILE_EMULATED, 4, 4, 4, 4, true, true, tile_at_dg_sf, NULL, NULL, "FlashInfer up to 0.5", "scales of the untouched weights: four of a row in a word" },
	{ "cutlass-w4a8", 1, 4, TILE_FP4, TILE_EXECUTED, 16, 32, 16, 32, false, true, tile_at_cutlass_w4a8, NULL, NULL, "vLLM CUTLASS W4A8", "16 x 32 atoms" },
	{ "aiter-16x16", 1, 8, TILE_FP4, TILE_EXECUTED, 16, 16, 16, 32, false, false, tile_at_aiter16x16, NULL, NULL, AITER, "tiles of 16 rows x 16 bytes" },
	{ "aiter-sf", 1, 8, TILE_SF, TILE_EXECUTED, 32, 8, 256, 8, true, false, tile_at_aiter_sf, NULL, NULL, AITER, "e8m0_shuffle: 32 x 8" },
	{ "b12x-w4a8", 1, 32, TILE_FP4, TILE_EXECUTED, 256, 16, 256, 16, true, false, tile_at_frag256, NULL, NULL, B12X, "tiles of 256 x 128, words of 8 codes move" },
	{ "b12x-w4a8-sf", 1, 8, TILE_SF, TILE_EXECUTED, 256, 4, 256, 4, true, false, tile_at_frag_sf256, NULL, NULL, B12X, "its scales" },
	{ "sm110-mma", 1, 4, TILE_FP4, TILE_EMULATED, 8, 128, 8, 128, false, false, tile_at_sm110, NULL, NULL, "community engine for SM110", "tiles of 8 x 128" },
	{ "ggml-mxfp4", 1, 4, TILE_FP4, TILE_EMULATED, 1, 34, 1, 34, false, false, tile_at_ggml, NULL, NULL, "ggml d99724f", "block_mxfp4: scale byte, codes j and j+16 in a byte" },
	{ "frag-k32-256", 1, 32, TILE_FP4, TILE_OURS, 256, 16, 256, 16, false, false, tile_at_frag256, NULL, NULL, OWN, "T1: tiles of 256 x 128, a lane's words are rows 8 apart" },
	{ "frag-k32-128", 1, 32, TILE_FP4, TILE_OURS, 128, 16, 128, 16, false, false, tile_at_frag128, NULL, NULL, OWN, "T1: tiles of 128 x 128" },
	{ "frag-k32-64", 1, 32, TILE_FP4, TILE_OURS, 64, 16, 64, 16, false, false, tile_at_frag64, NULL, NULL, OWN, "T1: tiles of 64 x 128" },
	{ "frag-k32-sf-256", 1, 8, TILE_SF, TILE_OURS, 256, 4, 256, 4, false, false, tile_at_frag_sf256, NULL, NULL, OWN, "scales of frag-k32-256" },
	{ "frag-k32-sf-128", 1, 8, TILE_SF, TILE_OURS, 128, 4, 128, 4, false, false, tile_at_frag_sf128, NULL, NULL, OWN, "scales of frag-k32-128" },
	{ "frag-k32-sf-64", 1, 8, TILE_SF, TILE_OURS, 64, 4, 64, 4, false, false, tile_at_frag_sf64, NULL, NULL, OWN, "scales of frag-k32-64" },
	{ "frag-k32-fp8", 1, 8, TILE_FP8, TILE_OURS, 128, 128, 128, 128, false, false, tile_at_frag_fp8, NULL, NULL, OWN, "T1 for FP8: 16 x 32 fragments in tiles of 128 x 128" },
};
/* clang-format on */
const unsigned n_tiles = sizeof tiles / sizeof *tiles;

const struct tile *tile_find(const char *name)
{
	unsigned i;

	for (i = 0; i < n_tiles; i++)
		if (!strcmp(tiles[i].name, name))
			return &tiles[i];
	return NULL;
}

struct tile_dim tile_dim(const struct tile *t, uint32_t rows, uint64_t row_bytes)
{
	return (struct tile_dim){ rows, (uint32_t)(row_bytes * 8 / t->bits) };
}

bool tile_fits(const struct tile *t, struct tile_dim d)
{
	return d.rows && d.cols &&
		(t->pads || (d.rows % t->row_unit == 0 && d.cols % t->col_unit == 0));
}

struct tile_grid tile_grid(const struct tile *t, struct tile_dim d)
{
	uint64_t rows = tile_up(d.rows, t->row_unit) * t->row_unit;
	uint64_t cols = tile_up(d.cols, t->col_unit) * t->col_unit;
	struct tile_grid g = { .rows = t->slab_rows ? t->slab_rows : (uint32_t)rows,
		.cols = t->slab_cols ? t->slab_cols : (uint32_t)cols };

	g.down = rows / g.rows;
	g.across = cols / g.cols;
	g.n = g.down * g.across;
	g.bytes = (uint64_t)g.rows * g.cols * t->bits / 8;
	g.stage = t->by_cols ? d.rows : g.rows < d.rows ? g.rows : d.rows;
	return g;
}

uint64_t tile_bytes(const struct tile *t, struct tile_dim d)
{
	struct tile_grid g = tile_grid(t, d);

	return g.n * g.bytes;
}

/* --- element by element --- */

static uint32_t get(const uint8_t *p, uint64_t i, unsigned bits)
{
	uint32_t v = 0;

	if (bits == 4)
		return p[i / 2] >> (i % 2 * 4) & 15;
	memcpy(&v, p + i * (bits / 8), bits / 8); /* little-endian, as the files are */
	return v;
}

static void put(uint8_t *p, uint64_t i, unsigned bits, uint32_t v)
{
	if (bits == 4)
		p[i / 2] = (uint8_t)((p[i / 2] & 15u << (4 - i % 2 * 4)) | v << (i % 2 * 4));
	else
		memcpy(p + i * (bits / 8), &v, bits / 8);
}

/* Slab s: where its rectangle begins, and which of the given rows that is. */
struct corner {
	uint32_t row, col, given;
};

static struct corner corner(const struct tile *t, const struct tile_grid *g, uint64_t s)
{
	struct corner c;

	c.row = (uint32_t)(t->by_cols ? s % g->down : s / g->across) * g->rows;
	c.col = (uint32_t)(t->by_cols ? s / g->down : s % g->across) * g->cols;
	c.given = t->by_cols ? c.row : 0;
	return c;
}

static void pack_slab(const struct tile *t, const struct tile_grid *g, struct tile_dim d,
	const uint8_t *const *row, uint64_t s, uint8_t *out)
{
	struct corner k = corner(t, g, s);
	uint64_t base = s * g->rows * g->cols;
	uint32_t r, c, w;

	memset(out, 0, g->bytes);
	for (r = 0; r < g->rows && k.row + r < d.rows; r++)
		for (c = 0; row[k.given + r] && c < g->cols && k.col + c < d.cols; c++)
			put(out, t->at(d, k.row + r, k.col + c) - base, t->bits,
				get(row[k.given + r], k.col + c, t->bits));
	for (c = 0; t->twist && c < g->bytes; c += 4) {
		memcpy(&w, out + c, 4);
		w = t->twist(w);
		memcpy(out + c, &w, 4);
	}
}

void tile_pack(const struct tile *t, struct tile_dim d, const uint8_t *const *row, uint64_t first,
	uint64_t n, uint8_t *out)
{
	struct tile_grid g = tile_grid(t, d);
	uint64_t i;

	for (i = 0; i < n; i++)
		pack_slab(t, &g, d, row, first + i, out + i * g.bytes);
}

/* An element of a slab, untwisted where that is needed. */
static uint32_t get_out(const struct tile *t, const uint8_t *in, uint64_t at)
{
	uint32_t w;

	if (!t->untwist)
		return get(in, at, t->bits);
	memcpy(&w, in + at * t->bits / 8 / 4 * 4, 4);
	w = t->untwist(w);
	return w >> (at * t->bits % 32) & (t->bits == 4 ? 15u : 255u);
}

void tile_unpack(const struct tile *t, struct tile_dim d, uint8_t *const *row, uint64_t first,
	uint64_t n, const uint8_t *in)
{
	struct tile_grid g = tile_grid(t, d);
	struct corner k;
	uint64_t s, base;
	uint32_t r, c;

	for (s = first; s < first + n; s++, in += g.bytes) {
		k = corner(t, &g, s);
		base = s * g.rows * g.cols;
		for (r = 0; r < g.rows && k.row + r < d.rows; r++)
			for (c = 0; row[k.given + r] && c < g.cols && k.col + c < d.cols; c++)
				put(row[k.given + r], k.col + c, t->bits,
					get_out(t, in, t->at(d, k.row + r, k.col + c) - base));
	}
}
