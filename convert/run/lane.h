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
 * Many lanes advance together, and what one needs to make a piece may be as large as an expert. So, unless all of
 * that is little (budget.h), lanes take turns on the stage of the thread that works on them: a lane that has begun on it goes on until it is at rest,
 * by then many pieces ahead of its ring, and reads these pieces back from the file when their turn comes. They
 * are in the page cache still, so that this costs less than it saves: the stage stays in the processor's.
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
	uint64_t at, bytes;           /* made as pieces, all */
	uint64_t ahead;               /* made, compared or written: not less than at */
	struct partial known;         /* owns; of a file that an earlier run was told to stop in */
	uint8_t *stage;               /* owns; NULL: it is lent one with each call */
	uint8_t *ring;                /* owns; budget.ring pieces */
	size_t *len;                  /* owns; [budget.ring] bytes in each */
	int old_fd;                   /* owns while comparing, else -1 */
	struct stream s;              /* not of a shard */
	struct xxh *chunk;            /* owns */
	struct xxh_digest *chunks;    /* owns */
	struct sha256 sha;
};

/* What a thread lends to the lane that it works on. */
struct desk {
	uint8_t *old, *spare; /* own; a piece each: of an old file; of what is made ahead */
	uint8_t *stage;       /* owns; budget.stage bytes, or NULL where each lane has its own */
};
/* Returns 0, or -1 without memory. desk_free takes what either left. */
int desk_new(struct desk *d, const struct budget *b, struct err *e);
void desk_free(struct desk *d);

int lane_new(struct lane *l, struct lanes *r, struct err *e);
void lane_free(struct lane *l);
int lane_begin(struct lane *l, const struct item *it, struct err *e);
/* Makes the next piece, number k. *differs: the file of an earlier run is another one; lane_again is to be called
 * when no piece of the lane is being digested. */
int lane_make(struct lane *l, uint64_t k, const struct desk *d, bool *differs, struct err *e);
/* Takes a file that was compared up anew, from its first byte, to be written. */
int lane_again(struct lane *l, struct err *e);
/* All pieces are made and digested: publishes or keeps the file, and the lane has no item any more; or
 * *differs as above. */
int lane_finish(struct lane *l, bool *differs, struct err *e);

/* The run is told to stop, and nobody works on the lane: saves what is made of its file for the next run. *kept: its
 * bytes, 0 if it is not worth it. */
int lane_save(struct lane *l, uint64_t *kept, struct err *e);

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
