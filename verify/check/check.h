/* check.h -- is a converted folder, a set of them, one file of one, or a download whole and as it was made?
 *
 *	manifest.json  --SHA-256-->  folders' manifests  --SHA-256-->  sidecars  --digests-->  files
 *
 * From the top: what is above says the digest of what is below, and nothing is parsed before it was held to
 * it. The manifest at the top has a digest of itself, against damage; signatures are another verb's. A
 * download has no manifest: its index, headers, sizes and config.json are held against each other, and its
 * SHA-256 against a list or what a hub's cache calls its blobs.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_CHECK_CHECK_H
#define VERIFY_CHECK_CHECK_H
#include "core/io.h"
#include "core/progress.h"
#include "formats/conversion/chain.h"
#include "formats/folder/folder.h"
#include "formats/model/sumlist.h"
#include "verify/check/pass.h"
#include "verify/report/report.h"
#include "verify/report/role_sum.h"

#ifdef __cplusplus
extern "C" {
#endif

struct check_opts {
	const struct io *io;
	bool quick;       /* sizes, headers, sidecars, sampled chunks */
	const char *rank; /* this one only; NULL: all */
	unsigned threads, features;
	uint64_t max_memory, header_cap;
	bool follow_links;         /* as in ckpt_opts */
	const char *source_sha256; /* list or pointers, of what was downloaded; NULL: none */
	struct progress *(*started)(uint64_t bytes); /* called once sizes are known; may be NULL */
};

/* path: folder or file. -1 only where nothing can be said. */
int check_run(struct report *r, const char *path, const struct check_opts *o, struct err *e);

/* --- what check.c, check_folder.c and check_original.c share --- */

/* What a file of the pass is, for the findings afterwards. */
struct check_item {
	char *folder, *name;       /* own; folder "" at the top */
	struct xxh_digest *chunks; /* owns */
	struct pass_span *spans;   /* owns */
	uint8_t sha256[32];        /* expected */
	bool has_sha;
	enum rule_id rule;   /* that another SHA-256 breaks */
	const char *said_by; /* who says what the SHA-256 should be; static */
};

struct check {
	const struct check_opts *o;
	struct report *r;
	int top;             /* owns */
	const char *only;    /* this file only; NULL: all */
	bool is_set;         /* the document at the top is that of a set */
	struct sumlist list; /* owns; --source-sha256 */
	bool *listed;        /* owns; [list.n] the line was looked at; NULL: there is no list */
	bool held_shards;    /* the shards of the source were held to the list */
	struct {
		bool known;
		char folder[96]; /* the first of a set with a config.json */
		uint8_t sha256[32];
	} config;
	size_t folders;           /* that were wanted */
	size_t hints;             /* files that were looked for among the others */
	struct check_item *items; /* owns */
	struct pass_job *jobs;    /* owns; beside items */
	size_t n, items_cap, jobs_cap;
	uint64_t kept; /* bytes of digests in memory */
	struct roles roles;
	struct ckpt ckpt; /* of a download; io NULL: none */
	struct err *e;
};

/* Adds a file to the pass; the item's memory is taken over. NULL without memory. */
struct pass_job *check_add(struct check *c, const struct check_item *it, uint64_t bytes);
/* Looks at a folder whose manifest was found to be the one that is meant. */
int check_folder(struct check *c, const struct chain_folder *f);
/* Reports that the entry name of folder dir, which is at path, lies there though the document list does not name it:
 * check.extra, check.unknown, or nothing (formats/conversion/bystander.h). */
void check_stray(struct check *c, int dir, const char *name, const char *path, const char *list);
/* A download: the checkpoint of f, which is taken over. */
int check_original(struct check *c, struct folder *f);

/* The shards of c->ckpt, which is open: their digests, held to a list or to the names of their blobs. */
int check_shards(struct check *c);
/* Whether name is a shard of c->ckpt. */
bool check_is_shard(const struct check *c, const char *name);
/* Holds all files to the list of the archive that is read as this folder (check_archive.c); does nothing where it is none.
 * To be called when all files of the pass are known, and before it. Returns -1 only where nothing can be said. */
int check_archive(struct check *c);
/* Holds the files of that archive, as they are stored, to the list (check_packed.c), unless only a sample is wanted; does
 * nothing where it is none. To be called after the pass. Returns -1 only where nothing can be said. */
int check_packed(struct check *c);
/* GGUF files without a manifest of ours (check_gguf.c). */
int check_gguf(struct check *c, struct folder *f);

/* --source-sha256 (check_list.c): reads the list, if there is one; holds the files of a download to it, or what the
 * manifests of a conversion say, folder by folder, and at the end what no folder had. */
int check_list_open(struct check *c);
void check_list_close(struct check *c);
void check_list_download(struct check *c);
void check_list_folder(struct check *c, const struct chain_folder *d);
void check_list_end(struct check *c);
/* "folder/name" */
struct path_text {
	char s[400];
};
struct path_text check_path(const char *folder, const char *name);

#ifdef __cplusplus
}
#endif
#endif
