/* SPDX-License-Identifier: MIT */
#include "formats/dtype.h"

#include <string.h>

/* clang-format off */
const struct dtype_row dtypes[DT_COUNT] = {
	[DT_BOOL]        = { "BOOL",         8, "0.1" },
	[DT_F4]          = { "F4",           4, "0.6.0" },
	[DT_F6_E2M3]     = { "F6_E2M3",      6, "0.6.0" },
	[DT_F6_E3M2]     = { "F6_E3M2",      6, "0.6.0" },
	[DT_U8]          = { "U8",           8, "0.1" },
	[DT_I8]          = { "I8",           8, "0.1" },
	[DT_F8_E5M2]     = { "F8_E5M2",      8, "0.4.1" },
	[DT_F8_E4M3]     = { "F8_E4M3",      8, "0.4.1" },
	[DT_F8_E8M0]     = { "F8_E8M0",      8, "0.6.0" },
	[DT_F8_E4M3FNUZ] = { "F8_E4M3FNUZ",  8, "0.8.0" },
	[DT_F8_E5M2FNUZ] = { "F8_E5M2FNUZ",  8, "0.8.0" },
	[DT_I16]         = { "I16",         16, "0.1" },
	[DT_U16]         = { "U16",         16, "0.3" },
	[DT_F16]         = { "F16",         16, "0.1" },
	[DT_BF16]        = { "BF16",        16, "0.1" },
	[DT_I32]         = { "I32",         32, "0.1" },
	[DT_U32]         = { "U32",         32, "0.3" },
	[DT_F32]         = { "F32",         32, "0.1" },
	[DT_C64]         = { "C64",         64, "0.7.0" },
	[DT_F64]         = { "F64",         64, "0.1" },
	[DT_I64]         = { "I64",         64, "0.1" },
	[DT_U64]         = { "U64",         64, "0.3" },
};
/* clang-format on */

int dtype_find(const char *name, size_t n)
{
	int t;

	for (t = 0; t < DT_COUNT; t++)
		if (strlen(dtypes[t].name) == n && !memcmp(dtypes[t].name, name, n))
			return t;
	return -1;
}
