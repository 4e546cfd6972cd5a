/* team.h -- the threads of a run in teams, each of which advances a few files together.
 *
 * SHA-256 of one file cannot be divided among threads, but the pieces of several files are digested in
 * lockstep in less time than one after the other. So a team has up to SHA256_LANES lanes, and each of its
 * threads does what is most useful now, one thing at a time:
 *
 *	all lanes have a piece that waits    digest these pieces, in lockstep
 *	a lane has room for a piece          begin an item, or make the next piece and write it
 *	some lanes have a piece that waits   digest these
 *	others work on all lanes             wait
 *
 * With one thread that is read, transform, digest, write, a piece of each file at a time. With two threads
 * and one file it is one thread that makes and writes, and one that digests. A thread whose team has nothing
 * left helps another team.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_RUN_TEAM_H
#define CONVERT_RUN_TEAM_H
#include "convert/run/lane.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Takes up all items on budget.threads threads, and returns 0 when all are done; or -1 when one failed or
 * o->stop was set: then others may be in any state. */
int team_run(struct lanes *r, struct items *items, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
