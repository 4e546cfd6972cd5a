/* publish.h -- output files on their way to their names, each with its sidecar, and the manifest.
 *
 *	TODO --made--> READY --its sources are as expected--> DONE
 *	TODO --the old one is what would be made--> KEPT
 *
 * A data file gets its name only when its sidecar lies ready beside it. What a failed run leaves is
 * either nothing or whole files with sidecars, which the next run keeps.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_OUT_PUBLISH_H
#define CONVERT_OUT_PUBLISH_H
#include "formats/model/expected.h"
#include "convert/out/base.h"
#include "convert/out/outdir.h"
#include "convert/out/partial.h"
#include "convert/plan/plan.h"
#include "convert/make/stream.h"
#include "formats/conversion/manifest.h"
#include "core/file.h"
#include "core/par.h"
#include "convert/out/tally.h"
#include "convert/out/units.h"

#include <pthread.h>

#ifdef __cplusplus
extern "C" {
#endif

enum output_state { OUTPUT_TODO, OUTPUT_READY, OUTPUT_DONE, OUTPUT_KEPT };

struct output {
	enum output_state state;
	struct file_out data, side;
	struct keep keep;
	char side_name[256], keep_name[256];
	char part[264]; /* where an earlier run was told to stop in the file; "": nowhere */
	bool stays;     /* this run was, and has saved what is made of it */
	bool fixed; /* shards that it was made of may be gone: nothing removes it, whatever becomes of the run */
	uint8_t sha256[32], side_sha256[32];
	uint64_t side_bytes;
	uint64_t blocks, inexact;  /* of its casts */
	uint64_t scales[3];        /* as in struct run_result */
	struct tally_places lossy; /* owns */
};

struct publisher {
	const struct plan *p;
	struct outdir *dir;
	const struct expected *expected; /* NULL: nobody said */
	const struct base *base;         /* borrows; NULL: there is none */
	const char *tool;                /* name and version, as manifests have it */
	struct output *outputs;          /* owns; [p->n_files] */
	uint8_t (*shard_sha256)[32];     /* owns; [ckpt->n_shards]; with expected */
	bool *shard_ok;                  /* owns; [ckpt->n_shards]; digested and as expected */
	const struct run_units *units;   /* borrows; NULL: the folder gets all of its files */
	size_t folder;                   /* with units: which one of the conversion this is */
	bool smalls;                     /* small files were begun: the mark must stay */
	const struct manifest_folder *restore; /* borrows; for the manifest; NULL: none */
	uint64_t manifest_bytes; /* of the manifest that publisher_finish has left there */
	uint8_t manifest_sha256[32];
	struct block_roles tally; /* owns */
	pthread_mutex_t lock;     /* guards states, shard_ok, tally and the folder */
};

int publisher_make(struct publisher *u, const struct plan *p, struct outdir *dir,
	const struct expected *x, const char *tool, struct err *e);
/* All shards were digested elsewhere and are as expected. */
void publisher_trust(struct publisher *u);
/* Removes what was not published. With undo also what was: where the source turned out false,
 * nothing that this run made of it stays. What an earlier run left is as it was. */
void publisher_free(struct publisher *u, bool undo);

/* True if file i is there under its name with a sidecar, so that it may be worth keeping. */
bool publisher_has(const struct publisher *u, size_t i);
/* Makes room for file i, which s is to make: removes what there is under its name, and the manifest before that.
 * Where an earlier run was told to stop in it, or the base has it, *k says what is there of it, and the results of these steps are in s;
 * where that is not to be believed, *why says so, and else is NULL. Called again, it takes back what is not published. */
int publisher_begin(struct publisher *u, size_t i, struct stream *s, struct partial *k,
	const char **why, struct err *e);
/* The run is told to stop in file i: saves what a says of it. */
int publisher_save(struct publisher *u, size_t i, const struct account *a, struct err *e);
/* File i is complete, made by s: data closed. Writes its sidecar, publishes what can be. */
int publisher_ready(struct publisher *u, size_t i, const struct stream *s,
	const struct xxh_digest *chunks, struct err *e);
/* File i was found equal to what would be written. *kept says whether its sidecar is too. */
int publisher_keep(struct publisher *u, size_t i, const struct stream *s,
	const struct xxh_digest *chunks, bool *kept, struct err *e);
/* Shard i was digested; an error if it is not what was expected. Publishes what waited for it. */
int publisher_shard(struct publisher *u, size_t i, struct err *e);

/* Small file i alone; *m is its line of the manifest. To be called from one thread, before publisher_finish. */
int publisher_small(struct publisher *u, size_t i, struct manifest_file *m, struct err *e);
/* Small files, then the manifest. */
int publisher_finish(struct publisher *u, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
