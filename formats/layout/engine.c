/* SPDX-License-Identifier: MIT */
#include "formats/layout/engine.h"

#include "formats/st/safetensors.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
const struct engine engines[] = {
	{ "frag-k32", "frag-k32", "frag-k32-sf", "gate-up", "same", DT_I32, DT_F8_E8M0, "N/T,K/128,T*16", "N/T,KP,T*4", 0, 254, false,
		"own: one tile for mma.sync and wgmma from SM80 on, whole words of the checkpoint" },
	{ "kmajor-sf128", "rows", "sf128x4", "gate-up", "same", DT_I8, DT_F8_E8M0, "N,K/2", "N~128,KB~4", 0, 254, false,
		"own: plain rows and 128 x 4 scale atoms, for SM100 and block-scaled GEMM" },
	{ "marlin-mxfp4", "marlin4-a16", "marlin-sf-a16", "gate-up", "same", DT_I32, DT_F8_E8M0, "K/16,N*2", "KB,N", 1, 254, false,
		"vLLM and SGLang Marlin, SM80 to SM121, 16-bit activations" },
	{ "trtllm-mxfp4", "rows", "sf128x4", "up-gate-trtllm", "trtllm", DT_U8, DT_F8_E4M3, "N,K/2", "N~128,KB~4", 0, 254, false,
		"FlashInfer and TensorRT-LLM trtllm-gen, SM100 and SM103" },
	{ "deepgemm-sm100", "rows", "deepgemm-sm100-sf", "gate-up", "same", DT_I8, DT_I32, "N,K/2", "KB~4/4,N~4", 0, 254, false,
		"DeepGEMM FP8 x FP4, SM100; scales as packed UE8M0, in memory order (the view is transposed)" },
	{ "megamoe", "rows", "sf128x4-kmajor", "gate-up-by-8", "same", DT_I8, DT_I32, "N,K/2", "KB~4/4,N~128", 0, 254, false,
		"DeepGEMM MegaMoE, SM100; scales as packed UE8M0 for UTCCP" },
	{ "aiter-mxfp4", "aiter-16x16", "aiter-sf", "gate-up-by-16", "same", DT_U8, DT_F8_E8M0, "N,K/2", "N~256,KB~8", 0, 254, false,
		"AITER a16w4, MI300 and MI355" },
	{ "b12x-w4a8", "b12x-w4a8", "b12x-w4a8-sf", "up-gate", "same", DT_U8, DT_U8, "N~256/256,K/128,16384", "N~256/256,K/128,1024", 0, 247, false,
		"b12x, SM120 and SM121, FP8 activations" },
	{ "triton-hopper", "triton-hopper", "triton-hopper-sf-w8", "gate-up-by-1", "same", DT_U8, DT_U8, "N/4,K*2", "N~256/32,KB~2*32", 0, 254, false,
		"triton_kernels, SM90, 8 warps" },
	{ "flashinfer-sm90", "flashinfer-sm90", "flashinfer-sm90-sf", "up-gate", "same", DT_U8, DT_U8, "N,K/2", "N/64,KB/4,16,16", 0, 254, false,
		"FlashInfer cutlass mixed GEMM, MXFP4 x BF16, SM90" },
	{ "flashinfer-sm100", "rows", "sf128x4", "up-gate", "same", DT_U8, DT_U8, "N,K/2", "N~128,KB~4", 0, 254, true,
		"FlashInfer cutlass_fused_moe, MXFP4 x MXFP8, SM100 and SM120" },
};
/* clang-format on */
const unsigned n_engines = sizeof engines / sizeof *engines;

const struct engine *engine_find(const char *name)
{
	unsigned i;

	for (i = 0; i < n_engines; i++)
		if (!strcmp(engines[i].name, name))
			return &engines[i];
	return NULL;
}

/* --- shapes: factors joined by * and /, a field or number each, with ~ and a number to round up --- */

static uint64_t number(const char **p)
{
	uint64_t v = 0;

	for (; **p >= '0' && **p <= '9'; ++*p)
		v = v * 10 + (uint64_t)(**p - '0');
	return v;
}

static uint64_t factor(const char **p, const struct tile *t, uint64_t n, uint64_t k)
{
	uint64_t v = 1, unit;

	if (**p >= '0' && **p <= '9')
		return number(p);
	if (!strncmp(*p, "KB", 2) || !strncmp(*p, "KP", 2)) {
		v = (*p)[1] == 'B' ? k / 32 : k / 128;
		*p += 2;
	} else {
		v = **p == 'N' ? n : **p == 'K' ? k : t->slab_rows;
		++*p;
	}
	if (**p == '~') {
		++*p;
		unit = number(p);
		v = (v + unit - 1) / unit * unit;
	}
	return v;
}

/* The dimensions; their number. */
static uint8_t shape_of(const char *p, const struct tile *t, uint64_t n, uint64_t k, uint64_t *dim)
{
	uint8_t rank = 0;
	char op;

	for (;;) {
		dim[rank] = factor(&p, t, n, k);
		while (*p == '*' || *p == '/') {
			op = *p++;
			if (op == '*')
				dim[rank] *= factor(&p, t, n, k);
			else
				dim[rank] /= factor(&p, t, n, k);
		}
		rank++;
		if (*p++ != ',')
			return rank;
	}
}

/* --- */

/* The layout itself, or of a family the one with the largest tile that divides the rows. */
static const struct tile *pick(const char *name, uint32_t rows)
{
	static const unsigned size[] = { 256, 128, 64 };
	const struct tile *t = tile_find(name);
	char sized[64];
	unsigned i;

	for (i = 0; !t && i < 3; i++) {
		if (rows % size[i] && size[i] != 64)
			continue;
		snprintf(sized, sizeof sized, "%s-%u", name, size[i]);
		t = tile_find(sized);
	}
	return t;
}

bool engine_fit(const struct engine *g, enum engine_part part, bool scale, uint32_t n, uint32_t k,
	struct engine_fit *fit, char *why, size_t room)
{
	const struct tile *t = pick(scale ? g->scales : g->values, n);
	uint64_t size = 0;

	memset(fit, 0, sizeof *fit);
	fit->tile = t;
	fit->map = rowmap_find(part == ENGINE_W13 ? g->w13 : g->w2);
	fit->dim = tile_dim(t, n, scale ? k / 32 : k / 2);
	if (k % 32 || !tile_fits(t, fit->dim) || n % (fit->map->parts * fit->map->unit)) {
		snprintf(why, room,
			"an expert is %u x %u for a rank, %s takes rows by %u and columns by %u (rows %s)",
			n, k, t->name, t->row_unit > fit->map->unit ? t->row_unit : fit->map->unit,
			scale                                    ? t->col_unit * 32
				: t->col_unit * t->bits / 4 > 32 ? t->col_unit * t->bits / 4
								 : 32,
			fit->map->name);
		return false;
	}
	fit->bytes = tile_bytes(t, fit->dim);
	fit->dtype = scale ? g->scale_dtype : g->dtype;
	fit->rank = shape_of(scale ? g->scale_shape : g->shape, t, n, k, fit->shape);
	if (!st_bytes(fit->dtype, fit->shape, fit->rank, &size) || size != fit->bytes) {
		snprintf(why, room, "an expert is %u x %u for a rank, which %s has no shape for", n,
			k, g->name);
		return false;
	}
	return true;
}
