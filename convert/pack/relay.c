/* SPDX-License-Identifier: MIT */
#include "convert/pack/relay.h"

#include "core/par.h"

#include <pthread.h>
#include <stdlib.h>

enum progress_of {
	FREE,   /* the room has no item */
	MAKING, /* a thread is at it; so also: */
	MADE,   /* waits for its turn */
	TAKING,
	TAKEN, /* waits to be put */
	PUTTING
};

/* A room. Item i is worked on in room i % rooms, and in no other. */
struct place {
	void *room; /* owns; made by the thread that needs it first; NULL before */
	enum progress_of is;
};

struct state {
	const struct relay *r;
	pthread_mutex_t lock;
	pthread_cond_t moved; /* something was done, or a thread has given up */
	struct place *places; /* owns; [rooms] */
	size_t rooms;
	size_t next, turn, put; /* items that were begun, taken and put */
	bool failed;            /* a thread has given up: nobody begins anything any more */
};

struct job {
	enum progress_of
		what; /* MAKING, TAKING or PUTTING; FREE: there is nothing to do any more */
	size_t item;
};

unsigned relay_rooms(unsigned threads)
{
	/* half as many again, and two: threads take and put while as many are being made */
	return threads > 1 ? threads + threads / 2 + 2 : 1;
}

/* Returns an item that was taken and is not put, the first one; r->n if there is none. */
static size_t find_taken(const struct state *s)
{
	size_t i;

	for (i = s->turn > s->rooms ? s->turn - s->rooms : 0; i < s->turn; i++)
		if (s->places[i % s->rooms].is == TAKEN)
			return i;
	return s->r->n;
}

/* Chooses what to do now; what is FREE where everything is being done or has to wait. Taking goes first, as only one
 * thread can be at it: item turn is TAKING until it is taken; putting frees a room. */
static struct job choose(const struct state *s)
{
	size_t taken;

	if (s->turn < s->next && s->places[s->turn % s->rooms].is == MADE)
		return (struct job){ TAKING, s->turn };
	taken = find_taken(s);
	if (taken < s->r->n)
		return (struct job){ PUTTING, taken };
	if (s->next < s->r->n && s->places[s->next % s->rooms].is == FREE)
		return (struct job){ MAKING, s->next };
	return (struct job){ FREE, 0 };
}

/* Returns the next job of this thread, which waits for one. */
static struct job begin(struct state *s)
{
	struct job j = { FREE, 0 };

	pthread_mutex_lock(&s->lock);
	while (!s->failed && s->put < s->r->n && (j = choose(s)).what == FREE)
		pthread_cond_wait(&s->moved, &s->lock);
	if (s->failed)
		j.what = FREE;
	if (j.what != FREE)
		s->places[j.item % s->rooms].is = j.what;
	s->next += j.what == MAKING;
	pthread_mutex_unlock(&s->lock);
	return j;
}

/* Notes that the job is done. */
static void end(struct state *s, const struct job *j)
{
	struct place *p = &s->places[j->item % s->rooms];

	pthread_mutex_lock(&s->lock);
	if (j->what == MAKING) {
		p->is = MADE;
	} else if (j->what == TAKING) {
		p->is = TAKEN;
		s->turn++;
	} else {
		p->is = FREE;
		s->put++;
	}
	pthread_cond_broadcast(&s->moved);
	pthread_mutex_unlock(&s->lock);
}

static void give_up(struct state *s)
{
	pthread_mutex_lock(&s->lock);
	s->failed = true;
	pthread_cond_broadcast(&s->moved);
	pthread_mutex_unlock(&s->lock);
}

static int carry_out(struct state *s, const struct job *j, struct err *e)
{
	const struct relay *r = s->r;
	struct place *p = &s->places[j->item % s->rooms]; /* this thread's until end */

	if (r->stop && *r->stop)
		return err_set(e, ERR_SYSTEM, "stopped; the same call again goes on");
	if (!p->room && !(p->room = r->open(r->ctx)))
		return err_nomem(e);
	return (j->what == MAKING           ? r->make
			: j->what == TAKING ? r->take
					    : r->put)(r->ctx, p->room, j->item, e);
}

static int work(struct par *par, unsigned me, struct err *e)
{
	struct state *s = par_ctx(par);
	struct job j;

	(void)me;
	while ((j = begin(s)).what != FREE) {
		if (carry_out(s, &j, e)) {
			give_up(s);
			return -1;
		}
		end(s, &j);
	}
	return 0;
}

int relay_run(const struct relay *r, struct err *e)
{
	unsigned threads = r->threads ? r->threads : 1;
	struct state s = { .r = r };
	size_t i;
	int rc;

	if (!r->n)
		return 0;
	if (threads > r->n)
		threads = (unsigned)r->n;
	s.rooms = relay_rooms(threads);
	s.places = calloc(s.rooms, sizeof *s.places);
	if (!s.places)
		return err_nomem(e);
	pthread_mutex_init(&s.lock, NULL);
	pthread_cond_init(&s.moved, NULL);
	rc = par_run(threads, work, &s, e);
	for (i = 0; i < s.rooms; i++)
		r->close(s.places[i].room);
	pthread_cond_destroy(&s.moved);
	pthread_mutex_destroy(&s.lock);
	free(s.places);
	return rc;
}
