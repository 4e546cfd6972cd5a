/* manifest_read.h -- the manifests of a folder (dsv4-manifest-1) and of a set (dsv4-set-1), read strictly.
 *
 * The one reader of these documents. Every member is known, none is there twice and none is missing; names
 * are plain, lists are sorted, digests and numbers have the form in which dsv4-convert writes them, and
 * nothing follows the document. What breaks that is set.form or a rule of json.; a seal that is broken is
 * set.manifest. Memory and time are bounded by MANIFEST_CAP and the numbers below.
 *
 * The reader takes a document without a seal and says so: below the top the document above holds its
 * digest. Who reads the document at the top refuses one without (chain.h).
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_MANIFEST_READ_H
#define FORMATS_CONVERSION_MANIFEST_READ_H
#include "core/err.h"
#include "core/mem.h"
#include "core/text.h"
#include "formats/conversion/manifest.h"
#include "formats/conversion/seal.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The most that is taken: files of a folder, shards of its source, folders of a set. A folder of --target hf
 * has a file for each shard, and one with more of them than this could not be listed by most file systems in
 * a sensible time; a set has a folder for each rank of each stage. */
enum { MANIFEST_FILES = 65536, MANIFEST_FOLDERS = 4096 };

/* A file of the folder, or a shard of the source. */
struct manifest_file {
	const char *name; /* in the arena, as side is */
	uint64_t bytes;
	const char *side; /* name of its sidecar, NAME.manifest.json; NULL: it has none */
	uint64_t side_bytes;
	uint8_t sha256[32], side_sha256[32];
	bool has_sha256;
};

struct manifest_files {
	struct manifest_file *v; /* owns; sorted by name, no two alike, not even but for case */
	size_t n, cap;
};

/* A folder below, by its manifest. */
struct manifest_folder {
	char name[96]; /* such as "rank-0-of-2" or "pp-1-of-2/rank-0-of-2": it leads nowhere else */
	char plan[65]; /* "": nothing is said of its plan */
	uint64_t bytes; /* of its manifest.json */
	uint8_t sha256[32];
};

/* The document of a folder with weights, or of source/. */
struct manifest {
	char target[64], plan[65], tool[128];
	const char *options; /* in the arena; the object as it stands in the document */
	char layers[4096];   /* the option of that name; "": none, so all layers */
	struct manifest_files files;
	struct manifest_files shards; /* of the source; none has a sidecar */
	bool verified;                /* every shard had the SHA-256 that was expected of it */
	uint64_t source_bytes, source_tensors;
	uint64_t blocks, inexact;       /* of casts, summed up over the files */
	struct manifest_folder restore; /* the headers of the source; name "": there are none */
	enum seal seal;
	struct arena arena;
};

/* The document above the folders of a set. */
struct set_manifest {
	char target[64], plan[65], tool[128];
	const char *options;       /* in the arena; the object as it stands in the document */
	struct manifest_folder *v; /* owns; no name twice */
	size_t n, cap;
	uint64_t ranks, stages;
	enum seal seal;
	struct arena arena;
};

/* Read the document t. On failure *m is zeroed. */
int manifest_read(struct manifest *m, const struct text *t, struct err *e);
void manifest_free(struct manifest *m);
int set_manifest_read(struct set_manifest *m, const struct text *t, struct err *e);
void set_manifest_free(struct set_manifest *m);

/* The file of that name; NULL: it is not in the list. */
const struct manifest_file *manifest_find(const struct manifest_files *f, const char *name);

/* The hash of a set's plan, which is made of the plans of its folders. */
int set_plan_hash(const struct manifest_folder *v, size_t n, char hash[65], struct err *e);

#ifdef __cplusplus
}
#endif
#endif
