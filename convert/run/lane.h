/* lane.h -- one of the files that a team of threads advances, a piece at a time.
 *
 * A lane takes an item from its first byte to its last:
 *
 *	begin -> make, for each piece: read, transform, XXH3, then write it or compare it with an old file
 *	      -> the team digests the pieces, in order, together with those of its other lanes
 *	      -> finish
 *
 * The pieces lie in a ring: piece k in slot k % ring, from when it is made until it is digested. Who calls
 * sees to it that one thread at a time makes, begins or finishes; the ring's digesting side is the team's.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_RUN_LANE_H
#define CONVERT_RUN_LANE_H
#include "convert/make/stream.h"
#include "convert/run/folders.h"
#include "convert/run/items.h"
#include "core/hash/sha256.h"

#ifdef __cplusplus
extern "C" {
#endif

enum item_kind {
	ITEM_SHARD,  /* digested only */
	ITEM_MAKE,   /* a file that is written */
	ITEM_COMPARE /* a file of an earlier run: kept if it is what would be written */
};

/* What all lanes of a run share. */
struct lanes {
	const struct run_opts *o; /* borrows */
	struct folders *folders;  /* borrows */
	struct sha256_kit sha;
};

/* lane_new makes it ready, without an item; lane_free undoes that in any state. */
struct lane {
	struct lanes *r;         /* borrows */
	const struct item *item; /* borrows; NULL: none */
	enum item_kind kind;
	struct out_folder *folder;    /* borrows; not of a shard */
	const struct plan_file *file; /* borrows; not of a shard */
	uint64_t at, bytes;           /* made, all */
	uint8_t *ring;                /* owns; budget.ring pieces */
	size_t *len;                  /* owns; [budget.ring] bytes in each */
	int old_fd;                   /* owns while comparing, else -1 */
	struct stream s;              /* not of a shard */
	struct xxh *chunk;            /* owns */
	struct xxh_digest *chunks;    /* owns */
	struct sha256 sha;
};

int lane_new(struct lane *l, struct lanes *r, struct err *e);
void lane_free(struct lane *l);
int lane_begin(struct lane *l, const struct item *it, struct err *e);
/* Makes the next piece, number k. old has room for a piece. *differs: the file of an earlier run is another
 * one; lane_again is to be called when no piece of the lane is being digested. */
int lane_make(struct lane *l, uint64_t k, uint8_t *old, bool *differs, struct err *e);
/* Takes a file that was compared up anew, from its first byte, to be written. */
int lane_again(struct lane *l, struct err *e);
/* All pieces are made and digested: publishes or keeps the file, and the lane has no item any more; or
 * *differs as above. */
int lane_finish(struct lane *l, bool *differs, struct err *e);

/* Where piece k lies, and its bytes. */
uint8_t *lane_piece(const struct lane *l, uint64_t k, size_t *n);
/* True if SHA-256 of its pieces is wanted. */
bool lane_digests(const struct lane *l);
/* True if the last piece is made. */
static inline bool lane_made_all(const struct lane *l)
{
	return l->at == l->bytes;
}

#ifdef __cplusplus
}
#endif
#endif
