/* room.h -- what a frame is packed or unpacked in.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_PACK_ROOM_H
#define CONVERT_PACK_ROOM_H
#include "convert/pack/pack_opts.h"
#include "convert/pack/relay.h"
#include "formats/archive/frame.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pack_room {
	struct frame_coder coder;
	uint8_t *file;   /* owns; FRAME_MOST bytes of the file */
	uint8_t *packed; /* owns; frame_bound(FRAME_MOST) bytes of the archive */
	uint8_t *
		old; /* owns; FRAME_MOST bytes of what is there already; NULL until pack_room_old */
};

typedef int pack_step(void *ctx, void *room, size_t i, struct err *e);

/* Returns a relay of n items with a struct pack_room each, on as many threads as o says. */
struct relay pack_room_relay(void *ctx, size_t n, const struct pack_opts *o, pack_step *make,
	pack_step *take, pack_step *put);
/* Makes r->old where it is not there. */
int pack_room_old(struct pack_room *r, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
