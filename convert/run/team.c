/* SPDX-License-Identifier: MIT */
#include "convert/run/team.h"

#include "convert/run/reclaim.h"
#include "core/par.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A lane and who works on it now. */
struct slot {
	struct lane lane; /* belongs to who holds it; but for its pieces from digested to made */
	bool held;        /* by a thread that begins, makes or finishes */
	bool digesting;   /* by a thread that digests piece number digested */
	bool differs;     /* it is to be taken up anew when nobody digests */
	uint64_t made, digested; /* pieces */
};

struct team {
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t
		changed;    /* there may be a task for one more thread, or nothing left for any */
	struct slot *slots; /* owns; [crew->lanes] */
};

struct crew {
	struct lanes *lanes;
	struct items *items;
	struct team *teams; /* owns; [n] */
	unsigned n, each;   /* teams, lanes of each */
	atomic_bool failed,
		told; /* no thread begins another task: one has failed; o->stop was set */
};

/* What a thread does next. Of two lanes it prefers the one with the greater. */
enum task { TASK_NONE, TASK_WAIT, TASK_MAKE, TASK_BEGIN, TASK_AGAIN, TASK_FINISH, TASK_DIGEST };

/* --- what is to be done in a team; its lock is held --- */

static uint64_t waiting(const struct slot *s)
{
	return s->made - s->digested;
}

/* What a lane that nobody holds needs, besides digesting. */
static enum task need_of(const struct crew *c, const struct slot *s)
{
	if (s->held)
		return TASK_WAIT;
	if (!s->lane.item)
		return items_left(c->items) ? TASK_BEGIN : TASK_NONE;
	if (s->differs)
		return s->digesting ? TASK_WAIT : TASK_AGAIN;
	if (lane_made_all(&s->lane))
		return waiting(s) ? TASK_WAIT : TASK_FINISH;
	return waiting(s) < c->lanes->o->budget.ring ? TASK_MAKE : TASK_WAIT;
}

static bool can_digest(const struct slot *s)
{
	return waiting(s) && !s->digesting && !s->differs;
}

/* Chooses a task and, for all but TASK_DIGEST, the lane: to make a piece, the one with the fewest. */
static enum task choose(const struct crew *c, struct team *t, struct slot **at)
{
	unsigned busy = 0, ready = 0;
	enum task best = TASK_NONE, is;
	struct slot *s;

	*at = NULL;
	for (s = t->slots; s < t->slots + c->each; s++) {
		is = need_of(c, s);
		busy += s->held || s->lane.item || is == TASK_BEGIN;
		ready += can_digest(s);
		if (is > best || (is == TASK_MAKE && is == best && waiting(s) < waiting(*at))) {
			best = is;
			*at = s;
		}
	}
	if (ready && best < TASK_AGAIN && (ready == busy || best <= TASK_WAIT))
		return TASK_DIGEST;
	return best;
}

/* --- doing it; the lock is not held --- */

static int digest_ready(const struct crew *c, struct team *t, struct err *e)
{
	struct sha256_piece pieces[SHA256_LANES];
	struct slot *v[SHA256_LANES], *s;
	unsigned n = 0, i;
	int rc;

	for (s = t->slots; s < t->slots + c->each; s++) {
		if (can_digest(s)) {
			s->digesting = true;
			pieces[n].s = &s->lane.sha;
			pieces[n].p = lane_piece(&s->lane, s->digested, &pieces[n].n);
			v[n++] = s;
		}
	}
	pthread_mutex_unlock(&t->lock);
	rc = sha256_pieces(pieces, n, e);
	pthread_mutex_lock(&t->lock);
	for (i = 0; !rc && i < n; i++) {
		v[i]->digesting = false;
		v[i]->digested++;
	}
	return rc;
}

/* The next item that is to be done; *it NULL: there is none any more, another thread may have been quicker. */
static int next_item(struct crew *c, const struct item **it, struct err *e)
{
	const struct run_units *u = c->lanes->o->units;
	bool yes = false;

	while ((*it = items_take(c->items)) && u && !(*it)->is_shard && !yes)
		if (u->take(u->ctx, (*it)->folder, (*it)->i, &yes, e))
			return -1;
		else if (yes)
			return 0;
	return 0;
}

/* *differs: the lane's file is to be taken up anew. */
static int do_on(struct crew *c, struct slot *s, enum task task, const struct desk *d,
	bool *differs, struct err *e)
{
	const struct item *it;

	*differs = false;
	switch (task) {
	case TASK_BEGIN:
		if (next_item(c, &it, e))
			return -1;
		return it ? lane_begin(&s->lane, it, e) : 0;
	case TASK_AGAIN:
		return lane_again(&s->lane, e);
	case TASK_FINISH:
		if (lane_finish(&s->lane, differs, e))
			return -1;
		return *differs || !c->lanes->o->reclaim ? 0
							 : reclaim_step(c->lanes->o->reclaim, e);
	default:
		return lane_make(&s->lane, s->made, d, differs, e);
	}
}

