/* anew.h -- files in which an earlier run was told to stop, and that are begun anew all the same.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_RUN_ANEW_H
#define CONVERT_RUN_ANEW_H
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct run_anew {
	size_t n;
	char name[300];  /* the first of them, below OUT */
	const char *why; /* a literal; what is wrong with that one */
};

#ifdef __cplusplus
}
#endif
#endif
