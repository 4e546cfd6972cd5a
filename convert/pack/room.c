/* SPDX-License-Identifier: MIT */
#include "convert/pack/room.h"

#include <stdlib.h>

void *pack_room_open(void *ignored)
{
	struct pack_room *r = calloc(1, sizeof *r);

	(void)ignored;
	if (!r)
		return NULL;
	r->file = malloc(FRAME_MOST);
	r->packed = malloc(frame_bound(FRAME_MOST));
	if (r->file && r->packed)
		return r;
	pack_room_close(r);
	return NULL;
}

void pack_room_close(void *room)
{
	struct pack_room *r = room;

	if (!r)
		return;
	frame_coder_free(&r->coder);
	free(r->file);
	free(r->packed);
	free(r->old);
	free(r);
}

int pack_room_old(struct pack_room *r, struct err *e)
{
	if (!r->old)
		r->old = malloc(FRAME_MOST);
	return r->old ? 0 : err_nomem(e);
}
