/* plan_hash.h -- the hash of a plan: the SHA-256 of all that decides the output bytes. Threads and memory
 * are not among it, so the same checkpoint and options give the same hash on any machine.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_PLAN_PLAN_HASH_H
#define CONVERT_PLAN_PLAN_HASH_H
#include "convert/plan/plan.h"
#include "core/hash/sha256.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A hash in the making. Borrows the plan. */
struct plan_hash {
	const struct plan *p;
	struct sha256_kit kit;
	struct sha256 sha;
	struct text t; /* owns; what has not gone into sha yet */
};

/* Takes target, options, shards and small files of p, which are known before its files are settled.
 * Returns 0; or -1 and then still needs plan_hash_end. */
int plan_hash_begin(struct plan_hash *h, const struct plan *p, struct err *e);
/* Takes a settled file and its header. The files come in the order of the plan. */
int plan_hash_file(struct plan_hash *h, const struct plan_file *f, const struct text *header,
	struct err *e);
/* Writes the hash as hexadecimal digits and a NUL to hex, unless rc is -1: then something failed on the way.
 * Frees what h owns in any case. Returns 0, or -1 where rc is or the digest failed. */
int plan_hash_end(struct plan_hash *h, int rc, char hex[65], struct err *e);

#ifdef __cplusplus
}
#endif
#endif
