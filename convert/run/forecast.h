/* forecast.h -- the disk that a run takes over time, where shards are freed as soon as nothing needs them (run --reclaim):
 * in which order files are made for that, and how much more than before lies there at most.
 *
 * The order follows shards: next come the files of the shard that needs the fewest bytes to be made before it can go.
 *
 *	extra after file n  =  what OUT has got by then - what a killed run --follow had left there
 *	                       - shards of which file n was the last
 *	peak                =  the largest that it can be, whichever thread is slow: a file that is not finished keeps its
 *	                       shards, and a shard that is not digested keeps all files that it goes into
 *
 * Files count with all their bytes from when they are begun (they are allocated whole), with their sidecars as these are at most.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_RUN_FORECAST_H
#define CONVERT_RUN_FORECAST_H
#include "convert/run/items.h"

#ifdef __cplusplus
extern "C" {
#endif

/* After one file. */
struct forecast_step {
	uint64_t made;  /* bytes that lie in OUT */
	uint64_t freed; /* bytes of shards that are gone */
};

struct forecast {
	struct item *order;          /* owns; [n] files */
	struct forecast_step *steps; /* owns; [n] */
	size_t n;
	uint64_t
		first; /* bytes that OUT gets before the first file: headers and small files of the source */
	uint64_t peak; /* bytes, at most, that lie there more than now */
	uint64_t
		swept; /* bytes that are removed from OUT before the first file (convert/out/leftover.h) */
	uint64_t shard;  /* bytes of the largest shard */
	uint64_t source; /* bytes of all shards */
	uint64_t most;   /* bytes of all that a run without --reclaim would write */
	unsigned threads;
};

/* Of a run of c into the folder at path out, with so many threads; out need not be there, and NULL is a new folder. Shards that are
 * gone already, files that need one of those, and files that lie in out count for nothing. Returns 0 or -1, without memory;
 * forecast_free is needed in both cases. */
int forecast_make(struct forecast *f, const struct conversion *c, const char *out, unsigned threads,
	struct err *e);
void forecast_free(struct forecast *f);

/* Why the source cannot be had back from what c writes, so that no shard of it may go; NULL: it can. */
const char *forecast_refuses(const struct conversion *c);

/* The shards that each file of the order of items_files is made of, and back. */
struct forecast_needs {
	size_t n, n_shards;
	struct item *files; /* owns; [n] */
	size_t *at;         /* owns; [n + 1]: shards of file i are shard[at[i] .. at[i + 1]) */
	uint32_t *shard;    /* owns; ascending, none twice */
	size_t *back_at;    /* owns; [n_shards + 1] */
	uint32_t *back;     /* owns; files of shard s are back[back_at[s] .. back_at[s + 1]) */
};
int forecast_needs(struct forecast_needs *d, const struct conversion *c, struct err *e);
void forecast_needs_free(struct forecast_needs *d);

#ifdef __cplusplus
}
#endif
#endif
