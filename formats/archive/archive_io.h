/* archive_io.h -- a table of I/O (core/io.h) through which archives are read as the folders that they restore.
 *
 *	open DIR    notes whether dsv4-archive.json lies in it; the folders below are then the archive's too
 *	open NAME   NAME.zst, or NAME.zst-e8m0 where it has a filter, if the list has NAME; NAME itself where that is there in its place
 *	list, lstat NAME for NAME.zst, with the size of what it restores; dsv4-archive.json is not shown
 *
 * A file that is damaged fails with EILSEQ, and io->fault says how: which file, frame and tensor. A file that is there as NAME
 * and as NAME.zst fails in the same way: nobody can tell which one is meant. Archives are not written to: EROFS. All other
 * files and folders go to the system as they are. Any number of threads may use it.
 *
 * Memory: the lists and seek tables of what is open, and the frames of cache.h.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_ARCHIVE_ARCHIVE_IO_H
#define FORMATS_ARCHIVE_ARCHIVE_IO_H
#include "core/err.h"
#include "formats/archive/listing.h"
#include "formats/archive/passing.h"

#ifdef __cplusplus
extern "C" {
#endif

struct archive_state;
/* Zeroed = none. */
struct archive_io {
	struct passing pass;     /* first: its io is what is handed around */
	struct archive_state *s; /* owns */
};

/* Fills *a over base and returns &a->pass.io; or base itself, which reads no archives, where memory is out. */
const struct io *archive_io_open(struct archive_io *a, const struct io *base);
/* Returns the list of the archive that the open folder dir is; NULL if it is none, lies below one, or io reads no archives.
 * It stays until dir is closed. */
const struct listing *archive_io_listing(const struct io *io, int dir);
/* Returns what io reads archives through, in which the files of an archive are as they are stored; io where it reads none. */
const struct io *archive_io_base(const struct io *io);
/* Frees what it holds, also of files that are still open through it. */
void archive_io_close(struct archive_io *a);

#ifdef __cplusplus
}
#endif
#endif
