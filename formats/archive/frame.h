/* frame.h -- one frame of an archive: a piece of a file as an ordinary zstd frame that says how long the piece is.
 *
 * Packing probes large pieces first and stores what would not shrink by 3 in 100 as raw blocks, which every zstd
 * decoder reads. Unpacking takes one whole frame of exactly the expected size and no other, so that neither memory
 * nor time follow from what a frame says of itself.
 *
 * A filtered frame holds the form of a scale plane (rowbase.h) in place of its bytes. Its header names a dictionary that
 * nobody has, FRAME_E8M0, so that every zstd decoder refuses it ("Dictionary mismatch") and none takes the form for the
 * bytes.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_ARCHIVE_FRAME_H
#define FORMATS_ARCHIVE_FRAME_H
#include "core/err.h"
#include "formats/archive/filter.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
	FRAME_MOST = 4 << 20, /* bytes of a piece: one matrix of a routed expert of Flash */
	FRAME_LEVEL = 1       /* of zstd; higher levels gain nothing on weights (docs/archive.md) */
};

/* The dictionary that filtered frames name: "E8M0", in the range of numbers for private use (RFC 8878, 6). */
#define FRAME_E8M0 0x304D3845u

/* What packs and unpacks; one thread uses it at a time. Zeroed = none. */
struct frame_coder {
	void *pack, *unpack; /* own; made when they are first needed */
	uint8_t *form,
		*spare; /* own; made by frame_pack_rows: the form of a plane, and a frame of it */
};
void frame_coder_free(struct frame_coder *c);

/* Returns the most bytes that frame_pack makes of n <= FRAME_MOST. */
size_t frame_bound(size_t n);
/* Packs n bytes, 1..FRAME_MOST, into dst, which has room for frame_bound(n). *packed is how long the frame is. */
int frame_pack(struct frame_coder *c, const uint8_t *p, size_t n, uint8_t *dst, uint32_t *packed,
	struct err *e);
/* Packs n bytes, 1..FRAME_MOST, that are scales in rows of `row` >= ROWBASE_ROW bytes, into a filtered frame, or as
 * frame_pack does where that is not longer. *filtered says which of them it is. */
int frame_pack_rows(struct frame_coder *c, const uint8_t *p, size_t n, uint32_t row, uint8_t *dst,
	uint32_t *packed, bool *filtered, struct err *e);
/* Unpacks one frame of `packed` bytes into the n bytes at out, 1..FRAME_MOST. A filtered frame is taken only where filter
 * is FILTER_E8M0. Returns 1; 0 where src is not one whole frame of n bytes; -1 where memory is out. */
int frame_unpack(struct frame_coder *c, enum filter filter, const uint8_t *src, size_t packed,
	uint8_t *out, size_t n, struct err *e);
/* Returns what the seek table keeps of n bytes: the low half of their XXH64. */
uint32_t frame_sum(const uint8_t *p, size_t n);
/* Returns the version of libzstd that runs, such as "1.5.4": the bytes of frames depend on it. */
const char *frame_library(void);

#ifdef __cplusplus
}
#endif
#endif
