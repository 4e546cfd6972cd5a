/* top.h -- the folder OUT above the folders of a set:
 *
 *	OUT/manifest.json            written last: lists the folders with the digests of their manifests
 *	    rank-R-of-N/             a complete sharded safetensors folder, with a manifest of its own
 *	    pp-S-of-P/rank-R-of-N/   the same with stages
 *	    source/                  headers and small files of the checkpoint that it was made of
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_RUN_TOP_H
#define CONVERT_RUN_TOP_H
#include "convert/out/outdir.h"
#include "convert/plan/conversion.h"
#include "formats/conversion/manifest.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Refuses an OUT that is, holds or lies in the input, and one that holds anything but folders of the set c
 * and its manifest, and what old has (NULL: nothing). Changes nothing. Returns 0 also where there is no OUT yet. */
int top_look(const struct conversion *c, const char *out, const struct owned *old, struct err *e);
/* Makes and locks OUT, and looks as top_look does; refuses an empty one without room
 * for need bytes. The caller closes *top with outdir_close, also after -1. */
int top_open(struct outdir *top, const struct conversion *c, const char *out,
	const struct owned *old, uint64_t need, struct err *e);
/* Writes OUT/manifest.json. made[k], of c->n, tells of folder k. */
int top_put(const struct outdir *top, const struct conversion *c, struct manifest_folder *made,
	const char *tool, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
