/* passing.h -- the operations of archive_io.h that go to the system as they are, unless they would change an archive.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_ARCHIVE_PASSING_H
#define FORMATS_ARCHIVE_PASSING_H
#include "core/io.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct passing {
	struct io io;          /* first */
	const struct io *base; /* borrows; where calls go */
	/* Whether dir is a folder of an archive; io is that of this struct. */
	bool (*is_archive)(const struct io *io, int dir);
};

/* Fills those operations of p->io that passing.c has. */
void passing_fill(struct passing *p);

#ifdef __cplusplus
}
#endif
#endif
