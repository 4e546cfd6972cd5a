/* SPDX-License-Identifier: MIT */
#include "formats/archive/place.h"

#include "core/text.h"
#include "formats/st/safetensors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One open archive as the file that it restores, for one thread. */
struct restored {
	struct io io; /* first; only pread */
	const struct io *base;
	const struct seek *s;
	struct frame_coder coder;
	uint8_t *room, *bytes; /* own */
	size_t frame;          /* whose bytes these are; SIZE_MAX: none */
};

static ssize_t restored_pread(const struct io *io, int fd, void *buf, size_t n, off_t at)
{
	struct restored *r =
		(struct restored *)(uintptr_t)io; /* the caller's, which is not const */
	const struct seek_frame *f;
	size_t i, skip;

	if (at < 0 || (uint64_t)at >= r->s->bytes || !n)
		return 0;
	i = seek_find(r->s, (uint64_t)at);
	f = &r->s->v[i];
	if (i != r->frame) {
		r->frame = SIZE_MAX;
		if (seek_load(r->s, i, r->base, fd, &r->coder, r->room, r->bytes, NULL)) {
			errno = EIO;
			return -1;
		}
		r->frame = i;
	}
	skip = (size_t)((uint64_t)at - f->from);
	n = n < f->bytes - skip ? n : f->bytes - skip;
	memcpy(buf, r->bytes + skip, n);
	return (ssize_t)n;
}

/* Finds the tensor that has byte at of the file. */
static bool find(struct restored *r, int fd, uint64_t at, char text[PLACE_ROOM])
{
	struct arena names = { 0 };
	struct st_header h;
	size_t i;

	if (st_read(&h, &r->io, fd, r->s->bytes, ST_HEADER_CAP, &names, NULL)) {
		arena_free(&names);
		return false;
	}
	if (at < h.data_at)
		snprintf(text, PLACE_ROOM, "the header");
	for (i = 0; i < h.n && !*text; i++)
		if (at >= h.data_at + h.tensors[i].begin && at < h.data_at + h.tensors[i].end)
			snprintf(text, PLACE_ROOM, "tensor %s", text_quote(h.tensors[i].name).s);
	st_free(&h);
	arena_free(&names);
	return *text;
}

bool place_of_frame(const struct seek *s, size_t i, const struct io *io, int fd, const char *name,
	char text[PLACE_ROOM])
{
	static const char end[] = ".safetensors";
	struct restored r = {
		.io = { .pread = restored_pread }, .base = io, .s = s, .frame = SIZE_MAX
	};

	text[0] = 0;
	if (!text_ends(name, end))
		return false;
	r.room = malloc(frame_bound(FRAME_MOST));
	r.bytes = malloc(FRAME_MOST);
	if (r.room && r.bytes)
		(void)find(&r, fd, s->v[i].from, text);
	if (!*text && i == 0)
		snprintf(text, PLACE_ROOM, "the header"); /* it begins there */
	frame_coder_free(&r.coder);
	free(r.room);
	free(r.bytes);
	return *text;
}
