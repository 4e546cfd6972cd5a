/* partial.h -- a file that a run was told to stop in, and the record that lets the next run go on in it.
 *
 *	.NAME.TOKEN.part                 the file, of its full size; its first bytes are made
 *	.NAME.manifest.json.TOKEN.part   the record: a sidecar of these bytes, as if they were a file of their own that
 *	                                 ends with a tensor; then a line
 *
 *	dsv4-partial-1 SOURCE SEAL
 *
 * SOURCE is a digest of the identity of the source's shards: size, inode, times. SEAL is the SHA-256 of all before
 * it. A record is believed if its seal is right, it is of this plan and this version, and the source is the one
 * that the bytes were made of; the bytes are believed when they have been read again and have the digests of the
 * record. Whatever is not believed is removed, and the file is begun anew: a record and its file are trusted as far
 * as the folder is, and not further than finished files in it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_OUT_PARTIAL_H
#define CONVERT_OUT_PARTIAL_H
#include "convert/out/account.h"
#include "core/file.h"
#include "formats/conversion/sidecar.h"

#ifdef __cplusplus
extern "C" {
#endif

/* True if name is one of the two temporary names of such a file, and both are regular files of the folder. */
bool partial_paired(const struct io *io, int dir, const char *name);
/* Removes the record of part, and both names. */
int partial_forget(const struct io *io, int dir, const char *part, struct err *e);
int partial_remove(const struct io *io, int dir, const char *part, struct err *e);

/* Whether a record has all that the first n steps of f found out. */
bool partial_has(const struct plan_file *f, size_t n);
/* Writes the record of a, whose file out has been left (file_out_leave), and syncs the folder. */
int partial_save(const struct file_out *out, const struct account *a, struct err *e);

/* What is known of the first bytes of a file. */
struct partial {
	uint64_t bytes; /* 0: nothing */
	size_t steps;
	bool base; /* they are those of a file of another conversion (base.h), and have no record */
	struct xxh_digest *chunks; /* owns; [bytes / MAN_CHUNK, rounded up] */
};
/* Reads the record of part, of file f of plan p, and puts the results of its steps into s->res. Returns 0; nothing
 * is known if the record is not to be believed, and *why says so; or -1 where that could not be found out. */
int partial_load(struct partial *k, const struct io *io, int dir, const char *part,
	const struct plan *p, const struct plan_file *f, const char *tool, struct stream *s,
	const char **why, struct err *e);
/* Puts what a sidecar says of its tensor i into the result of that step. Returns false if it is not that of the step. */
bool partial_step(const struct sidecar *a, size_t i, const struct step *s, struct step_result *res);
void partial_free(struct partial *k);

#ifdef __cplusplus
}
#endif
#endif
