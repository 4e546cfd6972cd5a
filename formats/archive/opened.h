/* opened.h -- which open files and folders belong to archives: a table by their numbers, for archive_io.h.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_ARCHIVE_OPENED_H
#define FORMATS_ARCHIVE_OPENED_H
#include "formats/archive/listing.h"
#include "formats/archive/seek.h"

#include <pthread.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The list of an archive, as long as anything of it is open. */
struct opened_list {
	struct listing l; /* owns */
	unsigned refs;    /* guarded by opened_table.lock */
};

/* An open folder of an archive, or an open file of one. */
struct opened {
	struct opened_list *list; /* one of its refs */
	char path[LISTING_PATH];  /* below the archive; "" is the archive itself */
	bool folder;
	struct seek seek; /* owns; of a file */
	uint64_t serial;  /* of a file: which one since the start, as numbers are used again */
	struct err why;   /* what was found damaged last; guarded by opened_table.lock */
};

/* Zeroed with its lock made = empty. */
struct opened_table {
	pthread_rwlock_t lock;
	struct opened **v; /* owns; [n], by number of the file; NULL: it belongs to no archive */
	size_t n;
	uint64_t serial;
	struct err why; /* as that of a file, of what is not open */
};

/* Returns what fd is, NULL if it belongs to no archive. It stays until fd is closed. */
struct opened *opened_of(struct opened_table *t, int fd);
/* Makes one of that path below the archive of that list, or, where list is NULL, of one whose list is to be read; it is the
 * caller's until it is noted. NULL when memory is out. */
struct opened *opened_new(struct opened_table *t, struct opened_list *list, const char *path);
void opened_free(struct opened_table *t, struct opened *o);
/* Takes o over under fd. Returns -1 when memory is out. */
int opened_note(struct opened_table *t, int fd, struct opened *o);
/* Forgets fd. */
void opened_drop(struct opened_table *t, int fd);
/* Forgets everything. */
void opened_end(struct opened_table *t);
/* Keeps why for whoever asks about o, or about what is not open where o is NULL. */
void opened_blame(struct opened_table *t, struct opened *o, const struct err *why);
/* Returns -1 with what was kept, or 0 where nothing was. */
int opened_fault(struct opened_table *t, struct opened *o, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
