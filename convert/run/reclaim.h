/* reclaim.h -- a run that frees shards of its source as it goes on, for disks that cannot hold source and output side by side.
 *
 * Of every tensor the source or the output lies on the disk, whatever breaks the run off. The order of things is
 *
 *	OUT/source      headers and small files of the source are there, synced and read again, before anything is freed
 *	a file          is synced, has its name, its folder is synced; it is read again from the device, with its sidecar
 *	                and what casts dropped, and has its digests
 *	a shard         of which all files are so far: its SHA-256 was the one that is published, and it is still the file
 *	                that was read
 *	OUT/dsv4-only-copy.json  lists it and its files (formats/conversion/freed.h), replaced in one step and synced: from then on no
 *	                other run writes to OUT
 *	DIR/dsv4-reclaim.json    the same
 *	the shard       is removed, and DIR synced
 *
 * A run after that opens the source with the headers in OUT/source, holds the files of shards that are gone to that list,
 * and makes the others as any run does.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_RUN_RECLAIM_H
#define CONVERT_RUN_RECLAIM_H
#include "convert/run/folders.h"
#include "convert/run/forecast.h"
#include "convert/run/job.h"
#include "formats/conversion/freed.h"

#ifdef __cplusplus
extern "C" {
#endif

enum reclaim_state { RECLAIM_TODO, RECLAIM_BUSY, RECLAIM_DONE };

struct reclaim {
	/* Of the source, from reclaim_open on. */
	const struct io *io;   /* borrows */
	struct freed list;     /* owns; of DIR, or where that has none, of OUT */
	struct freed kept;     /* owns; of OUT: what it may be the only copy of */
	struct ckpt_gone gone; /* owns names; dir: OUT/source */
	size_t n_gone;         /* shards that an earlier run has freed */
	bool there;            /* the list was there */
	int dir;               /* owns; DIR, locked against other runs that free; -1: not open */

	/* Of the conversion, from reclaim_plan on. */
	struct ckpt *ckpt;           /* borrows; its shards lose their files */
	const struct conversion *c;  /* borrows */
	const char *tool;            /* borrows */
	struct forecast forecast;    /* owns */
	struct forecast_needs needs; /* owns */
	uint8_t *files, *shards;     /* own; enum reclaim_state; [needs.n], [needs.n_shards] */
	uint8_t (*header)[32]; /* owns; [needs.n_shards] SHA-256 of the headers in OUT/source */

	/* Of the run. */
	struct folders *f;               /* borrows */
	const struct expected *expected; /* borrows */
	pthread_mutex_t lock;            /* guards files, shards, list and what follows */
	size_t n_freed;                  /* by this run */
	uint64_t bytes_freed;
};

/* Looks what an earlier run has freed of the source in dir, and finds the headers of that below out. Then ckpt_opts.gone is to be
 * &r->gone where r->n_gone is not 0. Returns 0 or -1; reclaim_close is needed in both cases. */
int reclaim_open(struct reclaim *r, const struct io *io, const char *dir, const char *out,
	struct err *e);
/* Takes the plan of j, which was opened with r->gone and is to be run by tool into the folder at path out; borrows both while the run lasts. word: what the
 * user says is the hash of the plan. The budget of j becomes one for a run that frees. Returns 0, or -1 with a rule reclaim.*
 * where something must not be freed. */
int reclaim_plan(struct reclaim *r, struct job *j, const char *out, const char *word,
	const char *tool, struct err *e);
/* Releases all of it, and the lock on DIR; a zeroed *r is left as it is. */
void reclaim_close(struct reclaim *r);

/* Is called when the folders are open; borrows f while the run lasts. Puts what restore needs into OUT, and takes the files of
 * shards that are gone. Returns 0, or -1 with reclaim.lost where one of those is not as it is listed. */
int reclaim_begin(struct reclaim *r, struct folders *f, struct err *e);
/* Removes from the open folder dir the unfinished files that a killed run has left of the list of that name. Returns 0 or -1. */
int reclaim_sweep(const struct io *io, int dir, const char *list, struct err *e);
/* Fills *it, which the caller frees, with the files that are not made yet, in the order of the forecast. Returns 0, or -1 when memory
 * is out. */
int reclaim_items(struct reclaim *r, struct items *it, struct err *e);
/* Is called by any thread when something was finished: reads back what is published, and frees the shards that nothing needs any
 * more. Returns 0, or -1 with what did not hold; then nothing more is freed by this call. */
int reclaim_step(struct reclaim *r, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
