/* block_roles.h -- blocks of matrices in another number format, added up by role, as a manifest has them: apart for
 * layers that route by token id, layers that route by score, and drafts. Who writes a manifest and who holds it to the
 * values count in this one way.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_BLOCK_ROLES_H
#define FORMATS_CONVERSION_BLOCK_ROLES_H
#include "formats/conversion/manifest.h"
#include "formats/model/config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zeroed: nothing was added. */
struct block_roles {
	struct manifest_role *v; /* owns; sorted by where and role after block_roles_sort */
	size_t n, cap;
};

/* Adds n (its where and role are not read) to the row of the matrix whose codes are the source's tensor of that name.
 * Returns -1 without memory. */
int block_roles_add(struct block_roles *t, const struct config *c, const char *tensor,
	const struct manifest_role *n, struct err *e);
/* Adds n to the row with its where and role. Returns -1 without memory. */
int block_roles_merge(struct block_roles *t, const struct manifest_role *n, struct err *e);
void block_roles_sort(struct block_roles *t);
/* Both are sorted. NULL where they are equal; else a row that the other has not, or not with these numbers. It
 * belongs to a or b. */
const struct manifest_role *block_roles_differ(const struct block_roles *a,
	const struct block_roles *b);
/* A zeroed one may be freed, and a freed one is zeroed. */
void block_roles_free(struct block_roles *t);

#ifdef __cplusplus
}
#endif
#endif
