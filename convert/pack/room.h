/* room.h -- what a frame is packed or unpacked in.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_PACK_ROOM_H
#define CONVERT_PACK_ROOM_H
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

/* For struct relay: makes one, NULL when memory is out; frees one, which may be NULL. */
void *pack_room_open(void *ignored);
void pack_room_close(void *room);
/* Makes r->old where it is not there. */
int pack_room_old(struct pack_room *r, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
