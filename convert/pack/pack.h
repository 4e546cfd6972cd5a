/* pack.h -- a folder as an archive, and the way back.
 *
 *	DIR/NAME            ->  DIR2/NAME.zst       (formats/archive/seek.h); NAME.zst-e8m0 with a filter (filter.h)
 *	all of them         ->  DIR2/dsv4-archive.json, last (formats/archive/listing.h)
 *
 * Files appear whole, one after the other in the order of their paths. The same call again holds every file that is
 * there to the source, byte for byte, keeps it, and makes the others. What nobody of this call would write is refused
 * before anything is written. The bytes are the same for any number of threads.
 *
 * Memory: for each of relay_rooms(threads) two or three times FRAME_MOST and what libzstd needs; the pieces and the header
 * of one file.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_PACK_PACK_H
#define CONVERT_PACK_PACK_H
#include "convert/pack/pack_opts.h"
#include "convert/pack/pieces.h"
#include "core/text.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pack_done {
	uint64_t files, kept; /* kept: were there and are as they would be written */
	uint64_t bytes, packed;
	uint64_t filtered;       /* of the files: how many zstd does not restore */
	enum filter filter;      /* that pack_run was asked for */
	struct pack_roles kinds; /* of pack_run */
};

/* Both fill *d and return -1 at the first fault; files that are finished stay for the same call again. unpack_run
 * holds each file to the SHA-256 in the list before it gets its name. */
int pack_run(struct pack_done *d, const struct pack_opts *o, struct err *e);
int unpack_run(struct pack_done *d, const struct pack_opts *o, struct err *e);
/* Put sizes and ratios, a line for each role, for people; or as one JSON document (dsv4-pack-1). */
void pack_put_text(struct text *out, const struct pack_done *d);
void pack_put_json(struct text *out, const struct pack_done *d);

#ifdef __cplusplus
}
#endif
#endif
