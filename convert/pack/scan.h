/* scan.h -- all files and folders below a folder, by their paths, as pack and unpack need them.
 *
 * Links are followed where they are those of a snapshot of the hub's cache (formats/blob.h); other links, and what is
 * neither file nor folder, are refused.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_PACK_SCAN_H
#define CONVERT_PACK_SCAN_H
#include "core/err.h"
#include "core/io.h"
#include "core/mem.h"
#include "formats/archive/filter.h"

#ifdef __cplusplus
extern "C" {
#endif

struct scanned {
	const char *path; /* in the arena */
	uint64_t bytes;   /* of a file */
	bool folder;
	bool part;          /* a file that was being written when its writer ended (core/file.h) */
	enum filter filter; /* of a file that is to be packed; scan_below leaves FILTER_NONE */
};

/* Zeroed = none. */
struct scan {
	struct scanned *v; /* owns; in the order of the bytes of their paths */
	size_t n, cap;
	struct arena arena;
};

/* Lists what lies below the open folder. A path that formats/archive/listing.h has no room for is refused. */
int scan_below(struct scan *s, const struct io *io, int dir, struct err *e);
void scan_free(struct scan *s);
/* Returns the entry of that path, NULL if there is none. */
const struct scanned *scan_find(const struct scan *s, const char *path);

/* Opens the file at path below dir, through a link of a snapshot too: then *hash is what names the blob, up to 64
 * digits, else "". *st is the file's. */
int scan_open(const struct io *io, int dir, const char *path, int *fd, struct stat *st,
	char hash[65], struct err *e);
/* Holds the open file, which scan_open opened at path and which was read since, to what it was then (*was), and its SHA-256 to
 * the name of its blob, or, where that is another digest, its bytes. hash "": it has no blob. */
int scan_hold(const struct io *io, int fd, const char *path, const struct stat *was,
	const char *hash, const uint8_t sha256[32], struct err *e);
/* Opens the folder that the file at path lies in, made where make says so; *name is the last component. */
int scan_open_parent(const struct io *io, int dir, const char *path, bool make, int *fd,
	const char **name, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
