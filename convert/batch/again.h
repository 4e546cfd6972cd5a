/* again.h -- what a network file system refuses once (ESTALE, EIO, a name that it does not see yet) is tried again.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_BATCH_AGAIN_H
#define CONVERT_BATCH_AGAIN_H
#include "core/err.h"

#include <signal.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { AGAIN_TRIES = 5 }; /* of one step, the first among them: 7.5 seconds */

/* Zeroed but for note and stop: nothing has failed yet. */
struct again {
	unsigned failed;                   /* how often, since the last success */
	void (*note)(const char *s);       /* is told why; may be NULL */
	const volatile sig_atomic_t *stop; /* becomes not 0: give up; NULL: never */
};

/* To be called after a step has failed with e. Returns true if it is to be done again: then *e is cleared, and some time has
 * passed: half a second, and twice as long after each failure. Returns false, and leaves *e, where something was found false,
 * where stop is not 0, or where the step has failed AGAIN_TRIES times. */
bool again_worth(struct again *a, struct err *e);
/* Passes some seconds; ends early when stop becomes not 0. */
void again_rest(double seconds, const volatile sig_atomic_t *stop);

#ifdef __cplusplus
}
#endif
#endif
