/* relay.h -- items that are made on several threads at once and taken one after the other, in their order.
 *
 *	make(i)   any thread, any order     read, compress
 *	take(i)   one at a time, i = 0, 1, ...   running digests, where the bytes go
 *	put(i)    any thread, after take(i)      write
 *
 * There are more rooms than threads, and a thread is bound to no item: where the next item to be taken is still being
 * made, or another thread is at taking, it puts what was taken or makes what nobody has begun. So no thread waits as long
 * as there is anything to do and a room to do it in.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_PACK_RELAY_H
#define CONVERT_PACK_RELAY_H
#include "core/err.h"

#include <signal.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct relay {
	void *ctx;
	size_t n;
	unsigned threads;                  /* 0: one */
	const volatile sig_atomic_t *stop; /* becomes not 0: gives up; may be NULL */
	/* Makes what an item is worked on in, and frees it; NULL when memory is out. close takes NULL. */
	void *(*open)(void *ctx);
	void (*close)(void *room);
	/* Return -1 to end the relay. All three are called with the same room for an item. */
	int (*make)(void *ctx, void *room, size_t i, struct err *e);
	int (*take)(void *ctx, void *room, size_t i, struct err *e);
	int (*put)(void *ctx, void *room, size_t i, struct err *e);
};

/* Returns how many rooms so many threads have at most. */
unsigned relay_rooms(unsigned threads);
/* Does all items, or returns -1 with the first error; ERR_SYSTEM where it was stopped. */
int relay_run(const struct relay *r, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
