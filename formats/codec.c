/* SPDX-License-Identifier: MIT */
#include "formats/codec.h"

#include "core/mem.h"

#include <string.h>

/* Types of ggml: ggml.h of ggml d99724f, enum ggml_type. */
/* clang-format off */
const struct codec_form codecs[CODEC_COUNT] = {
	/*                    name        expert    code        bits scale        meant      rows cols  codes           scales          gguf second shape zeros what */
	[CODEC_NONE]     = { "unsaid",   NULL,     DT_COUNT,    0, DT_COUNT,   SCALE_NONE,   1,   1, "weight",        NULL,            -1, { NULL, 0, false }, NULL, NULL, "nothing is said" },
	[CODEC_MXFP4]    = { "mxfp4",    "fp4",    DT_I8,       4, DT_F8_E8M0, SCALE_E8M0,   1,  32, "weight",        "scale",         39, { NULL, 0, false }, NULL, NULL, "E2M1 codes, an E8M0 scale for 32 columns of a row" },
	[CODEC_FP8]      = { "fp8",      "fp8",    DT_F8_E4M3,  8, DT_F8_E8M0, SCALE_E8M0, 128, 128, "weight",        "scale",         -1, { NULL, 0, false }, NULL, NULL, "E4M3 codes, an E8M0 scale for 128 x 128" },
	[CODEC_FP8_F32]  = { "fp8-f32",  "fp8",    DT_F8_E4M3,  8, DT_F32,     SCALE_F32,  128, 128, "weight",        "scale",         -1, { NULL, 0, false }, NULL, NULL, "E4M3 codes, an F32 scale for 128 x 128" },
	[CODEC_BF16]     = { "bf16",     NULL,     DT_BF16,    16, DT_COUNT,   SCALE_NONE,   1,   1, "weight",        NULL,            30, { NULL, 0, false }, NULL, NULL, "the upper half of an F32" },
	[CODEC_F32]      = { "f32",      NULL,     DT_F32,     32, DT_COUNT,   SCALE_NONE,   1,   1, "weight",        NULL,             0, { NULL, 0, false }, NULL, NULL, "IEEE 754 binary32" },
	[CODEC_MXFP8]    = { "mxfp8",    NULL,     DT_F8_E4M3,  8, DT_U8,      SCALE_E8M0,   1,  32, "weight",        "weight_scale",  -1, { NULL, 0, false }, NULL, NULL, "E4M3 codes, an E8M0 scale for 32 columns of a row" },
	[CODEC_NVFP4]    = { "nvfp4",    NULL,     DT_U8,       4, DT_F8_E4M3, SCALE_E4M3,   1,  16, "weight",        "weight_scale",  -1, { "weight_scale_2", 0, false }, NULL, NULL, "E2M1 codes, an E4M3 scale for 16 columns of a row, an F32 factor for the matrix (ModelOpt's names)" },
	[CODEC_NVFP4_CT] = { "nvfp4-ct", NULL,     DT_U8,       4, DT_F8_E4M3, SCALE_E4M3,   1,  16, "weight_packed", "weight_scale",  -1, { "weight_global_scale", 1, true }, NULL, NULL, "the same with an F32 divisor for the matrix (compressed-tensors' names)" },
	[CODEC_MXFP4_CT] = { "mxfp4-ct", NULL,     DT_U8,       4, DT_U8,      SCALE_E8M0,   1,  32, "weight_packed", "weight_scale",  -1, { NULL, 0, false }, NULL, NULL, "mxfp4 by compressed-tensors' names" },
	[CODEC_FP8_CT]   = { "fp8-ct",   NULL,     DT_F8_E4M3,  8, DT_F32,     SCALE_F32,  128, 128, "weight",        "weight_scale",  -1, { NULL, 0, false }, NULL, NULL, "fp8-f32 by compressed-tensors' names" },
	[CODEC_FP8_32]   = { "fp8-32",   "fp8",    DT_F8_E4M3,  8, DT_F8_E8M0, SCALE_E8M0,  32,  32, "weight",        "scale",         -1, { NULL, 0, false }, NULL, NULL, "E4M3 codes, an E8M0 scale for 32 x 32" },
	[CODEC_FP8_ROW]  = { "fp8-row",  NULL,     DT_F8_E4M3,  8, DT_F8_E8M0, SCALE_E8M0,   1,  32, "weight",        "scale",         -1, { NULL, 0, false }, NULL, NULL, "E4M3 codes, an E8M0 scale for 32 columns of a row, in V4's names" },
	[CODEC_INT4_128] = { "int4-g128", NULL,    DT_I32,      4, DT_BF16,    SCALE_BF16,   1, 128, "weight_packed", "weight_scale",  -1, { NULL, 0, false }, "weight_shape", NULL, "whole numbers of 4 bits less 8, a BF16 scale for 128 columns of a row" },
	[CODEC_INT4_32]  = { "int4-g32", NULL,     DT_I32,      4, DT_BF16,    SCALE_BF16,   1,  32, "weight_packed", "weight_scale",  -1, { NULL, 0, false }, "weight_shape", NULL, "whole numbers of 4 bits less 8, a BF16 scale for 32 columns of a row" },
	[CODEC_INT8_ROW] = { "int8-channel", NULL, DT_I8,       8, DT_BF16,    SCALE_BF16,   1, CODEC_ALL_COLS, "weight", "weight_scale", -1, { NULL, 0, false }, NULL, NULL, "whole numbers of 8 bits with a sign, a BF16 scale for each row" },
	[CODEC_FP8_CHANNEL] = { "fp8-channel", NULL, DT_F8_E4M3, 8, DT_BF16,   SCALE_BF16,   1, CODEC_ALL_COLS, "weight", "weight_scale", -1, { NULL, 0, false }, NULL, NULL, "E4M3 codes, a BF16 scale for each row" },
	[CODEC_MXFP8_MLX] = { "mxfp8-mlx", NULL,   DT_U32,      8, DT_U8,      SCALE_E8M0,   1,  32, "weight",        "scales",        -1, { NULL, 0, false }, NULL, NULL, "mxfp8 by MLX's names, codes in words of four" },
	[CODEC_MXFP4_MLX] = { "mxfp4-mlx", NULL,   DT_U32,      4, DT_U8,      SCALE_E8M0,   1,  32, "weight",        "scales",        -1, { NULL, 0, false }, NULL, NULL, "mxfp4 by MLX's names, codes in words of eight" },
	[CODEC_INT4_128_ASYM] = { "int4-g128-asym", NULL, DT_I32, 4, DT_BF16,  SCALE_BF16,   1, 128, "weight_packed", "weight_scale",  -1, { NULL, 0, false }, "weight_shape", "weight_zero_point", "whole numbers of 4 bits less a zero point, which 128 columns of a row have with a BF16 scale" },
	[CODEC_INT4_32_ASYM] = { "int4-g32-asym", NULL, DT_I32,  4, DT_BF16,    SCALE_BF16,   1,  32, "weight_packed", "weight_scale",  -1, { NULL, 0, false }, "weight_shape", "weight_zero_point", "whole numbers of 4 bits less a zero point, which 32 columns of a row have with a BF16 scale" },
};
/* clang-format on */

