/* folders.h -- the folders that a run writes: found to be ours, locked, filled by lanes, finished one after
 * the other.
 *
 *	look     refuses what begin would refuse, changes nothing
 *	begin    makes, locks and claims the folders that get weights
 *	         lanes fill them, see lane.h
 *	finish   small files and manifest of each folder in the order of the conversion; of a set at last
 *	         OUT/manifest.json, which lists the folders with the digests of their manifests
 *	end      removes what was not published, lets go
 *
 * A manifest that names another folder's is removed before anything in that folder changes: what it says
 * would not be so any more.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_RUN_FOLDERS_H
#define CONVERT_RUN_FOLDERS_H
#include "convert/out/publish.h"
#include "convert/run/anew.h"
#include "convert/run/run_opts.h"

#include <pthread.h>

#ifdef __cplusplus
extern "C" {
#endif

struct out_folder {
	const struct plan *p; /* borrows */
	bool open;            /* dir and pub are there */
	struct outdir dir;
	struct publisher pub;
	size_t made, kept;      /* files */
	uint64_t written;       /* bytes of the files made */
	size_t went_on;         /* of those: files in which an earlier run was told to stop */
	uint64_t went_on_bytes; /* that it had made of them */
	size_t linked;          /* of those made: files of the base (convert/out/base.h) */
	uint64_t linked_bytes;
};

struct folders {
	const struct conversion *c; /* borrows */
	const struct run_opts *o;   /* borrows */
	struct outdir top;          /* of a set: OUT, locked; else fd is -1 */
	struct owned old;           /* with --overwrite: the conversion that OUT holds */
	struct out_folder *v;       /* owns; [c->n] */
	pthread_mutex_t lock;       /* guards what follows, and the numbers of the folders */
	struct run_anew anew;
};

/* Returns the folder OUT, which the other folders lie in; f owns it. */
struct outdir *folders_top(struct folders *f);

/* File name of d is begun anew, although an earlier run was told to stop in it. why: a literal. Any thread. */
void folders_anew(struct folders *f, const struct out_folder *d, const char *name, const char *why);

/* Refuses what folders_begin would refuse for the names in OUT and in its folders; changes nothing. *there:
 * bytes of the conversion that need no free space. atlas: as in run_opts. */
int folders_look(const struct conversion *c, const char *out, bool overwrite, bool atlas,
	uint64_t *there, struct err *e);

/* What a killed run --follow has left is removed, unless o makes some files only. With --overwrite it also removes what a finished conversion in OUT has under names that this one does not write, once
 * all else was accepted. Returns 0, or -1. In both cases folders_end is needed. */
int folders_begin(struct folders *f, const struct conversion *c, const struct run_opts *o,
	struct err *e);

/* Opens folder k, which has no files of weights, before folders_finish would: only folders above it are open by then. */
int folders_open_early(struct folders *f, size_t k, struct err *e);

/* Shard i of the source has this SHA-256: publishes what waited for it. Returns -1 if another one was
 * expected. Any thread. */
int folders_shard(struct folders *f, size_t i, const uint8_t sha256[32], struct err *e);

/* How many files are published or kept, and their bytes. Any thread. */
void folders_finished(struct folders *f, size_t *files, uint64_t *bytes);

/* All files are published or kept: makes what is left. */
int folders_finish(struct folders *f, struct err *e);

/* Removes what was not published. undo: also what this run has published, because the source turned out
 * false; what an earlier run left is as it was. */
void folders_end(struct folders *f, bool undo);

/* Puts the place of a folder before the message in e. Returns -1. */
int out_folder_err(const struct out_folder *d, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
