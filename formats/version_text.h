/* version_text.h -- what a tool says of itself: its version, the compiler, the libraries, the processor and the ways
 * that are taken on it. As text, or as a JSON document (dsv4-version-1, docs/schema/version.json).
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_VERSION_TEXT_H
#define FORMATS_VERSION_TEXT_H
#include "core/text.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A way that a tool takes for a thing, beside those for SHA-256. */
struct version_way {
	const char *thing, *way; /* "FP4 to FP8", "avx-512"; a NULL thing ends a list */
};

/* ways may be NULL. Appends to out. */
void version_put(struct text *out, const char *tool, const struct version_way *ways, bool json);

#ifdef __cplusplus
}
#endif
#endif