enum codec codec_find(const char *name)
{
	unsigned c;

	for (c = CODEC_NONE + 1; c < CODEC_COUNT; c++)
		if (!strcmp(codecs[c].name, name))
			return (enum codec)c;
	return CODEC_NONE;
}

enum codec codec_of_expert(const char *expert_dtype)
{
	unsigned c;

	for (c = CODEC_NONE + 1; c < CODEC_COUNT; c++)
		if (codecs[c].expert && !strcmp(codecs[c].expert, expert_dtype))
			return (enum codec)c;
	return CODEC_NONE;
}

const char *codec_expert(enum codec c)
{
	return codecs[c].expert ? codecs[c].expert : codecs[CODEC_NONE].name;
}

enum codec codec_of_types(unsigned code, unsigned scale)
{
	unsigned c;

	for (c = CODEC_NONE + 1; c < CODEC_COUNT; c++)
		if (codecs[c].code == code && codecs[c].scale == scale)
			return (enum codec)c;
	return CODEC_NONE;
}

/* Returns how many codes one element of the declared type holds: two in an I8 of MXFP4, eight in an I32. */
static uint64_t packed(enum codec c)
{
	return codecs[c].bits ? dtypes[codecs[c].code].bits / codecs[c].bits : 1;
}

uint64_t codec_cols(enum codec c, uint64_t dim1)
{
	return dim1 * packed(c);
}

uint64_t codec_dim1(enum codec c, uint64_t cols)
{
	return mem_ceil_div(cols, packed(c));
}

uint64_t codec_row_bytes(enum codec c, uint64_t cols)
{
	return mem_ceil_div(cols * codecs[c].bits, 8);
}

void codec_scale_dim(enum codec c, uint64_t rows, uint64_t cols, uint64_t dim[2])
{
	dim[0] = mem_ceil_div(rows, codecs[c].rows);
	dim[1] = mem_ceil_div(cols, codecs[c].cols);
}

void codec_zero_dim(enum codec c, uint64_t rows, uint64_t cols, uint64_t dim[2])
{
	codec_scale_dim(c, rows, cols, dim);
	dim[0] = mem_ceil_div(rows, CODEC_ZERO_ROWS);
}

bool codec_whole(enum codec c, uint64_t rows, uint64_t cols)
{
	return rows % codecs[c].rows == 0 &&
		(codecs[c].cols == CODEC_ALL_COLS || cols % codecs[c].cols == 0);
}
