/* SPDX-License-Identifier: MIT */
#include "core/par.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct par {
	int (*work)(struct par *, unsigned, struct err *);
	void *ctx;
	pthread_mutex_t lock; /* guards first */
	struct err first;
	atomic_bool stop;
};

struct worker {
	struct par *p;
	unsigned me;
	pthread_t thread;
	bool started;
};

static void run_one(struct par *p, unsigned me)
{
	struct err e = { 0 };

	if (!p->work(p, me, &e))
		return;
	pthread_mutex_lock(&p->lock);
	if (p->first.kind == ERR_NONE)
		p->first = e;
	pthread_mutex_unlock(&p->lock);
	atomic_store(&p->stop, true);
}

static void *start(void *arg)
{
	struct worker *w = arg;

	run_one(w->p, w->me);
	return NULL;
}

int par_run(unsigned threads, int (*work)(struct par *, unsigned, struct err *), void *ctx,
	struct err *e)
{
	struct par p = { .work = work, .ctx = ctx, .lock = PTHREAD_MUTEX_INITIALIZER };
	struct worker *w = calloc(threads, sizeof *w);
	unsigned i;

	if (!w)
		return err_nomem(e);
	for (i = 0; i + 1 < threads; i++) {
		w[i].p = &p;
		w[i].me = i;
		w[i].started = !pthread_create(&w[i].thread, NULL, start, &w[i]);
	}
	run_one(&p, threads - 1);
	for (i = 0; i + 1 < threads; i++)
		if (w[i].started)
			pthread_join(w[i].thread, NULL);
	free(w);
	pthread_mutex_destroy(&p.lock);
	if (p.first.kind == ERR_NONE)
		return 0;
	if (e && e->kind == ERR_NONE)
		*e = p.first;
	return -1;
}

void *par_ctx(const struct par *p)
{
	return p->ctx;
}

bool par_stopping(const struct par *p)
{
	return atomic_load_explicit(&p->stop, memory_order_relaxed);
}
