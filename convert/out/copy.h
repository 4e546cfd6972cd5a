/* copy.h -- a file that goes from the source folder to the output as it is, in pieces (a tokenizer may
 * have tens of megabytes), digested on the way.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_OUT_COPY_H
#define CONVERT_OUT_COPY_H
#include "convert/out/outdir.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Its size and SHA-256. A file of that name with the same bytes is left alone; one with others is
 * replaced, after the manifest, which it makes stale, was removed. */
int copy_file(const struct ckpt *c, struct outdir *dir, const char *name, uint64_t *bytes,
	uint8_t sha[32], struct err *e);

#ifdef __cplusplus
}
#endif
#endif
