/* follow_opts.h -- what is asked of a run that follows a download.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_FOLLOW_FOLLOW_OPTS_H
#define CONVERT_FOLLOW_FOLLOW_OPTS_H
#include "convert/run/job.h"

#include <signal.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct follow_opts {
	const struct io *io;        /* borrows */
	const char *dir, *out;      /* paths */
	const struct job_opts *job; /* borrows */
	const char *tool;           /* name and version, for manifests */
	double timeout; /* seconds for which nothing may change in the folder before it gives up */
	double settle; /* seconds for which it must be at rest when all shards are verified: small files may come last */
	unsigned threads;                  /* that digest; at least 1 */
	FILE *watch;                       /* where a person watches; NULL: nowhere */
	const volatile sig_atomic_t *stop; /* becomes not 0: give up; NULL: never */
	void (*note)(const char *s);       /* a sentence for who watches; NULL: nobody does */
};

#ifdef __cplusplus
}
#endif
#endif
