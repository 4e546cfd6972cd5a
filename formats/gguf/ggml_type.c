/* SPDX-License-Identifier: MIT */
#include "formats/gguf/ggml_type.h"

#include <stddef.h>

/* clang-format off */
const struct ggml_type_row ggml_types[] = {
	{  0, "F32",       1,   4 },
	{  1, "F16",       1,   2 },
	{  2, "Q4_0",     32,  18 },
	{  3, "Q4_1",     32,  20 },
	{  6, "Q5_0",     32,  22 },
	{  7, "Q5_1",     32,  24 },
	{  8, "Q8_0",  GGML_Q8_0_ITEMS, GGML_Q8_0_BYTES },
	{  9, "Q8_1",     32,  36 },
	{ 10, "Q2_K",    256,  84 },
	{ 11, "Q3_K",    256, 110 },
	{ 12, "Q4_K",    256, 144 },
	{ 13, "Q5_K",    256, 176 },
	{ 14, "Q6_K",    256, 210 },
	{ 15, "Q8_K",    256, 292 },
	{ 16, "IQ2_XXS", 256,  66 },
	{ 17, "IQ2_XS",  256,  74 },
	{ 18, "IQ3_XXS", 256,  98 },
	{ 19, "IQ1_S",   256,  50 },
	{ 20, "IQ4_NL",   32,  18 },
	{ 21, "IQ3_S",   256, 110 },
	{ 22, "IQ2_S",   256,  82 },
	{ 23, "IQ4_XS",  256, 136 },
	{ 24, "I8",        1,   1 },
	{ 25, "I16",       1,   2 },
	{ 26, "I32",       1,   4 },
	{ 27, "I64",       1,   8 },
	{ 28, "F64",       1,   8 },
	{ 29, "IQ1_M",   256,  56 },
	{ 30, "BF16",      1,   2 },
	{ 34, "TQ1_0",   256,  54 },
	{ 35, "TQ2_0",   256,  66 },
	{ 39, "MXFP4", GGML_MXFP4_ITEMS, GGML_MXFP4_BYTES },
	{ 40, "NVFP4",    64,  36 },
	{ 41, "Q1_0",    128,  18 },
	{ 42, "Q2_0",     64,  18 },
	{  0, NULL,        0,   0 },
};
/* clang-format on */

const struct ggml_type_row *ggml_type_find(uint32_t type)
{
	const struct ggml_type_row *r;

	for (r = ggml_types; r->name; r++)
		if (r->type == type)
			return r;
	return NULL;
}

const char *ggml_type_name(uint32_t type)
{
	const struct ggml_type_row *r = ggml_type_find(type);

	return r ? r->name : "?";
}
