/* arriving.h -- a checkpoint that is being downloaded: which shards it will have, and how far each of them is.
 *
 *	ABSENT    it is not there under its name
 *	POINTER   a Git-LFS pointer lies in its place
 *	GROWING   it has not the size that its header says, or NAME.aria2, NAME.incomplete or the like lies beside it
 *	WHOLE     its size is that of its header: it is to be digested
 *	FALSE     it was, and has another SHA-256 than the published one
 *	VERIFIED  it has the published SHA-256, and size, times and identity are those that it had then
 *
 * Which shards there are, and what tensors each of them has, says model.safetensors.index.json, and how large these are
 * config.json. The digests come from a list, from pointers, or from the names of a hub cache's blobs. The header of a shard
 * that is not VERIFIED is read to learn its size, and for nothing else.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_FOLLOW_ARRIVING_H
#define CONVERT_FOLLOW_ARRIVING_H
#include "core/progress.h"
#include "formats/link.h"
#include "formats/model/config.h"
#include "formats/model/inventory.h"
#include "formats/model/sumlist.h"
#include "formats/st/shardmap.h"

#include <signal.h>

#ifdef __cplusplus
extern "C" {
#endif

enum arrival {
	ARRIVAL_ABSENT,
	ARRIVAL_POINTER,
	ARRIVAL_GROWING,
	ARRIVAL_WHOLE,
	ARRIVAL_FALSE,
	ARRIVAL_VERIFIED
};

struct coming {
	const char *name; /* in the arena of map */
	enum arrival is;
	bool known; /* sha256 is what was published */
	uint8_t sha256[32];
	struct stat st;  /* as it was last seen; of FALSE and VERIFIED: when it was digested */
	double again;    /* FALSE: not to be digested before this time, however much it changes */
	unsigned tries;  /* how often it was FALSE */
	size_t first, n; /* its tensors in map.v */
};

struct arriving {
	const struct io *io;              /* borrows */
	int dir;                          /* owns */
	bool follow_links, listed, ready; /* sums is a list; config and index are read */
	const char *path;                 /* borrows; of the folder */
	struct sumlist sums;              /* owns */
	struct config_doc doc;
	struct config config;
	struct shardmap map; /* sorted by shard, then by tensor */
	struct arena arena;
	struct stat config_st, index_st; /* of the files that config and map were read from */
	unsigned readings;               /* how often both were read */
	struct coming *v;                /* owns; [n]; sorted by name */
	size_t n;
	/* Owns; [n_was]; the list by the index before, until there is another; names in the arena was_names. */
	struct coming *was;
	size_t n_was;
	struct arena was_names;
	char want[400];  /* until ready: what is missing */
	bool want_false; /* it is there, and the list has another digest of it */
	uint64_t
		print; /* of names, sizes and times in the folder: another one says that something has changed */
	double quiet; /* when it was seen to change */
	bool in_progress; /* a file with the name of an unfinished download is there, or a listed one is not */
};

/* Fills *a for the folder at path; list: the file of --source-sha256, or NULL. Returns 0; or -1, and then nothing is to be closed. */
int arriving_open(struct arriving *a, const struct io *io, const char *path, bool follow_links,
	const char *list, struct err *e);
void arriving_close(struct arriving *a);
/* Reads config.json and the index if they are there and whole; a->ready says so, else a->want says what is missing. Returns
 * -1 where the list does not name a shard. */
int arriving_begin(struct arriving *a, struct err *e);
/* Forgets config.json and the index where one of them is not the file any more that was read; arriving_begin reads both again,
 * and shards that are in both lists stay what they are. */
void arriving_recheck(struct arriving *a);
/* Looks at everything once more, and reads config.json and the index again where they were replaced. Returns -1 where a shard is whole and nobody says which digest it must have
 * (follow.unpublished), or where the system fails. */
int arriving_look(struct arriving *a, struct err *e);
/* Digests shards that are WHOLE, at most as many as threads, side by side. *n: how many are VERIFIED by that. */
int arriving_verify(struct arriving *a, unsigned threads, struct progress *p,
	const volatile sig_atomic_t *stop, size_t *n, struct err *e);
/* Returns the shard of that name, which a owns; NULL where there is none. */
struct coming *arriving_find(const struct arriving *a, const char *name);
/* Say how far a shard is: "is not there". */
extern const char *const arrival_says[];
/* Returns how many shards are so. */
size_t arriving_count(const struct arriving *a, enum arrival is);
/* Returns whether both are of one file of the same size and times: b is what the shard was when a was taken. */
bool arriving_same(const struct stat *a, const struct stat *b);
/* What downloads put behind the name of a file that is unfinished; the last one is NULL. */
extern const char *const arriving_parts[];
/* Returns whether name ends in one of these. */
bool arriving_is_part(const char *name);

#ifdef __cplusplus
}
#endif
#endif
