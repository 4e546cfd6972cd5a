/* place.h -- whose bytes a damaged frame has.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_ARCHIVE_PLACE_H
#define FORMATS_ARCHIVE_PLACE_H
#include "formats/archive/seek.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { PLACE_ROOM = 256 };

/* Says what frame i of the open archive of a file of that name belongs to: "tensor NAME", or "the header". Returns
 * false, with "" in text, where that cannot be told: in files other than .safetensors, and where the header is damaged.
 * It reads the header once more. */
bool place_of_frame(const struct seek *s, size_t i, const struct io *io, int fd, const char *name,
	char text[PLACE_ROOM]);

#ifdef __cplusplus
}
#endif
#endif
