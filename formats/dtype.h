/* dtype.h -- element types as safetensors 0.8 names them.
 *
 * The order is the one in which the official writer ranks types (it sorts tensors by descending
 * rank, then by name); it was read off safetensors 0.8.0 by writing one tensor of each type.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_DTYPE_H
#define FORMATS_DTYPE_H
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum dtype {
	DT_BOOL,
	DT_F4, /* E2M1; two in a byte, the first in the low nibble; shapes count elements */
	DT_F6_E2M3,
	DT_F6_E3M2,
	DT_U8,
	DT_I8, /* in DeepSeek-V4 checkpoints: two FP4 codes, see docs/format.md */
	DT_F8_E5M2,
	DT_F8_E4M3,
	DT_F8_E8M0,
	DT_F8_E4M3FNUZ,
	DT_F8_E5M2FNUZ,
	DT_I16,
	DT_U16,
	DT_F16,
	DT_BF16,
	DT_I32,
	DT_U32,
	DT_F32,
	DT_C64,
	DT_F64,
	DT_I64,
	DT_U64,
	DT_COUNT
};

struct dtype_row {
	const char *name;  /* in headers */
	unsigned bits;     /* of one element */
	const char *since; /* first safetensors release that knows it */
};
extern const struct dtype_row dtypes[DT_COUNT];

/* The type of that name (n bytes), or -1. */
int dtype_find(const char *name, size_t n);

#ifdef __cplusplus
}
#endif
#endif
