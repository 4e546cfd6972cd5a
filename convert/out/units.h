/* units.h -- of the files of a conversion, those that this process makes while others make the rest.
 *
 * A run that has a struct run_units makes what is in it and nothing else: no small file, no manifest. It works in a folder
 * of its own, and whoever calls moves each file on as soon as it is published there.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_OUT_UNITS_H
#define CONVERT_OUT_UNITS_H
#include "core/err.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct output;

/* folder is an index into the folders of the conversion, file one into the files of that folder's plan. Any thread calls
 * take and done. */
struct run_units {
	void *ctx;
	/* Returns whether the file is to be made; it is asked more than once and says the same. */
	bool (*mine)(void *ctx, size_t folder, size_t file);
	/* The file is about to be begun. *yes: it is made; else it is left out. */
	int (*take)(void *ctx, size_t folder, size_t file, bool *yes, struct err *e);
	/* The file, its sidecar and what its casts dropped have their names in the folder that the run writes to. */
	int (*done)(void *ctx, size_t folder, size_t file, const struct output *o, struct err *e);
};

#ifdef __cplusplus
}
#endif
#endif
