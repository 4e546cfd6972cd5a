/* SPDX-License-Identifier: MIT */
#include "convert/batch/lease.h"

#include "core/mem.h"
#include "core/progress.h"
#include "core/text.h"
#include "formats/format_id.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 4 };     /* of a call that a network file system may refuse once: ESTALE, EIO */
enum { MOST = 100000 }; /* leases of one task or unit: so many processes died with it */

static void nap(double seconds)
{
	struct timespec t = { .tv_sec = (time_t)seconds };

	t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
	nanosleep(&t, NULL); /* a signal ends it, which is as well */
}

/* --- files --- */

/* Reads a small file. Returns its bytes, of which buf has at most n - 1 and a NUL, or -1 with errno. */
static ssize_t slurp(const struct io *io, int dir, const char *name, char *buf, size_t n)
{
	ssize_t got = -1;
	int fd, tries, why;

	for (tries = 0; tries < TRIES; tries++) {
		fd = io->open(io, dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0);
		if (fd >= 0) {
			got = io->read(io, fd, buf, n - 1);
			why = errno;
			(void)io->close(io, fd); /* read only */
			errno = why;
		}
		if (got >= 0 || errno == ENOENT)
			break;
		nap(0.05);
	}
	buf[got > 0 ? got : 0] = 0;
	return got;
}

/* Writes these bytes into a file that is open, and closes it. */
static bool fill(const struct io *io, int fd, const char *s)
{
	bool all = io->pwrite(io, fd, s, strlen(s), 0) == (ssize_t)strlen(s);

	return !io->close(io, fd) && all;
}

/* The same for a file that is there and is this process's own. */
static bool rewrite(const struct io *io, int dir, const char *name, const char *s)
{
	int fd = io->open(io, dir, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0);

	return fd >= 0 && fill(io, fd, s);
}

/* Makes a new file with these bytes. Returns 1, 0 where one of the name is there, -1 with errno. Where -1 comes from writing, an
 * empty file stays, which is a lease too: whoever cannot read who has it waits until it is stale. */
static int make(const struct io *io, int dir, const char *name, const char *s)
{
	int fd, tries;

	for (tries = 0; tries < TRIES; tries++) {
		fd = io->open(io, dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			0666);
		if (fd >= 0)
			break;
		if (errno == EEXIST)
			return 0;
		nap(0.05);
	}
	if (fd < 0)
		return -1;
	if (fill(io, fd, s))
		return 1;
	for (tries = 1; tries < TRIES; tries++) {
		nap(0.05);
		if (rewrite(io, dir, name, s))
			return 1;
	}
	return -1;
}

static void task_name(char name[64], uint32_t task, uint32_t number)
{
	snprintf(name, 64, "task-%u.%u", task, number);
}

static void unit_name(char name[64], uint32_t unit, uint32_t number)
{
	snprintf(name, 64, "unit-%u.%u", unit, number);
}

/* The highest number that a lease has; 0: there is none. */
static uint32_t highest(const struct io *io, int dir, void (*name)(char[64], uint32_t, uint32_t),
	uint32_t of)
{
	char s[64], buf[8];
	uint32_t n = 0;

	do
		name(s, of, ++n);
	while (n < MOST && (slurp(io, dir, s, buf, sizeof buf) >= 0 || errno != ENOENT));
	return n - 1;
}

/* --- this process, and others of this machine --- */

/* When a process began, in ticks since boot; 0: there is none. */
static uint64_t started(const struct io *io, uint64_t pid)
{
	char path[40], s[1024], *p;
	unsigned long long at = 0;
	int k;

	snprintf(path, sizeof path, "/proc/%llu/stat", (unsigned long long)pid);
	if (slurp(io, AT_FDCWD, path, s, sizeof s) <= 0 || !(p = strrchr(s, ')')))
		return 0;
	for (k = 0; k < 20 && p; k++)
		p = strchr(p + 1, ' ');
	return p && sscanf(p, "%llu", &at) == 1 ? at : 0;
}

/* The part of a lease that says which machine, and which view of its processes, numbers of processes belong to. */
static void machine(const struct io *io, char s[160])
{
	char boot[80], ns[64];
	ssize_t n = io->readlink(io, AT_FDCWD, "/proc/self/ns/pid", ns, sizeof ns - 1);

	ns[n > 0 ? n : 0] = 0;
	if (slurp(io, AT_FDCWD, "/proc/sys/kernel/random/boot_id", boot, sizeof boot) <= 0)
		boot[0] = 0;
	boot[strcspn(boot, "\n")] = 0;
	snprintf(s, 160, "boot %s ns %s", boot, ns);
}

static void describe(struct lease *l)
{
	char host[65] = "", at[160];

	(void)gethostname(host, sizeof host - 1);
	machine(l->io, at);
	snprintf(l->who, sizeof l->who, "host %s\n%s\npid %llu started %llu\n", host, at,
		(unsigned long long)getpid(),
		(unsigned long long)started(l->io, (uint64_t)getpid()));
}

