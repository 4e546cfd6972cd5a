/* provenance.h -- SLSA provenance v1 of a conversion, as an in-toto statement.
 *
 *	subject               the folder, by the digest of the OpenSSF Model Signing bundle that sign makes of it
 *	resolvedDependencies  the shards of the source, by their SHA-256
 *	externalParameters    target and options, as the manifest has them
 *
 * https://slsa.dev/spec/v1.0/provenance. docs/signing.md describes it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_SIGN_PROVENANCE_H
#define VERIFY_SIGN_PROVENANCE_H
#include "verify/sign/lineage.h"
#include "verify/sign/tree.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PROVENANCE_TYPE "https://slsa.dev/provenance/v1"

/* Appends the statement about sorted, digested files; subject is the folder's name. Returns -1 with sig.no-source where
 * the manifest does not record the digest of a shard: a dependency without one names nothing. */
int provenance_put(struct text *out, const char *subject, const struct tree *files,
	const struct lineage *l, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
