/* joined.h -- a set of converted folders read as the checkpoint that it was made of.
 *
 * The headers in OUT/source say what the tensors are; the sidecars of the rank folders say which part of
 * each lies where and how it was laid out. Every tensor of the source can so be read as if it were
 * there, from one rank or joined from several, and everything that works on a checkpoint works on this:
 * the way back (restore) and to another form (reshard) are ordinary conversions of it.
 *
 *	source tensor  =  one piece, or pieces side by side by rows or by columns
 *	piece          =  a run of a file, plain, or laid out for an engine, or in another number format
 *
 * A folder of target hf, or of dsv4-quant, GGUF or not, is such a set too: of one folder, itself.
 *
 * Manifests are held to their digests before they are believed: folder by folder from OUT/manifest.json
 * down to the sidecars. What was taken apart is held to the digest of when it was made.
 *
 * Two kinds of readers want different things. The way back (restore, reshard) wants the source, and takes it
 * from wherever it is whole. Who speaks of the conversion itself (logits, doctor) asks for every file
 * (joined_opts.every), since an engine reads every header and every rank computes with its own copy:
 *
 *	every header    has the tensors of its sidecar
 *	every tensor    has the name, type, shape and layout that the target makes of its source
 *	every rank      has all tensors of its stage that are no experts, whole or its part
 *	every copy      of a tensor that several ranks hold has the same bytes, wherever one is read
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_JOINED_H
#define FORMATS_CONVERSION_JOINED_H
#include "formats/conversion/chain.h"
#include "formats/model/checkpoint.h"
#include "formats/layout/rowmap.h"
#include "formats/layout/tile.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Elements of the source that lie there in a wider type, one by one, without scales or blocks. */
enum joined_wide {
	JOINED_AS_IT_IS,
	JOINED_E8M0_F32, /* scales */
	JOINED_BF16_F32,
	JOINED_I64_I32, /* ids, in a narrower one */
	JOINED_WIDES
};

struct piece {
	uint32_t tensor; /* of the source */
	uint32_t file;
	uint64_t at;        /* byte in the file */
	uint64_t row, rows; /* of the tensor */
	uint64_t col, cols; /* bytes of a row */
	uint64_t
		stride; /* of a table as records: bytes from a row to the next; 0: rows lie one after the other */
	const struct tile *tile; /* NULL: plain */
	const struct rowmap *map;
	uint32_t parts, part;
	uint32_t cast; /* number of a cast in joined, from 1; 0: it is none */
	uint8_t wide;  /* enum joined_wide */
	bool has_xxh;  /* digest of the piece, row by row */
	struct xxh_digest xxh;
	size_t copy, copies; /* other files have it too: joined.copies[copy .. copy + copies] */
};

/* Two number formats of a matrix: as the source has it, and as it lies there. */
struct joined_form {
	uint8_t from, to; /* enum codec; to is CODEC_NONE where blocks is set */
	uint32_t rows, cols;
	bool blocks;     /* it lies there in rows of ggml */
	uint32_t ggml;   /* of which type (formats/gguf/ggml_type.h) */
	uint64_t stride; /* bytes from one row of those to the next */
};

/* A matrix as it lies there, in memory. */
struct joined_matrix {
	const uint8_t *codes;
	const uint8_t *scales, *second; /* NULL: the format has none */
	const uint8_t *kept;            /* what was kept of it beside, n_kept bytes */
	size_t n_kept;
};

/* A matrix that was written in another number format without loss. */
struct joined_cast {
	uint32_t file, weight, scale; /* the tensors of the source */
	struct joined_form
		form; /* of the cast of FP4 to FP8 with F32 scales: as if they were E8M0 */
	/* Places in the file; UINT64_MAX: not known. */
	uint64_t at, t_at, second_at, zero_at;
	uint64_t bytes, t_bytes, zero_bytes; /* of codes, scales and zero points there */
	uint64_t kept_at, kept_bytes;        /* of what it dropped, in the file beside */
};
/* The way back, and the room it needs, of which formats cannot know: quant/back.h has both. work returns 0 where there
 * is no way. */
struct joined_uncast {
	size_t (*work)(const struct joined_form *f);
	int (*back)(const struct joined_form *f, const struct joined_matrix *m, uint8_t *codes,
		uint8_t *scales, uint8_t *work, struct err *e);
};

struct joined_file {
	int fd; /* owns */
	uint64_t bytes;
	int kept; /* owns; NAME.dropped, -1: there is none */
	uint64_t kept_bytes;
	char *name; /* owns; for messages: below OUT */
	uint32_t
		folder; /* number of the folder that it is in, from 1; of vllm-sharded: its rank, from 1, and 0 of
			  * drafts, which no rank has */
	uint32_t stage; /* of the model that the folder holds */
};

