/* walk.h -- all weight files of a converted folder or of a set, one after the other, each with its sidecar
 * and its header.
 *
 * For verbs that work on what a conversion made. Manifests and sidecars are held to the digests above them;
 * files are not digested here (check does that). Whatever is wrong goes to the report, and the walk goes on.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_WALK_H
#define VERIFY_COMPARE_WALK_H
#include "formats/conversion/chain.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

struct walk_file {
	const struct chain_folder *d; /* its folder, with the manifest that lists it */
	const struct manifest_file *f;
	int fd;                    /* borrowed, as all here */
	const struct sidecar *s;   /* NULL: it has none, it is a small file */
	const struct st_header *h; /* NULL as s; tensors in the order of those of s */
	char path[400];            /* from the top, for findings */
};

struct walk {
	const struct io *io;
	struct report *r;
	uint64_t header_cap; /* 0: ST_HEADER_CAP */
	/* Called for each file that could be read. -1 ends the walk. */
	int (*file)(void *ctx, const struct walk_file *f, struct err *e);
	void *ctx;
};

/* Walks through the open folder dir. Returns -1 where it has no manifest (ERR_USAGE), or file said so. */
int walk_run(const struct walk *w, int dir, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
