/* progress.h -- how far a long run is: a bar that rewrites itself on a terminal five
 * times a second, a line every ten seconds elsewhere.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CORE_PROGRESS_H
#define CORE_PROGRESS_H
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct progress;

/* Starts reporting to out (borrows until progress_stop) on a thread of its own. NULL when it
 * cannot, or when out is NULL: the calls below take that and do nothing. */
struct progress *progress_start(FILE *out, const char *what, uint64_t total_bytes);
void progress_add(struct progress *p, uint64_t bytes); /* any thread */
/* Another word for what is done now; a string that stays. Any thread. */
void progress_say(struct progress *p, const char *what);
/* Clears the bar and frees p. */
void progress_stop(struct progress *p);

/* Seconds on a clock that only goes forward. */
double progress_now(void);

#ifdef __cplusplus
}
#endif
#endif
