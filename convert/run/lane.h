/* lane.h -- one of the files that a thread advances, a piece at a time.
 *
 * An item is an output file that is made, an output file of an earlier run that is compared with what
 * would be made, or a source shard that is only digested. A lane takes an item from its first byte to
 * its last:
 *
 *	begin, then for each piece: make (read, transform, XXH3), SHA-256 by the digester, write; finish
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_RUN_LANE_H
#define CONVERT_RUN_LANE_H
#include "convert/run/digester.h"
#include "convert/out/publish.h"
#include "convert/run/run.h"
#include "convert/make/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

enum item_kind { ITEM_SHARD, ITEM_MAKE, ITEM_COMPARE };

struct item {
	bool is_shard;
	uint32_t i; /* of ckpt->shards or of plan->files */
};

/* What all lanes of a run share. */
struct shared {
	const struct plan *p;
	const struct run_opts *o;
	struct publisher pub;
	struct sha256_kit sha;
};

/* Zeroed, lane_new makes it ready, idle; lane_free undoes that in any state. */
struct lane {
	struct shared *r;
	struct digester *d; /* borrows */
	bool busy;
	enum item_kind kind;
	uint32_t i;
	uint64_t at, bytes;        /* done, all */
	size_t n;                  /* bytes in the piece */
	uint8_t *piece;            /* the one of bufs that is filled now */
	uint8_t *bufs[2];          /* own; one is digested while the other is filled */
	uint8_t *old;              /* owns; what is there already, for a comparison */
	int old_fd;                /* owns while comparing */
	struct stream s;           /* not for shards */
	struct xxh *chunk;         /* owns */
	struct xxh_digest *chunks; /* owns */
	struct sha256 sha;
};

int lane_new(struct lane *l, struct shared *r, struct digester *d, struct err *e);
void lane_free(struct lane *l);
int lane_begin(struct lane *l, const struct item *it, struct err *e);
/* Fills the next piece. A file that is compared and differs starts again from its first byte. */
int lane_make(struct lane *l, struct err *e);
/* True if the piece has to be digested. */
bool lane_digests(const struct lane *l);
/* Writes the piece, if anything is written, and turns to the other buffer. At the end of the item
 * the lane is idle again, or makes anew what it compared. *done counts files: made, kept. */
int lane_write(struct lane *l, struct run_result *done, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
