/* checkpoint.h -- all shards of a model folder behind one sorted list of tensors.
 *
 * Opening reads config.json, the index and every header, no payload, and cross-checks them both
 * ways; whatever is wrong goes to findings, and what could be read stays usable. Nothing is mapped.
 * After opening a checkpoint is read-only and may be used from several threads.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_CHECKPOINT_H
#define FORMATS_MODEL_CHECKPOINT_H
#include "core/err.h"
#include "core/io.h"
#include "core/hash/xxh.h"
#include "formats/link.h"
#include "formats/model/config.h"
#include "formats/model/index.h"
#include "formats/finding.h"
#include "formats/st/safetensors.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CKPT_INDEX_CAP (64u << 20) /* bytes */

/* Where payload comes from that does not lie in the shards. Several threads may use it. */
struct ckpt_payload {
	void *ctx;
	void *(*open)(void *ctx); /* a reader, for one thread; NULL: no memory */
	void (*close)(void *reader);
	size_t (*need)(void *ctx); /* bytes that a reader holds */
	/* Bytes off..off+n of tensor i. */
	int (*read)(void *reader, uint32_t i, uint64_t off, uint8_t *dst, size_t n, struct err *e);
	bool (*has)(void *ctx, uint32_t i); /* all of it can be read */
	const char *(*missing)(void *ctx);  /* what is not there, for messages; NULL: nothing */
	/* An error if tensor i is known to have another digest. */
	int (*check)(void *ctx, uint32_t i, const struct xxh_digest *d, struct err *e);
};

/* For a payload that has all tensors, and knows no digest of any: its has, missing and check. */
bool ckpt_payload_has_all(void *ctx, uint32_t i);
const char *ckpt_payload_misses_none(void *ctx);
int ckpt_payload_knows_none(void *ctx, uint32_t i, const struct xxh_digest *d, struct err *e);

#define CKPT_HEADER ".header" /* after a shard's name: its first bytes, without payload */

/* Shards that were in the folder once, of which another folder has the headers (NAME.header). */
struct ckpt_gone {
	const char *const *names; /* [n] */
	size_t n;
	int dir;
};

struct ckpt_opts {
	const struct ckpt_gone *
		gone; /* borrows; where such a shard is not in the folder its header is read there; NULL: none */
	bool headers;        /* the shards are there as headers only (NAME.header) */
	bool as_declared;    /* keep types as the headers have them (spelling.h) */
	uint64_t header_cap; /* bytes; 0 = ST_HEADER_CAP */
	bool follow_links; /* links that lead elsewhere than to ../../blobs/HASH of a hub's cache, too */
};

/* Room for the path of a file of the folder once its link was followed. */
enum { CKPT_PATH = LINK_PATH };

/* A small file as it was when it was read. */
struct ckpt_seen {
	char actual[CKPT_PATH]; /* "": it was not there */
	struct stat st;
};
enum { CKPT_SEEN_CONFIG, CKPT_SEEN_INDEX, CKPT_SEEN };

struct ckpt {
	const struct io *io;
	int dir;               /* owns */
	struct config_doc doc; /* config.json; zeroed if there is none or it could not be read */
	struct config
		config; /* what it says; config.family is NULL if it could not be read, or not so */
	struct shard *shards; /* owns; sorted by name */
	size_t n_shards;
	struct tensor *tensors; /* owns; sorted by name; .shard indexes shards */
	size_t n;
	uint64_t bytes; /* payload of all tensors */
	bool has_index;
	size_t respelled; /* tensors that the headers declare under another type (spelling.h) */
	struct ckpt_seen seen[CKPT_SEEN];
	bool follow_links, headers;         /* as in ckpt_opts */
	const struct ckpt_payload *payload; /* borrows; NULL: in the shards */
	struct arena arena;
};

/* -1 only where nothing can be said about the folder: it cannot be opened, memory is out. Links into the blobs of a
 * hub's cache are followed; config.json and the index are then held to the names of their blobs. */
int ckpt_open(struct ckpt *c, const struct io *io, const char *path, const struct ckpt_opts *opts,
	struct findings *f, struct err *e);
/* The same of a folder that is open as dir, which is opened once more: *c does not keep dir. */
int ckpt_open_at(struct ckpt *c, const struct io *io, int dir, const struct ckpt_opts *opts,
	struct findings *f, struct err *e);
void ckpt_close(struct ckpt *c);
const struct tensor *ckpt_find(const struct ckpt *c, const char *name); /* NULL: not there */
/* Bytes off..off+n of the tensor. */
int ckpt_read(const struct ckpt *c, const struct tensor *t, uint64_t off, void *dst, size_t n,
	struct err *e);
/* The folder, for who opens other files of it. */
struct link_dir ckpt_links(const struct ckpt *c);
/* Another file of the folder: *there says whether it is, actual what to open relative to dir, *st its size. An
 * error where it is no regular file, or a link that is not followed or leads nowhere. */
int ckpt_file(const struct ckpt *c, const char *name, char actual[CKPT_PATH], struct stat *st,
	bool *there, struct err *e);
/* Reads the file and holds it to the name of its blob (source.blob). *has says whether it is a link to a blob; where it
 * is none, nothing is read and 0 is returned. *st is the blob's. */
int ckpt_blob_check(const struct ckpt *c, const char *name, bool *has, struct stat *st,
	struct err *e);
#ifdef __cplusplus
}
#endif
#endif
