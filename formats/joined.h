/* joined.h -- a set of converted folders read as the checkpoint that it was made of.
 *
 * The headers in OUT/source say what the tensors are; the sidecars of the rank folders say which part of
 * each lies where and how it was laid out. Every tensor of the source can so be read as if it were
 * there, from one rank or joined from several, and everything that works on a checkpoint works on this:
 * the way back (restore) and to another form (reshard) are ordinary conversions of it.
 *
 *	source tensor  =  one piece, or pieces side by side by rows or by columns
 *	piece          =  a run of a rank's file, plain, or laid out for an engine
 *
 * Manifests are held to their digests before they are believed: folder by folder from OUT/manifest.json
 * down to the sidecars. What was taken apart is held to the digest of when it was made.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_JOINED_H
#define FORMATS_JOINED_H
#include "formats/checkpoint.h"
#include "formats/rowmap.h"
#include "formats/tile.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SET_SOURCE "source" /* the folder of a set that has the headers */

struct piece {
	uint32_t tensor; /* of the source */
	uint32_t file;
	uint64_t at;             /* byte in the file */
	uint64_t row, rows;      /* of the tensor */
	uint64_t col, cols;      /* bytes of a row */
	const struct tile *tile; /* NULL: plain */
	const struct rowmap *map;
	uint32_t parts, part;
	bool has_xxh; /* digest of the piece, row by row */
	struct xxh_digest xxh;
};

struct joined_file {
	int fd; /* owns */
	uint64_t bytes;
	char *name; /* owns; for messages: below OUT */
};

struct joined {
	const struct ckpt *c;
	unsigned features;
	struct joined_file *files; /* owns */
	size_t n_files, files_cap;
	struct piece *pieces; /* owns; by tensor, then row, then column; none twice */
	size_t n_pieces, pieces_cap;
	size_t *first; /* owns; [c->n + 1]: pieces of tensor i are first[i] .. first[i + 1] */
	bool *has;     /* owns; [c->n] the pieces make all of it */
	bool *has_xxh; /* owns; [c->n] */
	struct xxh_digest *xxh; /* owns; [c->n] of the whole tensor */
	char target[64];
	char missing[256]; /* names of folders that are not there */
	uint64_t packed,
		plain; /* bytes of the largest matrix laid out, and of a tensor from such */
	uint32_t rows; /* of the largest such matrix */
	struct ckpt_payload payload; /* what c->payload points to */
};

/* Opens the source headers in OUT as *c and joins the folders that are there; a folder that is missing
 * is told only to who asks for what it had. On success c->payload is this. */
int joined_open(struct joined *j, struct ckpt *c, const struct io *io, const char *out,
	uint64_t header_cap, unsigned features, struct findings *f, struct err *e);
void joined_close(struct joined *j);

#ifdef __cplusplus
}
#endif
#endif