/* Whether the file of a lease says a process of this machine that is not there any more. */
static bool is_gone(const struct io *io, const char *s)
{
	unsigned long long pid, at;
	const char *boot = strstr(s, "\nboot "), *who = strstr(s, "\npid ");
	char here[160];
	size_t n;

	machine(io, here);
	n = strlen(here);
	return strncmp(here, "boot  ", 6) && boot && !strncmp(boot + 1, here, n) &&
		boot[1 + n] == '\n' && who &&
		sscanf(who, "\npid %llu started %llu", &pid, &at) == 2 && at &&
		started(io, pid) != at;
}

static bool is_released(const char *s)
{
	return strstr(s, "\nreleased\n");
}

/* --- watching others --- */

static struct lease_watch *watch_of(struct lease *l, uint32_t task, uint32_t number)
{
	struct lease_watch *w;
	size_t i;

	for (i = 0; i < l->n; i++)
		if (l->watched[i].task == task && l->watched[i].number == number)
			return &l->watched[i];
	if (mem_grow(&l->watched, &l->cap, l->n + 1, sizeof *l->watched))
		return NULL;
	w = &l->watched[l->n++];
	*w = (struct lease_watch){ .task = task, .number = number, .since = -1 };
	return w;
}

/* What a file that is not ours says of its owner, now and compared with earlier looks. The lock is held. */
static enum lease_state state_of(struct lease *l, uint32_t task, uint32_t number)
{
	char name[64], s[LEASE_BYTES], next[8];
	struct lease_watch *w;
	double now = progress_now();

	task_name(name, task, number + 1);
	if (slurp(l->io, l->dir, name, next, sizeof next) >= 0)
		return LEASE_FREE; /* another process does the task now */
	task_name(name, task, number);
	(void)slurp(l->io, l->dir, name, s,
		sizeof s); /* what cannot be read does not change, either */
	if (is_released(s) || is_gone(l->io, s))
		return LEASE_FREE;
	w = watch_of(l, task, number);
	if (!w)
		return LEASE_UNSURE;
	if (w->since < 0 || strcmp(w->seen, s) != 0) {
		w->moved = w->since >= 0;
		w->since = now;
		memcpy(w->seen, s, sizeof w->seen);
	} else if (now - w->since >= l->seconds) {
		return LEASE_FREE;
	}
	return w->moved ? LEASE_HELD : LEASE_UNSURE;
}

/* --- our own heart --- */

static void say(const struct lease *l, bool released, char s[LEASE_BYTES])
{
	snprintf(s, LEASE_BYTES, FORMAT_LEASE "\njob %s\ntask %u number %u\n%sbeat %012llu\n%s\n",
		l->job, l->task, l->number, l->who, (unsigned long long)l->beats,
		released ? "released" : "held    ");
}

/* Rewrites the file. Returns false where that fails; it is tried again with the next beat. */
static bool beat(struct lease *l, bool released)
{
	char name[64], s[LEASE_BYTES];

	l->beats++;
	say(l, released, s);
	task_name(name, l->task, l->number);
	return rewrite(l->io, l->dir, name, s);
}

static double pause_of(const struct lease *l)
{
	return l->seconds / 8 < 15 ? l->seconds / 8 : 15;
}

static void *heart(void *ctx)
{
	struct lease *l = ctx;
	struct timespec t;
	double pause = pause_of(l);

	pthread_mutex_lock(&l->lock);
	while (!l->stop) {
		clock_gettime(CLOCK_MONOTONIC, &t);
		t.tv_sec += (time_t)pause;
		t.tv_nsec += (long)((pause - (double)(time_t)pause) * 1e9);
		t.tv_sec += t.tv_nsec / 1000000000;
		t.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&l->wake, &l->lock, &t);
		if (l->stop)
			break;
		pthread_mutex_unlock(
			&l->lock); /* a file system that hangs must not hold the others */
		(void)beat(l, false);
		pthread_mutex_lock(&l->lock);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

static int begin(struct lease *l, const struct io *io, int dir, const char *job, double seconds,
	uint32_t task, struct err *e)
{
	pthread_condattr_t a;

	*l = (struct lease){ .io = io, .dir = dir, .job = job, .seconds = seconds, .task = task };
	if (pthread_condattr_init(&a))
		return err_nomem(e);
	(void)pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->wake, &a);
	pthread_condattr_destroy(&a);
	describe(l);
	return 0;
}

static void end(struct lease *l)
{
	free(l->watched);
	pthread_cond_destroy(&l->wake);
	pthread_mutex_destroy(&l->lock);
	memset(l, 0, sizeof *l);
}

/* Makes the file of the next number. Returns 1, 0 where another process was quicker, -1. */
static int take_number(struct lease *l, uint32_t number, struct err *e)
{
	char name[64], s[LEASE_BYTES];
	int rc;

	l->number = number;
	say(l, false, s);
	task_name(name, l->task, number);
	rc = make(l->io, l->dir, name, s);
	if (rc == 1)
		return 1;
	l->number = 0;
	return rc ? err_sys(e, "cannot make %s", name) : 0;
}

