/* le32.h -- the little-endian numbers of four bytes of which headers of frames, seek tables and forms are made.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_ARCHIVE_LE32_H
#define FORMATS_ARCHIVE_LE32_H
#include <stdint.h>

/* Returns the number in the four bytes at p, which need no alignment. */
static inline uint32_t le32_get(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Puts v into the four bytes at p, which need no alignment. */
static inline void le32_set(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
	p[2] = (uint8_t)(v >> 16);
	p[3] = (uint8_t)(v >> 24);
}
#endif
