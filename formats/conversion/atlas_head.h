/* atlas_head.h -- the first and the last line of an error atlas (verify/atlas/atlas_file.h): of which files of weights it is, and
 * that it is as it was written.
 *
 *	{"format": FORMAT_ATLAS, "made_by": .., "tensors": N, "imatrix_sha256": HEX or null, "source_xxh3_128": HEX,
 *	 "out_xxh3_128": HEX, "files_xxh3_128": HEX or null}
 *	...
 *	{"lines": how many before this one, "xxh3_128": HEX}    the digest of all bytes before this line
 *
 * files_xxh3_128 is over what the manifest of a conversion says of each of its files with a sidecar, in the order of their names:
 * the name with its NUL, the bytes as u64 little-endian, and the SHA-256, of the sidecar where the file has none. The version of the
 * tool and its options are not in it. It is null where the result is no folder of a conversion.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_ATLAS_HEAD_H
#define FORMATS_CONVERSION_ATLAS_HEAD_H
#include "core/hash/xxh.h"
#include "core/io.h"
#include "formats/conversion/manifest.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
	ATLAS_HEAD_LINE = 2048,
	ATLAS_LAST_LINE = 128
}; /* bytes of the two lines at most, with a NUL */

struct atlas_head {
	char imatrix[65]; /* in hex; "": without importance */
	uint64_t tensors;
	struct xxh_digest source, out, files;
	bool has_files;
};

/* Makes what the reader of JSON has reported a report about the file, of rule atlas.file. Returns -1. */
int atlas_file_err(struct err *e);
/* Reads the first line, of n bytes without its newline. Returns 0, or -1 with rule atlas.file. */
int atlas_head_line(struct atlas_head *h, const char *line, size_t n, struct err *e);
/* Makes the last line of a file whose other lines have that digest, with its newline. */
void atlas_last_line(char line[ATLAS_LAST_LINE], uint64_t lines, struct xxh_digest d);
/* Reads the file of that name in the open folder dir, all of it, 64 KiB at a time, and holds it to its last line. Lines between
 * are not looked at. Returns 0, or -1 with rule atlas.file where it is no atlas or not as it was written. */
int atlas_head_read(struct atlas_head *h, const struct io *io, int dir, const char *name,
	struct err *e);
/* Digests what m says of the files of weights. Returns -1 when memory is out. */
int atlas_head_files(struct xxh_digest *to, const struct manifest *m, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
