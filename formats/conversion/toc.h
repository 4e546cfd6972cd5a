/* toc.h -- manifests, read whole and strictly: what files a folder has, what folders a set has.
 *
 * For who does not trust them: every member is known, none is there twice, names are plain, digests and
 * numbers of the right form. (sidecar.h reads the little that the way back needs, of manifests that were
 * held to a digest.)
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_TOC_H
#define FORMATS_CONVERSION_TOC_H
#include "core/err.h"
#include "core/mem.h"
#include "core/text.h"
#include "core/hash/xxh.h"
#include "formats/conversion/manifest.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TOC_CAP MANIFEST_CAP
enum { TOC_FILES = 65536, TOC_FOLDERS = 4096 };

struct toc_file {
	const char *name; /* in the arena, as side is */
	uint64_t bytes;
	const char *side; /* its sidecar; NULL: none */
	uint64_t side_bytes;
	uint8_t sha256[32], side_sha256[32];
	bool has_sha;
};

struct toc_files {
	struct toc_file *v; /* owns; sorted by name, no two alike, also not but for case */
	size_t n, cap;
};

/* A folder below, by its manifest. */
struct toc_folder {
	char name[96], plan[65]; /* plan "": nothing is said of it */
	uint64_t bytes;          /* of its manifest */
	uint8_t sha256[32];
};

/* Of a folder: dsv4-manifest-1. */
struct toc {
	char target[64], plan[65], tool[128];
	bool partial; /* of some layers only */
	struct toc_files files;
	struct toc_files shards; /* of the source: names, sizes, maybe digests */
	bool verified;           /* their digests were those expected */
	uint64_t source_bytes, source_tensors;
	uint64_t blocks, inexact;  /* of casts, summed up */
	bool sealed;               /* it has a digest of itself, which is right */
	struct toc_folder restore; /* headers of the source; name "": none */
	struct arena arena;
};

/* Of a set: dsv4-set-1. */
struct toc_set {
	char target[64], plan[65], tool[128];
	struct toc_folder *v; /* owns */
	size_t n, cap;
	uint64_t ranks, stages;
	bool sealed;
};

enum toc_kind { TOC_NONE, TOC_FOLDER, TOC_SET };
/* What the document says it is. */
enum toc_kind toc_kind(const struct text *t);

/* On failure *c is zeroed. A seal that is broken is an error (set.manifest) before anything is read. */
int toc_read(struct toc *c, const struct text *t, struct err *e);
void toc_free(struct toc *c);
int toc_set_read(struct toc_set *c, const struct text *t, struct err *e);
void toc_set_free(struct toc_set *c);
const struct toc_file *toc_find(const struct toc_files *f, const char *name); /* NULL: not in it */

#ifdef __cplusplus
}
#endif
#endif