static int running(struct lease *l, uint32_t number, struct err *e)
{
	struct lease_said is;

	if (lease_read(&is, l->io, l->dir, l->task, NULL) || is.number != number)
		is.host[0] = 0;
	return err_rule(e, RULE_JOB_RUNNING, ERR_NOPOS,
		"task %u is done by another process%s%s, whose heart beats: is one index given to two processes? "
		"Let it end",
		l->task, is.host[0] ? " on " : "", is.host[0] ? text_quote(is.host).s : "");
}

int lease_take(struct lease *l, const struct io *io, int dir, const char *job, double seconds,
	uint32_t task, const volatile sig_atomic_t *stop, struct err *e)
{
	enum lease_state is;
	uint32_t n;
	int rc = 0;

	if (begin(l, io, dir, job, seconds, task, e))
		return -1;
	while (!rc) {
		n = highest(io, dir, task_name, task);
		pthread_mutex_lock(&l->lock);
		is = n ? state_of(l, task, n) : LEASE_FREE;
		pthread_mutex_unlock(&l->lock);
		if (is == LEASE_HELD)
			rc = running(l, n, e);
		else if (stop && *stop)
			rc = err_rule(e, RULE_JOB_STOPPED, ERR_NOPOS, "interrupted");
		else if (is == LEASE_FREE)
			rc = take_number(l, n + 1, e);
		if (!rc) /* another process was quicker, or is watched, or its lease is seen late */
			nap(pause_of(l) < 0.5 ? pause_of(l) : 0.5);
	}
	if (rc > 0 && pthread_create(&l->heart, NULL, heart, l))
		rc = err_set(e, ERR_SYSTEM, "cannot make a thread");
	if (rc > 0) {
		l->beating = true;
		return 0;
	}
	end(l);
	return -1;
}

void lease_release(struct lease *l)
{
	int tries;

	if (!l->beating)
		return;
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->heart, NULL);
	/* Else others wait for the lease time until they take what this process has begun. */
	for (tries = 0; tries < TRIES && !beat(l, true); tries++)
		nap(0.05);
	end(l);
}

bool lease_lost(struct lease *l)
{
	char name[64], s[8];

	task_name(name, l->task, l->number + 1);
	return slurp(l->io, l->dir, name, s, sizeof s) >= 0;
}

/* --- units --- */

enum lease_state lease_of_unit(struct lease *l, uint32_t u, uint32_t *number)
{
	char name[64], s[LEASE_BYTES];
	const char *owner;
	uint32_t task, n;
	enum lease_state is;

	*number = highest(l->io, l->dir, unit_name, u);
	if (!*number)
		return LEASE_FREE;
	unit_name(name, u, *number);
	(void)slurp(l->io, l->dir, name, s, sizeof s);
	owner = strstr(s, "\nowner ");
	pthread_mutex_lock(&l->lock);
	if (!owner || sscanf(owner, "\nowner %u.%u\n", &task, &n) != 2) {
		/* Whoever began it has not said who it is: it is watched under a number that no task has. */
		is = state_of(l, UINT32_MAX - u, *number);
	} else if (task == l->task) {
		is = LEASE_FREE; /* ours, or of a process whose task this one has taken over */
	} else {
		is = state_of(l, task, n);
	}
	pthread_mutex_unlock(&l->lock);
	return is;
}

int lease_take_unit(struct lease *l, uint32_t u, uint32_t number, bool *yes, struct err *e)
{
	char name[64], s[LEASE_BYTES];
	int rc;

	unit_name(name, u, number + 1);
	snprintf(s, sizeof s, FORMAT_LEASE "\njob %s\nunit %u\nowner %u.%u\n", l->job, u, l->task,
		l->number);
	rc = make(l->io, l->dir, name, s);
	*yes = rc == 1;
	return rc < 0 ? err_sys(e, "cannot make %s", name) : 0;
}

/* --- for people --- */

int lease_read(struct lease_said *said, const struct io *io, int dir, uint32_t task, struct err *e)
{
	char name[64], s[LEASE_BYTES];
	const char *p;
	unsigned long long v;

	*said = (struct lease_said){ .number = highest(io, dir, task_name, task) };
	if (!said->number)
		return 0;
	task_name(name, task, said->number);
	if (slurp(io, dir, name, s, sizeof s) < 0)
		return err_sys(e, "cannot read %s", name);
	said->released = is_released(s);
	said->gone = !said->released && is_gone(io, s);
	p = strstr(s, "\nhost ");
	if (p)
		sscanf(p, "\nhost %64s", said->host);
	p = strstr(s, "\npid ");
	if (p && sscanf(p, "\npid %llu", &v) == 1)
		said->pid = v;
	p = strstr(s, "\nbeat ");
	if (p && sscanf(p, "\nbeat %llu", &v) == 1)
		said->beats = v;
	return 0;
}
