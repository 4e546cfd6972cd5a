/* folder.h -- what is this path? Opened and looked at once, for every verb of both tools.
 *
 *	names in the folder  ->  manifest.json, if there is one  ->  headers, where the verb reads them
 *
 * The answer is a row of kind.h, and what the verb goes on with: the open folder and, for what can be read as one
 * checkpoint, that checkpoint with its findings. A verb that does not take the kind is refused here, with the rule
 * of the kind. Nothing but this decides what a folder is.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_FOLDER_FOLDER_H
#define FORMATS_FOLDER_FOLDER_H
#include "formats/folder/kind.h"
#include "formats/model/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

struct folder {
	const struct io *io;
	const char *path; /* borrows; as the user called it, for messages */
	int dir;          /* owns; of KIND_FILE the folder that it lies in; -1: none is open */
	enum kind kind;   /* what it is */
	enum kind
		under; /* of KIND_PARTIAL: what it would be; of KIND_FILE: what it lies in; else kind */
	char gguf[KIND_MORE]; /* of a path that is a GGUF file: its name in dir; else "" */
	char more[KIND_MORE]; /* which one of the kind, for messages; "": nothing to add */
	bool freed;           /* dsv4-reclaim.json lies there */
	bool unlisted; /* the same, and it cannot be read: which shards were freed is not known */
	bool has_ckpt; /* ckpt was opened */
	struct ckpt ckpt;      /* owns */
	struct findings found; /* owns; of ckpt */
};

/* Looks at path, for the use. Returns -1 where it cannot be looked at, or is of a kind that the use does not take
 * (with the rule of the kind); then nothing is left open. Where has_ckpt is set, what is wrong with the checkpoint
 * is in found. */
int folder_open(struct folder *f, const struct io *io, const char *path, enum use use,
	const struct ckpt_opts *o, struct err *e);
/* Returns -1 with kind.reclaimed where run --reclaim has freed shards of the open folder dir, which path names in messages:
 * for who takes a folder whose files are not all there yet. */
int folder_not_freed(const struct io *io, int dir, const char *path, struct err *e);
void folder_close(struct folder *f);
/* Hands the checkpoint over: *c is the caller's, who closes it. */
void folder_take(struct folder *f, struct ckpt *c);

#ifdef __cplusplus
}
#endif
#endif
