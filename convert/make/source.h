/* source.h -- reading: bytes of source tensors, from the shards of a checkpoint or from what was put
 * together from converted folders.
 *
 * It knows tensors and bytes, and nothing of what is made of them.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_MAKE_SOURCE_H
#define CONVERT_MAKE_SOURCE_H
#include "formats/model/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A reader of one thread. */
struct source {
	const struct ckpt *c; /* borrows */
	void *reader;         /* owns; of c->payload, NULL where there is none */
};

/* Makes s a reader of c, which must outlive it. Returns -1 without memory. */
int source_open(struct source *s, const struct ckpt *c, struct err *e);
/* s may be zeroed. */
void source_close(struct source *s);
/* Bytes that a reader of c takes. */
uint64_t source_need(const struct ckpt *c);

/* Reads bytes off..off+n of tensor i of the source to dst. */
int source_read(struct source *s, uint32_t i, uint64_t off, uint8_t *dst, size_t n, struct err *e);
/* Holds the digest of all of tensor i to the one that its conversion kept, if this source has any (a
 * checkpoint has none: 0). Returns -1 where it differs. */
int source_check(const struct source *s, uint32_t i, const struct xxh_digest *d, struct err *e);
/* Reports that byte off of tensor i is wrong: "FILE: tensor NAME, byte N (byte M of the tensor): what".
 * Returns -1. */
int source_bad_byte(const struct source *s, uint32_t i, uint64_t off, enum rule_id rule,
	const char *what, struct err *e);
/* Looks for a NaN among n E8M0 scales, which begin at byte off of tensor i. Returns -1, with
 * data.scale-nan, if there is one. */
int source_check_e8m0(const struct source *s, uint32_t i, const uint8_t *p, size_t n, uint64_t off,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
