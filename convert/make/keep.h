/* keep.h -- the file NAME.dropped beside an output: what its exact casts to FP8 dropped, for the way back.
 *
 *	byte 0                                              end
 *	     | frame of a tensor | frame of the next | ... |
 *
 * quant/uncast.h says what a frame holds. A tensor that dropped nothing has none, and where no tensor has
 * one there is no file. The sidecar says where the frames lie and what the SHA-256 of the file is.
 * It is written as the tensors come; or, where an old output may be kept, compared.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_MAKE_KEEP_H
#define CONVERT_MAKE_KEEP_H
#include "core/file.h"
#include "core/hash/sha256.h"
#include "formats/conversion/manifest.h"
#include "quant/uncast.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where a frame lies in the file; both 0: there is none. */
struct keep_place {
	uint64_t from, to;
};

struct keep {
	const struct io *io; /* NULL: nothing is kept */
	int dir;             /* borrows */
	char name[256];
	bool compare, equal;
	int old; /* owns; compare: the old file, -1 none */
	uint64_t old_bytes;
	struct file_out out; /* owns until taken; else */
	uint64_t bytes;      /* so far */
	struct sha256_kit kit;
	struct sha256 sha; /* borrows kit */
	bool digesting;
	uint8_t sha256[32]; /* after keep_end */
};

/* What the casts into NAME drop is to be kept, or compared with what is there. */
int keep_begin(struct keep *k, const struct io *io, int dir, const char *name, bool compare,
	struct err *e);
/* What one tensor dropped: a frame, whose place is *at; both 0 where it is nothing. room: space for a
 * frame, dropped_frame() bytes. */
int keep_tensor(struct keep *k, struct dropped *d, uint8_t *frame, size_t room,
	struct keep_place *at, struct err *e);
/* Adds a frame of n bytes that is packed already; 0: it could not be. Its place is *at. */
int keep_frame(struct keep *k, const uint8_t *frame, size_t n, struct keep_place *at,
	struct err *e);
/* All tensors have come. Where it compared, k->equal says whether the old file is what it should be. */
int keep_end(struct keep *k, struct err *e);
/* Lets go; removes what was not taken. */
void keep_free(struct keep *k);

#ifdef __cplusplus
}
#endif
#endif
