/* lookout.h -- sleeps until something changes in some folders, or some seconds are over.
 *
 * Where the system tells of changes (inotify) a sleeper looks by itself every half minute only; on network file systems, which
 * do not tell of what other machines do, every five seconds.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_FOLLOW_LOOKOUT_H
#define CONVERT_FOLLOW_LOOKOUT_H
#include "core/io.h"

#include <signal.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lookout {
	const struct io *io; /* borrows */
	int fd;              /* owns; -1: the system tells of nothing */
	bool deaf;           /* one of the folders is where changes are not told of */
};

/* Makes one that looks at no folder yet; it cannot fail. The caller closes it with lookout_close. */
void lookout_open(struct lookout *l, const struct io *io);
/* Looks at the folder at path too; one that is not there, or cannot be looked at, is left out. */
void lookout_add(struct lookout *l, const char *path);
/* Sleeps for at most so many seconds, and less where something changes or *stop (which may be NULL) becomes not 0. */
void lookout_wait(struct lookout *l, double seconds, const volatile sig_atomic_t *stop);
void lookout_close(struct lookout *l);

#ifdef __cplusplus
}
#endif
#endif
