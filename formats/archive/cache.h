/* cache.h -- the frames that were unpacked last, for any number of threads.
 *
 * A frame is unpacked by the first thread that needs it; others that need the same one wait for it, and for another one
 * do not. What was not used for longest makes room.
 *
 * Memory: CACHE_SLOTS frames of at most FRAME_MOST bytes, and for each that is being unpacked as much again.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_ARCHIVE_CACHE_H
#define FORMATS_ARCHIVE_CACHE_H
#include "formats/archive/seek.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CACHE_SLOTS = 32 };

struct cache; /* owns its frames */

/* Returns an empty one, NULL when memory is out. */
struct cache *cache_new(void);
void cache_free(struct cache *c);
/* Copies n bytes from byte skip of frame i on, all of which it has. The frame is that of an open archive whose number
 * is serial: no other archive ever has the same. Returns -1 where it cannot be read (seek_load). */
int cache_read(struct cache *c, uint64_t serial, const struct seek *s, size_t i,
	const struct io *io, int fd, void *buf, size_t skip, size_t n, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