static int do_task(struct crew *c, struct team *t, struct slot *s, enum task task,
	const struct desk *d, struct err *e)
{
	bool differs;
	int rc;

	if (task == TASK_DIGEST)
		return digest_ready(c, t, e);
	s->held = true;
	pthread_mutex_unlock(&t->lock);
	rc = do_on(c, s, task, d, &differs, e);
	pthread_mutex_lock(&t->lock);
	if (rc)
		return -1; /* it stays held: in what state it is, nobody knows */
	s->held = false;
	s->differs = differs;
	if (task != TASK_MAKE) {
		s->made = s->digested = 0;
	} else if (!differs) {
		s->made++;
		if (!lane_digests(&s->lane))
			s->digested++;
	}
	return 0;
}

/* --- a thread --- */

static bool told_to_stop(const struct crew *c)
{
	const volatile sig_atomic_t *stop = c->lanes->o->stop;

	return stop && *stop;
}

/* Works for a team until it has nothing left, now or ever. */
static int work_for(struct crew *c, struct team *t, const struct desk *d, struct err *e)
{
	enum task task;
	struct slot *s;
	int rc = 0;

	pthread_mutex_lock(&t->lock);
	while (!rc && !atomic_load(&c->failed)) {
		task = choose(c, t, &s);
		if (task == TASK_NONE)
			break;
		if (task == TASK_WAIT) {
			pthread_cond_wait(&t->changed, &t->lock);
			continue;
		}
		pthread_cond_signal(&t->changed); /* who wakes and finds a task wakes the next */
		rc = do_task(c, t, s, task, d, e);
		if (!rc && told_to_stop(c)) {
			atomic_store(&c->told, true);
			break;
		}
	}
	pthread_cond_broadcast(&t->changed); /* nothing is left for the others either */
	pthread_mutex_unlock(&t->lock);
	return rc;
}

/* Nobody may sleep for ever because another thread has given up. */
static void give_up(struct crew *c)
{
	unsigned i;

	atomic_store(&c->failed, true);
	for (i = 0; i < c->n; i++) {
		pthread_mutex_lock(&c->teams[i].lock);
		pthread_cond_broadcast(&c->teams[i].changed);
		pthread_mutex_unlock(&c->teams[i].lock);
	}
}

static int work(struct par *par, unsigned me, struct err *e)
{
	struct crew *c = par_ctx(par);
	struct desk d;
	int rc = desk_new(&d, &c->lanes->o->budget, e);
	unsigned i;

	for (i = 0; !rc && !atomic_load(&c->told) && i < c->n;
		i++) /* its own team, then the others */
		rc = work_for(c, &c->teams[(me + i) % c->n], &d, e);
	desk_free(&d);
	if (rc || atomic_load(&c->told))
		give_up(c);
	return rc;
}

/* --- the whole --- */

/* Nobody works any more: saves what is made of unfinished files. Returns -1 and says what stays. */
static int stopped(const struct crew *c, struct err *e)
{
	uint64_t bytes, kept, in = 0;
	size_t files, some = 0;
	struct slot *s;
	unsigned i;

	for (i = 0; i < c->n; i++) {
		for (s = c->teams[i].slots; s < c->teams[i].slots + c->each; s++) {
			/* What cannot be saved is made again. */
			if (c->lanes->o->units || s->differs || lane_save(&s->lane, &kept, NULL))
				continue;
			some += kept > 0;
			in += kept;
		}
	}
	folders_finished(c->lanes->folders, &files, &bytes);
	return err_set(e, ERR_SYSTEM,
		"interrupted; %zu of %llu files (%s) are finished and stay, and %s of %zu unfinished ones; the "
		"same call checks them and makes the rest",
		files, (unsigned long long)c->lanes->folders->c->files, text_bytes(bytes).s,
		text_bytes(in).s, some);
}

static int team_new(struct crew *c, struct team *t, struct err *e)
{
	unsigned i;

	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->changed, NULL);
	t->slots = calloc(c->each, sizeof *t->slots);
	if (!t->slots)
		return err_nomem(e);
	for (i = 0; i < c->each; i++)
		if (lane_new(&t->slots[i].lane, c->lanes, e))
			return -1;
	return 0;
}

static void team_free(const struct crew *c, struct team *t)
{
	unsigned i;

	for (i = 0; t->slots && i < c->each; i++)
		lane_free(&t->slots[i].lane);
	free(t->slots);
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
}

int team_run(struct lanes *r, struct items *items, struct err *e)
{
	const struct budget *b = &r->o->budget;
	struct crew c = { .lanes = r, .items = items, .each = b->lanes };
	unsigned made;
	int rc = 0;

	c.teams = calloc(b->teams, sizeof *c.teams);
	if (!c.teams)
		return err_nomem(e);
	for (; !rc && c.n < b->teams; c.n++)
		rc = team_new(&c, &c.teams[c.n], e);
	rc = rc ? rc : par_run(b->threads, work, &c, e);
	if (!rc && atomic_load(&c.told))
		rc = stopped(&c, e);
	for (made = 0; made < c.n; made++)
		team_free(&c, &c.teams[made]);
	free(c.teams);
	return rc;
}
