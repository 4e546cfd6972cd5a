/* delta.h -- in what two releases of a checkpoint differ: tensor by tensor, and file by file of what a conversion makes of each.
 *
 *	delta_take     of each release: what its tensors are (roles), while its audit is at hand
 *	delta_tensors  tensors of one name, type and shape are digested in both, unless both lie in one blob of a hub's cache
 *	delta_files    of a conversion of each: files of one name, header, steps and equal sources are the same
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_OUT_DELTA_H
#define CONVERT_OUT_DELTA_H
#include "convert/plan/conversion.h"
#include "core/progress.h"
#include "formats/model/audit.h"

#include <signal.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How a tensor compares. */
enum delta_is {
	DELTA_SAME,  /* type, shape and bytes are equal */
	DELTA_BYTES, /* type and shape are equal */
	DELTA_FORM,  /* another type or shape */
	DELTA_NEW,   /* only the new release has it */
	DELTA_GONE,  /* only the old release has it */
	DELTA_KINDS
};

/* How an output file compares. */
enum delta_file_is {
	DELTA_FILE_SAME,    /* the same bytes; run --base may take it */
	DELTA_FILE_MADE,    /* the same bytes, of a kind that run --base does not take (base.h) */
	DELTA_FILE_CHANGED, /* another header, another step, or a source tensor that is not the same */
	DELTA_FILE_UNKNOWN, /* equal header and sources, but how it is made is not told in full */
	DELTA_FILE_NEW,
	DELTA_FILE_GONE,
	DELTA_FILE_KINDS
};

/* A number of things, and their bytes: of the new release where it has them, else of the old one. */
struct delta_sum {
	uint64_t n, bytes;
};

/* The tensors of one role. */
struct delta_role {
	const struct role *role; /* static */
	bool scale;              /* they are the scales of that role */
	struct delta_sum sum[DELTA_KINDS];
};

enum { DELTA_OLD, DELTA_RECENT, DELTA_SIDES };

/* One of the two releases. */
struct delta_side {
	const struct ckpt *c; /* borrows */
	uint32_t *role;       /* owns; [c->n] which of delta.roles tensor i has */
	uint8_t *is;          /* owns; [c->n] enum delta_is; set by delta_tensors */
	bool *read;           /* owns; [c->n] it is to be digested */
	size_t *other; /* owns; [c->n] that of the same name in the other release; SIZE_MAX: none */
};

struct delta_file {
	const char *folder, *name; /* borrow from the conversions */
	uint64_t bytes;
	enum delta_file_is is;
};

struct delta {
	struct delta_side side[DELTA_SIDES];
	struct delta_role *roles; /* owns */
	size_t n_roles, roles_cap;
	struct delta_sum sum[DELTA_KINDS];
	struct delta_sum
		unread; /* of the same: not read, as both are in blobs of one SHA-256 name */
	struct delta_file
		*files; /* owns; in the order of the new conversion, those that are gone last */
	size_t n_files, files_cap;
	struct delta_sum file_sum[DELTA_FILE_KINDS];
	bool has_files; /* delta_files was called */
};

/* Takes the checkpoint of a, which must be sound, as one side of a zeroed d; a may be freed afterwards, its checkpoint not. */
int delta_take(struct delta *d, unsigned side, const struct audit *a, struct err *e);
/* Compares the tensors of both sides, and holds every file that was read to what it was when it was opened. Returns -1 where the
 * releases are of different families, cannot be read, or were changed. threads, stop, progress: as tensor_xxh has them. */
int delta_tensors(struct delta *d, unsigned threads, const volatile sig_atomic_t *stop,
	struct progress *progress, struct err *e);
/* Bytes that delta_tensors reads of both sides at most. */
uint64_t delta_work(const struct delta *d);
/* Compares the files of weights of two conversions with the same options, of the two sides of d, after delta_tensors. Both
 * stay as long as d. */
int delta_files(struct delta *d, const struct conversion *was, const struct conversion *now,
	struct err *e);
/* d may be zeroed. */
void delta_free(struct delta *d);

#ifdef __cplusplus
}
#endif
#endif
