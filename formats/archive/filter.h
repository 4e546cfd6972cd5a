/* filter.h -- what is done to the bytes of a file's frames before zstd compresses them, and back. The list of an archive
 * says of each file which filter its frames may have.
 *
 *	none   NAME.zst        ordinary zstd frames: stock zstd restores the file
 *	e8m0   NAME.zst-e8m0   frames of scale planes may have the form of rowbase.h: only this project restores the file
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_ARCHIVE_FILTER_H
#define FORMATS_ARCHIVE_FILTER_H
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FILTER_ZST ".zst"
#define FILTER_ZST_E8M0 ".zst-e8m0"

enum filter { FILTER_NONE, FILTER_E8M0, FILTER_COUNT };

/* Bytes of the longest suffix. */
enum { FILTER_SUFFIX = 9 };

/* Returns the word for it in options and lists. */
const char *filter_name(enum filter f);
/* Returns what stands behind NAME in an archive. */
const char *filter_suffix(enum filter f);
/* Sets *f to the filter of that word; returns false where there is none. */
bool filter_by_name(const char *word, enum filter *f);
/* Returns how many bytes name has in front of the suffix of a filter, and sets *f to that filter; returns 0 where it has no
 * such suffix, or nothing else. */
size_t filter_by_suffix(const char *name, enum filter *f);

#ifdef __cplusplus
}
#endif
#endif
