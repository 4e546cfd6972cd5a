/* SPDX-License-Identifier: MIT */
#include "formats/archive/cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct slot {
	pthread_mutex_t fill; /* held while bytes are written or read */
	uint64_t serial; /* which archive and frame are meant; 0: none. Guarded by cache.lock */
	size_t frame;
	unsigned users; /* threads that are at it; guarded by cache.lock */
	uint64_t used;  /* when it was used last; guarded by cache.lock */
	bool whole;     /* bytes are those of the frame; guarded by fill */
	uint8_t *bytes; /* owns; [room] */
	size_t room;
	struct frame_coder coder;
};

struct cache {
	pthread_mutex_t lock;
	pthread_cond_t left; /* a slot has no users any more */
	uint64_t now;
	struct slot slot[CACHE_SLOTS];
};

struct cache *cache_new(void)
{
	struct cache *c = calloc(1, sizeof *c);
	size_t i;

	if (!c)
		return NULL;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->left, NULL);
	for (i = 0; i < CACHE_SLOTS; i++)
		pthread_mutex_init(&c->slot[i].fill, NULL);
	return c;
}

void cache_free(struct cache *c)
{
	size_t i;

	if (!c)
		return;
	for (i = 0; i < CACHE_SLOTS; i++) {
		pthread_mutex_destroy(&c->slot[i].fill);
		frame_coder_free(&c->slot[i].coder);
		free(c->slot[i].bytes);
	}
	pthread_cond_destroy(&c->left);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* Returns the slot of that frame, or the one that makes room for it; NULL where all are in use. The lock is held. */
static struct slot *find(struct cache *c, uint64_t serial, size_t frame)
{
	struct slot *oldest = NULL, *t;

	for (t = c->slot; t < c->slot + CACHE_SLOTS; t++) {
		if (t->serial == serial && t->frame == frame)
			return t;
		if (!t->users && (!oldest || t->used < oldest->used))
			oldest = t;
	}
	return oldest;
}

/* Returns the slot for that frame, which stays it until leave. */
static struct slot *enter(struct cache *c, uint64_t serial, size_t frame)
{
	struct slot *t;

	pthread_mutex_lock(&c->lock);
	while (!(t = find(c, serial, frame)))
		pthread_cond_wait(&c->left, &c->lock);
	if (t->serial != serial || t->frame != frame) {
		t->serial = serial;
		t->frame = frame;
		t->whole = false; /* nobody is at it */
	}
	t->users++;
	t->used = ++c->now;
	pthread_mutex_unlock(&c->lock);
	return t;
}

static void leave(struct cache *c, struct slot *t)
{
	pthread_mutex_lock(&c->lock);
	if (!--t->users)
		pthread_cond_signal(&c->left);
	pthread_mutex_unlock(&c->lock);
}

/* Has the bytes of the frame in the slot, whose fill is held. */
static int fill(struct slot *t, const struct seek *s, size_t i, const struct io *io, int fd,
	struct err *e)
{
	const struct seek_frame *f = &s->v[i];
	uint8_t *packed;
	int rc;

	if (t->room < f->bytes) {
		free(t->bytes);
		t->bytes = malloc(f->bytes);
		t->room = t->bytes ? f->bytes : 0;
	}
	packed = malloc(f->packed);
	rc = packed && t->bytes ? seek_load(s, i, io, fd, &t->coder, packed, t->bytes, e)
				: err_nomem(e);
	free(packed);
	t->whole = !rc;
	return rc;
}

int cache_read(struct cache *c, uint64_t serial, const struct seek *s, size_t i,
	const struct io *io, int fd, void *buf, size_t skip, size_t n, struct err *e)
{
	struct slot *t = enter(c, serial, i);
	int rc = 0;

	pthread_mutex_lock(&t->fill);
	if (!t->whole)
		rc = fill(t, s, i, io, fd, e);
	if (!rc)
		memcpy(buf, t->bytes + skip, n);
	pthread_mutex_unlock(&t->fill);
	leave(c, t);
	return rc;
}
