/* lease.h -- who works on what in a job, on file systems whose locks do not reach every machine.
 *
 *	leases/task-I.G   a process that does task I, the G-th; rewritten with each beat of its heart
 *	leases/unit-U.G   unit U was begun by the process that the file names; written once
 *
 * A lease is made with O_EXCL and never renamed or removed: whoever takes one over makes the file of the next number, so
 * that only one of several can. The highest number holds. A process that sees a higher one for its own task has been
 * taken for dead.
 *
 * No clock is compared with another machine's, and no time of a file is looked at: a lease is stale when its bytes have
 * not changed for the lease time of the job, on the clock of whoever watches. On the machine of the process itself
 * one look at /proc says whether it is there.
 *
 * That two processes hold one unit cannot be ruled out where a machine sleeps longer than the lease time. It costs
 * work and nothing else: both make the same bytes in folders of their own, and one rename puts them in place.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_BATCH_LEASE_H
#define CONVERT_BATCH_LEASE_H
#include "core/err.h"
#include "core/io.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { LEASE_BYTES = 512 }; /* of a file, at most */

enum lease_state {
	LEASE_FREE,   /* nobody has it, or whoever had it is gone */
	LEASE_UNSURE, /* somebody had it, and was not yet watched for long enough */
	LEASE_HELD    /* its owner's heart beats */
};

/* What was seen of the process that does a task. */
struct lease_watch {
	uint32_t task, number;
	char seen[LEASE_BYTES];
	double since; /* when these bytes were seen first, on our clock */
	bool moved;   /* they have changed since the first look */
};

struct lease {
	const struct io *io;
	int dir;         /* borrows; leases/ */
	const char *job; /* borrows; id */
	double seconds;  /* of the job: without a beat for so long a lease is stale */
	uint32_t task;   /* ours */
	uint32_t number; /* ours; 0: none */
	char who[320];   /* this process, as the file says it */
	uint64_t beats;
	pthread_t heart;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t wake;
	bool beating, stop;
	struct lease_watch *watched; /* owns */
	size_t n, cap;
};

/* Takes the lease of a task and begins to beat, from a thread of its own. Where another process may have it, it waits
 * for the lease time. stop (NULL: never) becomes not 0: it gives up (job.stopped). Returns -1 with job.running where the
 * other's heart beats. After -1 nothing is held. */
int lease_take(struct lease *l, const struct io *io, int dir, const char *job, double seconds,
	uint32_t task, const volatile sig_atomic_t *stop, struct err *e);
/* Says in the file that the process has let go, and ends the thread. A zeroed lease is none. */
void lease_release(struct lease *l);
/* Whether another process has taken our task over. */
bool lease_lost(struct lease *l);

/* Who has unit u. *number: that of its highest lease, 0: it has none. Any thread. */
enum lease_state lease_of_unit(struct lease *l, uint32_t u, uint32_t *number);
/* Makes the lease of unit u with that number plus one. *yes: it is ours; else another process was quicker. Any thread. */
int lease_take_unit(struct lease *l, uint32_t u, uint32_t number, bool *yes, struct err *e);

/* What the highest lease of a task says, for people: who, beats, and whether it was let go. */
struct lease_said {
	uint32_t number;     /* 0: there is none */
	bool released, gone; /* gone: its process is none of this machine any more */
	char host[65];
	uint64_t pid, beats;
};
int lease_read(struct lease_said *s, const struct io *io, int dir, uint32_t task, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
