/* SPDX-License-Identifier: MIT */
#include "convert/run/digester.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct digester {
	bool aside;
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	struct digest_job jobs[SHA256_LANES];
	unsigned n; /* jobs to do; 0: idle */
	bool quit;
	struct err err; /* of the last jobs, until somebody waits */
};

static int digest(const struct digest_job *jobs, unsigned n, struct err *e)
{
	struct sha256 *s[SHA256_LANES];
	const void *p[SHA256_LANES];
	bool done[SHA256_LANES] = { false };
	unsigned i, k, m;

	for (i = 0; i < n; i++) {
		if (done[i])
			continue;
		for (m = 0, k = i; k < n; k++) {
			if (done[k] || jobs[k].n != jobs[i].n)
				continue;
			done[k] = true;
			s[m] = jobs[k].s;
			p[m++] = jobs[k].p;
		}
		if (sha256_update(s, p, jobs[i].n, m, e))
			return -1;
	}
	return 0;
}

static void *serve(void *arg)
{
	struct digester *d = arg;
	struct err e;

	pthread_mutex_lock(&d->lock);
	for (;;) {
		while (!d->n && !d->quit)
			pthread_cond_wait(&d->changed, &d->lock);
		if (!d->n)
			break;
		pthread_mutex_unlock(&d->lock);
		memset(&e, 0, sizeof e);
		digest(d->jobs, d->n, &e); /* nobody else touches them while n > 0 */
		pthread_mutex_lock(&d->lock);
		if (d->err.kind == ERR_NONE)
			d->err = e;
		d->n = 0;
		pthread_cond_broadcast(&d->changed);
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

int digester_new(struct digester **out, bool aside, struct err *e)
{
	struct digester *d = calloc(1, sizeof *d);

	*out = d;
	if (!d)
		return err_nomem(e);
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->changed, NULL);
	d->aside = aside && !pthread_create(&d->thread, NULL, serve, d);
	return 0;
}

int digester_wait(struct digester *d, struct err *e)
{
	struct err was;

	if (!d->aside)
		return 0;
	pthread_mutex_lock(&d->lock);
	while (d->n)
		pthread_cond_wait(&d->changed, &d->lock);
	was = d->err;
	memset(&d->err, 0, sizeof d->err);
	pthread_mutex_unlock(&d->lock);
	return err_move(e, &was);
}

int digester_start(struct digester *d, const struct digest_job *jobs, unsigned n, struct err *e)
{
	if (!d->aside)
		return digest(jobs, n, e);
	if (digester_wait(d, e))
		return -1;
	if (!n)
		return 0;
	pthread_mutex_lock(&d->lock);
	memcpy(d->jobs, jobs, n * sizeof *jobs);
	d->n = n;
	pthread_cond_broadcast(&d->changed);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

void digester_free(struct digester *d)
{
	if (!d)
		return;
	if (d->aside) {
		pthread_mutex_lock(&d->lock);
		d->quit = true;
		pthread_cond_broadcast(&d->changed);
		pthread_mutex_unlock(&d->lock);
		pthread_join(d->thread, NULL);
	}
	pthread_cond_destroy(&d->changed);
	pthread_mutex_destroy(&d->lock);
	free(d);
}
