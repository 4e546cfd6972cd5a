/* tensor_digest.h -- the digests that a conversion of ours has of its tensors, for those who read its folder as a plain
 * checkpoint (--experts-from, --input-scale): the bytes that they take are held to them.
 *
 * A folder without a manifest.json of ours says nothing, and nothing is held to it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_TENSOR_DIGEST_H
#define FORMATS_CONVERSION_TENSOR_DIGEST_H
#include "formats/model/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tensor_digest {
	const struct tensor *t; /* borrows; of the checkpoint, in its order */
	struct xxh_digest xxh;
};

struct tensor_digests {
	bool ours;               /* the folder has a manifest of a conversion of ours */
	uint64_t inexact;        /* blocks that were rounded, as that says */
	const struct ckpt *c;    /* borrows */
	struct tensor_digest *v; /* owns; [n] sorted by t; those of c that sidecars describe */
	size_t n, cap;
};

/* Reads what the folder of c, which is open and whose tensors do not move until *d is freed, says of them: manifest.json
 * at its top, which must be sealed, and the sidecars below it, to which the headers of the shards are held. Returns 0 and
 * *d that the caller frees, or -1 and *d zeroed. Rules: those of chain.h; set.size. */
int tensor_digests_read(struct tensor_digests *d, const struct ckpt *c, struct err *e);
void tensor_digests_free(struct tensor_digests *d);

/* Returns -1 where the folder is a conversion of ours, and xxh is not what it says of all bytes of tensor t (set.digest),
 * or it says nothing of t (check.extra). */
int tensor_digests_check(const struct tensor_digests *d, const struct tensor *t,
	struct xxh_digest xxh, struct err *e);
/* The same of n bytes in memory, which are all of t. Nothing is computed where the folder is no conversion of ours. */
int tensor_digests_check_bytes(const struct tensor_digests *d, const struct tensor *t,
	const void *p, size_t n, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
