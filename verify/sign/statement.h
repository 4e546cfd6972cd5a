/* statement.h -- in-toto statements (v1) about folders: what is signed.
 *
 *	OpenSSF Model Signing v1.0   one subject, whose digest is the SHA-256 of all digests in order; the
 *	                             files are resources of the predicate. Method "files", SHA-256
 *	STATEMENT_CONVERSION         the files are the subjects; the predicate says what they were made of.
 *	                             docs/signing.md describes it
 *
 * A payload comes here after its signature was found true. It is read strictly all the same: somebody may
 * have signed what would lead a reader out of the folder.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_SIGN_STATEMENT_H
#define VERIFY_SIGN_STATEMENT_H
#include "verify/sign/lineage.h"
#include "verify/sign/tree.h"

#ifdef __cplusplus
extern "C" {
#endif

#define STATEMENT_TYPE "https://in-toto.io/Statement/v1"
#define STATEMENT_SIGNING "https://model_signing/signature/v1.0"
#define STATEMENT_CONVERSION "https://dsv4-tools/conversion/v1"

/* What lies beside the files and is left out: what git keeps, and signatures; ends with NULL. The last
 * STATEMENT_OWN of them are signatures. */
extern const char *const statement_ignored[];
enum { STATEMENT_OWN = 2, STATEMENT_IGNORED_MAX = 16 };

struct statement {
	bool conversion;   /* else Model Signing */
	struct tree files; /* owns; sorted */
	char subject[256]; /* of Model Signing: the folder's name when it was signed */
	const char *ignored[STATEMENT_IGNORED_MAX + 1]; /* point into the arena of files */
	unsigned n_ignored;
};
/* own: name of the signature file, which may also be ignored; NULL: it lies elsewhere. */
int statement_read(struct statement *s, const void *p, size_t n, const char *own, struct err *e);
void statement_free(struct statement *s);

/* The digest that names all of them in a bundle of Model Signing: SHA-256 of their digests, one after the other. Of sorted,
 * digested files, as are those below. */
int statement_root(const struct tree *files, uint8_t root[32], struct err *e);
int statement_put_signing(struct text *out, const char *subject, const struct tree *files,
	const char *own, struct err *e);
int statement_put_conversion(struct text *out, const struct tree *files, const struct lineage *l,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
