/* member.h -- which member of the family a checkpoint is, by config.json and by marks that only the tensors of some members
 * have: what says of a mixture of two that it is one, and of which.
 *
 * Members whose tensors have the same names and shapes (V4-Flash and a tuned copy of it, two revisions of V4.1) are one
 * here: published digests tell those apart, and nothing else does.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_MEMBER_H
#define FORMATS_MODEL_MEMBER_H
#include "formats/model/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

enum member {
	MEMBER_MTP,    /* V4 with MTP blocks */
	MEMBER_SPARK,  /* V4 with a DSpark drafter */
	MEMBER_VISION, /* V4 that sees images */
	MEMBER_V41,
	MEMBERS
};
extern const char *const member_names[MEMBERS];

struct member_view {
	unsigned config;     /* bits 1 << enum member: what config.json describes */
	unsigned tensors;    /* what all tensors can be of; 0: shards are of different members */
	bool sighted, blind; /* a router has a bias of image tokens; one of a layer has none */
	bool torn;           /* a shard can be of none */
	enum member most;    /* what most shards can be of, config.json's where it is among those */
	/* Of shards of different members the first that is none of most, what it can be of, and a tensor that says so. */
	uint32_t odd;
	unsigned odd_is;
	const char *odd_tensor;
};

/* Looks at names, and at the blocks of scales. c->doc.o must not be NULL. Returns -1 without memory. */
int member_look(struct member_view *v, const struct ckpt *c);
/* Whether the tensors, or some of them, are of another member than config.json describes, and one of the two is V4.1; or
 * shards are of different members. */
bool member_mixed(const struct member_view *v);
/* Appends a sentence that names both. */
void member_put(struct text *out, const struct member_view *v, const struct ckpt *c);

#ifdef __cplusplus
}
#endif
#endif
