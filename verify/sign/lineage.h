/* lineage.h -- what manifests say: which files belong to a folder, and what they were made of.
 *
 * The top manifest was held to a signature, or is about to be signed; manifests below it are held to the
 * digests in it before they are read. So all that is gathered here hangs on one digest.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_SIGN_LINEAGE_H
#define VERIFY_SIGN_LINEAGE_H
#include "core/text.h"
#include "verify/sign/tree.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zeroed = nothing is known. */
struct lineage {
	bool known; /* the manifest is one of ours */
	char format[32], target[64], plan[65], tool[128];
	struct text options;     /* owns; the object as it stands in the manifest */
	struct tree shards;      /* owns; of the source; hashed where their digest is recorded */
	uint64_t tensors, bytes; /* of the source */
	bool verified;           /* the shards had the digests that were expected of them */
};
void lineage_free(struct lineage *l);

/* top is manifest.json of dir; sha256 is its digest. Adds to files all that it covers, itself too, sorted;
 * not hashed where no digest is recorded. A manifest below that is not as it should be is a finding.
 * l->known false: it is none of ours, and nothing was added. */
int lineage_read(struct lineage *l, struct tree *files, const struct io *io, int dir,
	const struct text *top, struct report *r, struct err *e);
/* Adds what sidecars say lies beside them (NAME.dropped). Hashes the sidecars that are there; one that is not
 * as its manifest says is not looked at. */
int lineage_read_sidecars(struct tree *files, struct tree *there, const struct io *io, int dir,
	unsigned threads, unsigned features, struct report *r, struct err *e);
/* Rows of the report. */
void lineage_show(const struct lineage *l, struct report *r);

#ifdef __cplusplus
}
#endif
#endif
