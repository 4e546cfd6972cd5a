/* test_relay.c -- what pack and unpack rely on: each item is made, taken and put once, in one room that no other item
 * has meanwhile; items are taken in their order, one at a time; the first error ends all.
 *
 * SPDX-License-Identifier: MIT */
#include "convert/pack/relay.h"
#include "tests/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { ITEMS = 300, NOBODY = -1 };

struct race {
	atomic_int made[ITEMS], taken[ITEMS], put[ITEMS];
	atomic_int order, taking, rooms,
		most; /* items taken; threads that take; open rooms now and at most */
	atomic_int faults;
	int fail_make, fail_take, fail_put, fail_open; /* item or room that fails; NOBODY */
	unsigned seed;
};

struct race_room {
	struct race *race;
	atomic_int item; /* NOBODY: it is free */
};

/* Takes up to 60 us of time, so that threads meet in other orders. */
static void dawdle(size_t i, unsigned seed)
{
	unsigned us = (unsigned)((i * 2654435761u + seed) >> 7) % 60;

	if (us % 3 == 0)
		nanosleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
}

static void *open_room(void *ctx)
{
	struct race *r = ctx;
	struct race_room *room;
	int n = atomic_fetch_add(&r->rooms, 1);

	if (n == r->fail_open) {
		atomic_fetch_sub(&r->rooms, 1);
		return NULL;
	}
	if (n + 1 > atomic_load(&r->most))
		atomic_store(&r->most, n + 1);
	room = calloc(1, sizeof *room);
	if (!room)
		exit(2);
	room->race = r;
	room->item = NOBODY;
	return room;
}

static void close_room(void *p)
{
	struct race_room *room = p;

	if (room)
		atomic_fetch_sub(&room->race->rooms, 1);
	free(room);
}

static int make(void *ctx, void *p, size_t i, struct err *e)
{
	struct race *r = ctx;
	struct race_room *room = p;
	int was = atomic_exchange(&room->item, (int)i);

	dawdle(i, r->seed);
	if (was != NOBODY || atomic_fetch_add(&r->made[i], 1))
		atomic_fetch_add(&r->faults, 1);
	return (int)i == r->fail_make ? err_set(e, ERR_SYSTEM, "make") : 0;
}

static int take(void *ctx, void *p, size_t i, struct err *e)
{
	struct race *r = ctx;
	struct race_room *room = p;

	if (atomic_fetch_add(&r->taking, 1) || atomic_fetch_add(&r->order, 1) != (int)i ||
		room->item != (int)i || r->made[i] != 1 || atomic_fetch_add(&r->taken[i], 1))
		atomic_fetch_add(&r->faults, 1);
	dawdle(i, r->seed + 1);
	atomic_fetch_sub(&r->taking, 1);
	return (int)i == r->fail_take ? err_set(e, ERR_SYSTEM, "take") : 0;
}

static int put(void *ctx, void *p, size_t i, struct err *e)
{
	struct race *r = ctx;
	struct race_room *room = p;

	dawdle(i, r->seed + 2);
	if (room->item != (int)i || r->taken[i] != 1 || atomic_fetch_add(&r->put[i], 1))
		atomic_fetch_add(&r->faults, 1);
	atomic_store(&room->item, NOBODY);
	return (int)i == r->fail_put ? err_set(e, ERR_SYSTEM, "put") : 0;
}

static int run(struct race *r, size_t n, unsigned threads, const volatile sig_atomic_t *stop,
	struct err *e)
{
	const struct relay relay = { .ctx = r,
		.n = n,
		.threads = threads,
		.stop = stop,
		.open = open_room,
		.close = close_room,
		.make = make,
		.take = take,
		.put = put };
	int rc;

	r->seed = rnd(1 << 20);
	*e = (struct err){ 0 };
	rc = relay_run(&relay, e);
	CHECK(!r->faults && !r->rooms && r->most <= (int)relay_rooms(threads ? threads : 1));
	return rc;
}

static const struct race quiet = {
	.fail_make = NOBODY, .fail_take = NOBODY, .fail_put = NOBODY, .fail_open = NOBODY
};

static void all_items(void)
{
	static const size_t counts[] = { 0, 1, 2, 7, ITEMS };
	struct race r;
	struct err e;
	unsigned threads;
	size_t k, i;

	for (threads = 0; threads <= 8; threads++)
		for (k = 0; k < sizeof counts / sizeof *counts; k++) {
			r = quiet;
			CHECK(!run(&r, counts[k], threads, NULL, &e));
			for (i = 0; i < ITEMS; i++)
				CHECK(r.put[i] == (i < counts[k]));
		}
}

/* The error is that of the step that failed; nothing behind it is taken. */
static void errors(void)
{
	static const volatile sig_atomic_t stopped = 1;
	struct race r;
	struct err e;
	unsigned threads;

	for (threads = 1; threads <= 6; threads++) {
		int at = (int)rnd(ITEMS);

		r = quiet;
		r.fail_make = at;
		CHECK(run(&r, ITEMS, threads, NULL, &e) && !strcmp(e.text, "make"));
		CHECK(!r.taken[at] && r.order <= at);
		r = quiet;
		r.fail_take = at;
		CHECK(run(&r, ITEMS, threads, NULL, &e) && !strcmp(e.text, "take"));
		CHECK(!r.put[at] && r.order == at + 1);
		r = quiet;
		r.fail_put = at;
		CHECK(run(&r, ITEMS, threads, NULL, &e) && !strcmp(e.text, "put"));
		r = quiet;
		r.fail_open = 0;
		CHECK(run(&r, ITEMS, threads, NULL, &e) && e.kind);
		r = quiet;
		CHECK(run(&r, ITEMS, threads, &stopped, &e) && strstr(e.text, "goes on"));
		CHECK(!r.order);
	}
}

static const struct test tests[] = {
	{ "all_items", all_items },
	{ "errors", errors },
	{ NULL, NULL },
};
TEST_MAIN(tests)