struct joined_opts {
	uint64_t header_cap; /* 0: ST_HEADER_CAP */
	unsigned features;   /* of the processor */
	const struct joined_uncast
		*uncast; /* quant_back; NULL: what is in another number format is refused */
	bool lies; /* such matrices are read as they lie there (joined_lies), whether or not there is a way back */
	bool every; /* look at every header and every copy */
};

struct joined {
	const struct ckpt *c;
	struct joined_opts o;
	struct joined_file *files; /* owns */
	size_t n_files, files_cap;
	struct piece *pieces; /* owns; by tensor, then row, then column; none twice */
	size_t n_pieces, pieces_cap;
	struct piece *
		copies; /* owns; with o.every those that are there a second time, in the same order */
	size_t n_copies;
	struct joined_cast *casts; /* owns */
	size_t n_casts, casts_cap;
	uint32_t *cast_of; /* owns; [c->n] of a scale: number of its cast, from 1 */
	size_t *first;     /* owns; [c->n + 1]: pieces of tensor i are first[i] .. first[i + 1] */
	bool *has;         /* owns; [c->n] the pieces make all of it */
	bool *has_xxh;     /* owns; [c->n] */
	struct xxh_digest *xxh; /* owns; [c->n] of the whole tensor */
	char target[64];
	uint32_t n_folders; /* with weights; the largest number that a file has as its folder */
	uint64_t ranks;     /* of a set, or of files of ranks in one folder; else 1 */
	bool part;          /* a manifest says that it was made of some layers only */
	bool no_drafts;     /* a manifest says that it was made without its drafts */
	char missing[256];  /* names of folders that are not there */
	uint64_t packed,
		plain;      /* bytes of the largest matrix laid out, and of a tensor from such */
	uint32_t rows;      /* of the largest such matrix */
	uint64_t cast_room; /* to take back the largest cast */
	uint8_t (*shard_sha256)[32]; /* owns; [c->n_shards] what c->shards[].sha256 points to */
	struct ckpt_payload payload; /* what c->payload points to */
};

/* Opens the source headers in OUT, the open folder dir, which is not kept, as *c and joins the folders that are
 * there; a folder that is missing is told only to who asks for what it had. On success c->payload is this; on failure
 * neither is open. */
int joined_open(struct joined *j, struct ckpt *c, const struct io *io, int dir,
	const struct joined_opts *o, struct findings *f, struct err *e);
void joined_close(struct joined *j);

/* Returns the n pieces of a tensor that is laid out for an engine; NULL where it is not, or is not there. */
const struct piece *joined_packed(const struct joined *j, uint32_t tensor, size_t *n);
/* Reads the first n bytes of a piece as they lie in its file, through a reader of j->payload; with o.every all copies
 * of the piece must have the same. */
int joined_piece_read(const void *reader, const struct piece *p, void *dst, size_t n,
	struct err *e);
/* With o.lies: returns how a matrix that is in another number format lies there, by its weight; NULL where it is as in
 * the source, or is not there. */
const struct joined_cast *joined_lies(const struct joined *j, uint32_t weight);
/* Reads all of it, through a reader of j->payload: its codes (c->bytes), its scales (c->t_bytes) with its zero
 * points behind them (c->zero_bytes), and the four bytes of its factor where its format has one; others than codes may be NULL where the format has none. */
int joined_lies_read(const void *reader, const struct joined_cast *c, void *codes, void *scales,
	void *second, struct err *e);
/* Returns the bytes of memory that the pieces take. */
uint64_t joined_bytes(const struct joined *j);

/* --- between the files joined*.c --- */

/* Bytes of records that are read at once: a good read. */
enum { JOINED_RUN = 256 << 10 };

/* Adds the pieces that the tensors of a file are, by its sidecar, and what it says of digests; *file is the
 * index of the file in j->files, whose NAME.dropped is open if there is one. Rules: set.form, set.layout, set.codec. */
int joined_pieces(struct joined *j, uint32_t file, const struct sidecar *s, struct err *e);
/* Makes the pieces of a tensor in rows of ggml, and what takes them back; pieces first .. j->n_pieces have its sources. */
int joined_blocks(struct joined *j, uint32_t file, uint64_t data_at, const struct sidecar_tensor *t,
	size_t first, struct err *e);
/* Whether the tensor t of a sidecar, whose pieces begin at p, is what the target makes of its sources. Rule: set.form. */
int joined_form(const struct joined *j, const struct sidecar *s, const struct sidecar_tensor *t,
	const struct piece *p, struct err *e);
/* Whether all ranks have what they should, and copies lie in the same form; not looked at where folders are missing.
 * Rules: set.form, rank.uneven. */
int joined_ranks(const struct joined *j, struct err *e);
/* How j is read, once its pieces are in order. */
struct ckpt_payload joined_payload(struct joined *j);

#ifdef __cplusplus
}
#endif
#endif
