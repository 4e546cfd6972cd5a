/* SPDX-License-Identifier: MIT */
#include "core/progress.h"

#include "core/text.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

struct progress {
	FILE *out;
	_Atomic(const char *) what;
	uint64_t total;
	_Atomic uint64_t done;
	bool tty, shown, stop;
	double began;
	pthread_t thread;
	pthread_mutex_t lock; /* guards stop */
	pthread_cond_t wake;
};

double progress_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void show(struct progress *p)
{
	uint64_t done = atomic_load(&p->done);
	double gone = progress_now() - p->began, rate = gone > 0 ? (double)done / gone : 0;
	uint64_t left =
		rate > 0 && p->total > done ? (uint64_t)((double)(p->total - done) / rate) : 0;

	struct winsize w;
	char line[200];
	int n, room;

	n = snprintf(line, sizeof line, "%s %s of %s (%.0f %%), %.2f GB/s", atomic_load(&p->what),
		text_bytes(done).s, text_bytes(p->total).s,
		p->total ? 100.0 * (double)done / (double)p->total : 100.0, rate / 1e9);
	if (n > 0 && (size_t)n < sizeof line && done < p->total)
		snprintf(line + n, sizeof line - (size_t)n, ", %llu:%02llu:%02llu left",
			(unsigned long long)(left / 3600), (unsigned long long)(left / 60 % 60),
			(unsigned long long)(left % 60));
	else if (n > 0 && (size_t)n < sizeof line) /* the disk takes its time */
		snprintf(line + n, sizeof line - (size_t)n, ", syncing");
	/* A line that wraps could not be written over. */
	room = p->tty && !ioctl(fileno(p->out), TIOCGWINSZ, &w) && w.ws_col > 1 ? w.ws_col - 1
										: (int)sizeof line;
	fprintf(p->out, "%s%.*s%s", p->tty ? "\r" : "", room, line, p->tty ? "\033[K" : "\n");
	fflush(p->out);
	p->shown = true;
}

static void *tick(void *arg)
{
	struct progress *p = arg;
	struct timespec until;
	long wait_ns = p->tty ? 200000000 : 0;

	pthread_mutex_lock(&p->lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	while (!p->stop) {
		until.tv_sec += p->tty ? 0 : 10;
		until.tv_nsec += wait_ns;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
		while (!p->stop && !pthread_cond_timedwait(&p->wake, &p->lock, &until))
			;
		if (!p->stop)
			show(p);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

struct progress *progress_start(FILE *out, const char *what, uint64_t total_bytes)
{
	struct progress *p;
	pthread_condattr_t attr;

	if (!out)
		return NULL;
	p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	p->out = out;
	atomic_init(&p->what, what);
	p->total = total_bytes;
	p->tty = isatty(fileno(out));
	p->began = progress_now();
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (!pthread_create(&p->thread, NULL, tick, p))
		return p;
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
	return NULL;
}

void progress_add(struct progress *p, uint64_t bytes)
{
	if (p)
		atomic_fetch_add_explicit(&p->done, bytes, memory_order_relaxed);
}

void progress_say(struct progress *p, const char *what)
{
	if (p)
		atomic_store_explicit(&p->what, what, memory_order_relaxed);
}

void progress_stop(struct progress *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	if (p->tty && p->shown) {
		fputs("\r\033[K", p->out);
		fflush(p->out);
	}
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
