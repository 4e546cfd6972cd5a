/* listing.h -- dsv4-archive.json, the list of what an archive holds. pack writes it last: a folder without it is no
 * finished archive.
 *
 *	{ "files": [ { "archive": { "bytes", "sha256" },  of NAME.zst
 *	               "bytes", "filter", "name", "sha256" }, ... ],  of the file that it restores
 *	  "folders": [ "inference", ... ],  all below, in the order of their paths
 *	  "format", "level", "tool", "xxh3_128", "zstd" }
 *
 * A list has the member filter in all files or in none: where some file has a filter the format is dsv4-archive-2, else
 * dsv4-archive-1. Names are paths below the folder, in the order of their bytes. The document carries the digest of itself
 * (formats/conversion/seal.h); the reader is strict: a path cannot lead out of the folder.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_ARCHIVE_LISTING_H
#define FORMATS_ARCHIVE_LISTING_H
#include "core/io.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/err.h"
#include "formats/archive/filter.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LISTING_NAME "dsv4-archive.json"
enum {
	LISTING_DEPTH = 8,     /* folders within folders */
	LISTING_PATH = 1024,   /* bytes of a path, with its NUL */
	LISTING_MOST = 1 << 17 /* files and folders */
};

struct listed {
	const char *name;          /* in the arena; a path without the suffix */
	uint64_t bytes, packed;    /* of NAME, and of the file of the archive */
	uint8_t sha256[32];        /* of NAME */
	uint8_t packed_sha256[32]; /* of the file of the archive; pack and check hold it */
	enum filter filter; /* says what the file of the archive is called, too (filter_suffix) */
};
enum { LISTED_NAME = LISTING_PATH + FILTER_SUFFIX };

/* Zeroed = none. */
struct listing {
	struct listed *files; /* owns */
	size_t n, cap;
	const char **folders; /* owns the array */
	size_t n_folders, cap_folders;
	char tool[128], zstd[32]; /* who packed, and with which version of libzstd */
	uint64_t level;
	struct arena arena;
};
void listing_free(struct listing *l);
/* Copies the names. Both are to be added in the order of their bytes. */
int listing_add(struct listing *l, const struct listed *f, struct err *e);
int listing_add_folder(struct listing *l, const char *path, struct err *e);
/* Returns the file of that path, NULL if there is none. */
const struct listed *listing_find(const struct listing *l, const char *path);
/* Puts the path of the file of the archive: that of f with its suffix. */
void listed_packed_name(const struct listed *f, char name[LISTED_NAME]);
/* Returns the file whose file of the archive has that path, NULL if there is none. */
const struct listed *listing_find_packed(const struct listing *l, const char *path);
/* Whether the folder of that path is listed. */
bool listing_has_folder(const struct listing *l, const char *path);
/* Appends the document. Returns -1 when memory is out. */
int listing_put(struct text *out, const struct listing *l, struct err *e);
/* Reads the document in the open folder. *there says whether it is; what is wrong with it is archive.list. */
int listing_read(struct listing *l, const struct io *io, int dir, bool *there, struct err *e);
/* Whether s is a path below a folder that a listing can hold: valid UTF-8 without control bytes, components other than
 * "", "." and "..", at most LISTING_DEPTH of them behind the first, of at most 232 bytes. */
bool listing_path(const char *s);

#ifdef __cplusplus
}
#endif
#endif
