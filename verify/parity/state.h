/* state.h -- what an engine holds once it has loaded: names, types, shapes and digests, as loaders/probe.py writes them
 * down (dsv4-state-1, docs/engines.md).
 *
 * The reader is strict: every member is known and none is there twice, names are there once, and nothing follows the
 * document. Its memory is bounded by the numbers below, whatever the file says.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_PARITY_STATE_H
#define VERIFY_PARITY_STATE_H
#include "core/err.h"
#include "core/hash/xxh.h"
#include "core/io.h"
#include "core/mem.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The most that is taken: tensors, and bytes of the file, of which a tensor has about 250. */
enum { STATE_TENSORS = 1 << 20, STATE_CAP = 512 << 20, STATE_DIMS = 8 };

struct state_tensor {
	const char *name; /* in the arena */
	char dtype[24]; /* as safetensors calls it, or as the engine does where that has no such */
	uint64_t dim[STATE_DIMS];    /* outermost first */
	uint64_t stride[STATE_DIMS]; /* in elements */
	uint64_t memory
		[STATE_DIMS]; /* dim in the order in which they lie in memory: by descending stride */
	uint32_t rank, strides;
	bool dense; /* the elements lie one behind the other, in that order; else the digest is of a copy in order of dim */
	uint64_t bytes;
	struct xxh_digest xxh;
};

struct state {
	char engine[64], version[64];        /* "" where the file does not say it */
	char target[64];                     /* the same; the target that was loaded */
	uint32_t rank, ranks, stage, stages; /* ranks 0: it is not said */
	struct state_tensor *v;              /* owns; sorted by name */
	size_t n, cap;
	struct arena arena;
};

/* Reads the file at path, any path the user typed. On failure *s is zeroed. Rules: parity.state, json.*. */
int state_read(struct state *s, const struct io *io, const char *path, struct err *e);
void state_free(struct state *s);

#ifdef __cplusplus
}
#endif
#endif
