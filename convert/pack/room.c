/* SPDX-License-Identifier: MIT */
#include "convert/pack/room.h"

#include <stdlib.h>

static void room_close(void *room)
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

static void *room_open(void *ignored)
{
	struct pack_room *r = calloc(1, sizeof *r);

	(void)ignored;
	if (!r)
		return NULL;
	r->file = malloc(FRAME_MOST);
	r->packed = malloc(frame_bound(FRAME_MOST));
	if (r->file && r->packed)
		return r;
	room_close(r);
	return NULL;
}

struct relay pack_room_relay(void *ctx, size_t n, const struct pack_opts *o, pack_step *make,
	pack_step *take, pack_step *put)
{
	return (struct relay){ .ctx = ctx,
		.n = n,
		.threads = o->threads,
		.stop = o->stop,
		.open = room_open,
		.close = room_close,
		.make = make,
		.take = take,
		.put = put };
}

int pack_room_old(struct pack_room *r, struct err *e)
{
	if (!r->old)
		r->old = malloc(FRAME_MOST);
	return r->old ? 0 : err_nomem(e);
}
