/* manifest.h -- the manifests of a folder (dsv4-manifest-1) and of a set (dsv4-set-1): what they say, how it is
 * written down (manifest_put.c) and read again (manifest_read.c).
 *
 *	manifest.json       all files of a folder with their digests; written last: without it a folder is unfinished
 *	NAME.manifest.json  how NAME came about: sidecar.h
 *
 * They are reproducible: keys are sorted, and there is no time, host or path in them. docs/format.md describes every
 * member. Written and read again, a struct is what it was; read and written again, a document has the same bytes
 * (tests/test_record.c).
 *
 * The one reader is strict. Every member is known, none is there twice and none is missing; names
 * are plain, lists are sorted, digests and numbers have the form in which dsv4-convert writes them, and
 * nothing follows the document. What breaks that is set.form or a rule of json.; a seal that is broken is
 * set.manifest. Memory and time are bounded by MANIFEST_CAP and the numbers below.
 *
 * The reader takes a document without a seal and says so: below the top the document above holds its
 * digest. Who reads the document at the top refuses one without (chain.h).
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_MANIFEST_H
#define FORMATS_CONVERSION_MANIFEST_H
#include "core/err.h"
#include "core/mem.h"
#include "core/text.h"
#include "formats/conversion/seal.h"
#include "formats/json/jwrite.h"
#include "formats/model/drafts.h"
#include "formats/model/engram.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MAN_NAME "manifest.json"
#define MAN_SIDECAR ".manifest.json" /* after the file's name */
#define MAN_MARK \
	".dsv4-plan" /* in a folder that a run is filling: the hash of its plan, and a newline */
#define MAN_DROPPED ".dropped" /* the same; what its casts to FP8 dropped */
#define MAN_CHUNK (16u << 20)  /* bytes */
/* Bytes of a manifest. One with 65,536 files and as many shards, the most that are taken, has 40 MB. */
#define MANIFEST_CAP (64u << 20)

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

/* The most of these that are taken, and written. */
enum { MANIFEST_ROLES = 256, MANIFEST_PLACES = 1000 };

/* What became of the blocks of one kind of matrix in another number format. */
struct manifest_role {
	char where[8]; /* "hash", "score" (how the layers route), "drafts", "model" (no block) */
	char role[48];
	uint64_t total, rescued, lossy; /* blocks; rescued: of those that are exact */
};

/* A block that was rounded: row of the matrix, and which block of that row. */
struct manifest_place {
	const char *tensor; /* in the arena */
	uint32_t row, block;
};

/* A folder below, by its manifest. */
struct manifest_folder {
	char name[96]; /* such as "rank-0-of-2" or "pp-1-of-2/rank-0-of-2": it leads nowhere else */
	char plan[65]; /* "": nothing is said of its plan */
	uint64_t bytes; /* of its manifest.json */
	uint8_t sha256[32];
};

/* What the options experts_kept and engram_vocab of a slice say where nothing was cut. */
#define MANIFEST_ALL "all"
#define MANIFEST_WHOLE "whole"

/* The document of a folder with weights, or of source/. */
struct manifest {
	char target[64], plan[65], tool[128];
	const char *options; /* in the arena; the object as it stands in the document */
	char layers[4096];   /* as options have it; "": none, so all layers */
	const char *
		recipe; /* the same, in the arena: the lines of a recipe (mix.h); NULL: there is none */
	enum drafts drafts;     /* the same; DRAFTS_SAME where they say nothing */
	enum engram engram;     /* the same; ENGRAM_KEEP where they say nothing */
	char engram_layout[32]; /* the same: the layout of its tables (rowrec.h); "": as they are */
	char experts_kept
		[24]; /* the same: how many experts of a slice stay, or MANIFEST_ALL; "": not said */
	char engram_vocab
		[24]; /* the same: engram_vocab_size that tables of a slice are cut by, or MANIFEST_WHOLE; "": not said */
	char input_scale
		[64]; /* the same: where scales of activations came from, a number for all; "": not said */
	char imatrix
		[65];   /* the same: SHA-256 of a file of importance, in hex; "": there was none */
	char ranks[24]; /* the same: how many ranks there are; "": not said */
	char experts_by
		[8]; /* the same, of rank files that lie in one folder: "ep" or "tp"; "": not said */
	char share[128]; /* the same, of a folder of a set: which rank it is; "": not said */
	char experts_from
		[128]; /* the same: what another folder had, of which the experts are; "": of the source */
	struct manifest_files files;
	struct manifest_files shards; /* of the source; none has a sidecar */
	bool verified;                /* every shard had the SHA-256 that was expected of it */
	uint64_t source_bytes, source_tensors;
	uint64_t blocks, inexact;    /* of casts, summed up over the files */
	struct manifest_role *roles; /* owns; sorted by where and role */
	size_t n_roles, roles_cap;
	struct manifest_place *lossy; /* owns; the first blocks that were rounded */
	size_t n_lossy, lossy_cap;
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
	char attention[16], experts_by[8]; /* how they share; "": not said */
	enum seal seal;
	struct arena arena;
};

/* Append the document of m; out is empty before. Of m the arena, caps and seal count for nothing: what is written is
 * sealed. */
void manifest_put(struct text *out, const struct manifest *m);
void set_manifest_put(struct text *out, const struct set_manifest *m);
/* Begin and end the text that manifest.options and set_manifest.options have; the caller writes the members of the
 * object in between, sorted by name. */
void manifest_options(struct jwrite *o, struct text *t);
void manifest_options_end(struct jwrite *o);

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
