/* readback.h -- what was published, read from the disk again and held to the digests that it was written with.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_RUN_READBACK_H
#define CONVERT_RUN_READBACK_H
#include "convert/run/folders.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Syncs file i of d, which is published or kept, its sidecar and what its casts dropped, and their folder; lets go of what memory holds of
 * them, and reads them. Returns -1 where a name does not lead to the file that was published (out.race) or bytes are not as their SHA-256 says
 * (check.sha256). */
int readback_file(const struct out_folder *d, size_t i, struct err *e);
/* The same of the file name in the open folder dir, of that size and digest. */
int readback_small(const struct io *io, int dir, const char *name, uint64_t bytes,
	const uint8_t sha256[32], struct err *e);

#ifdef __cplusplus
}
#endif
#endif
