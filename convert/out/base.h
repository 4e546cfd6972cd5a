/* base.h -- a finished conversion of an earlier release, of which files are taken that would be made again with the same bytes.
 *
 *	file of the plan   is a file there   if
 *	                                     options, folder, name, version of this program and the header are the same,
 *	                                     each tensor came about by the same step of the same tensors, of which that
 *	                                     conversion has digests, and of these the new source has the same ones
 *
 * It is linked, or its blocks are shared where the file system can, under the temporary name of an unfinished file, and then read as such
 * a file (partial.h): only if it has the digests of its sidecar it gets its name. Everything else is made. Digests of the new source
 * are computed from its bytes, all of them.
 *
 * With base_from.tables the files are those of Engram tables alone, and target and options may be others: what such a file holds
 * depends on its tensors' steps and sources.
 *
 * Files that have something beside them (NAME.dropped), with rounded blocks or of steps that partial_has does not know, and tensors
 * of which a rank took a part, are made.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_OUT_BASE_H
#define CONVERT_OUT_BASE_H
#include "convert/out/partial.h"
#include "convert/plan/conversion.h"
#include "core/progress.h"
#include "formats/conversion/manifest.h"
#include "formats/model/checkpoint.h"

#include <signal.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where files are taken from. */
struct base_from {
	const char *path; /* borrows; of the folder */
	bool tables;      /* tables of Engram that lie in files of their own, and nothing else */
};

struct base {
	const struct io *io;
	const struct ckpt *c; /* borrows; the new source */
	const char *tool;     /* borrows; of this program */
	bool tables;          /* as in base_from */
	int top;              /* owns; -1: none is open */
	struct base_folder
		*folders; /* owns; those that have weights, in the order of the manifest */
	struct manifest_file
		*files; /* owns; those of weights, of a folder together; names are in the arena */
	size_t n_folders, folders_cap, n_files, files_cap;
	struct xxh_digest *xxh; /* owns; [c->n] what the conversion says of a tensor of that name */
	bool *has, *same; /* own; [c->n] it says so; the tensor of the new source has that digest */
	struct arena arena;
};

/* The option that asks for it. */
const char *base_option(const struct base_from *from);
/* Opens the finished conversion at from->path and digests those tensors of c of which it knows a digest. threads: of this machine; stop
 * (may be NULL) becomes not 0: it gives up. Returns -1 where that is no finished conversion that is held together by its
 * digests, where c is no checkpoint as downloaded, or the source cannot be read. On failure *b is closed. */
int base_open(struct base *b, const struct ckpt *c, const struct base_from *from, const char *tool,
	unsigned threads, const volatile sig_atomic_t *stop, struct progress *progress,
	struct err *e);
/* b may be zeroed. */
void base_close(struct base *b);

/* Looks for file f of plan p. If it is there and may be taken, it lies under its temporary name in the open folder dir, out is open,
 * k says what is known of it (all bytes) and the results of its steps are in s; else k->bytes is 0 and nothing has changed. Returns
 * -1 where that cannot be found out. */
int base_offer(const struct base *b, const struct plan *p, const struct plan_file *f, int dir,
	struct stream *s, struct partial *k, struct file_out *out, struct err *e);

/* *bytes: of the files of p that base_offer would offer now. */
int base_bytes(const struct base *b, const struct plan *p, uint64_t *bytes, struct err *e);

/* The main reason why a run that made every file of c, none of them in part before, took nothing of b: a clause for people, static;
 * NULL where it cannot be found out. c is of the source with which b was opened. */
const char *base_unused(const struct base *b, const struct conversion *c);

#ifdef __cplusplus
}
#endif
#endif
