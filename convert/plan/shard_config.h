/* shard_config.h -- the file of --shard-config: what SGLang says of a launch, as loaders/sglang_probe.py writes it down
 * (docs/format.md, dsv4-sglang-1).
 *
 *	shard_config   what the launch compares with the folder's, as it is
 *	subfolder      the name under which SGLang looks for the folder: a hash of shard_config
 *	experts        in which form its kernel has them: a layout, or "fp8"
 *	parameters     name, type and shape of each, after SGLang has processed them; on every rank the same
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_PLAN_SHARD_CONFIG_H
#define CONVERT_PLAN_SHARD_CONFIG_H
#include "core/err.h"
#include "core/io.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct shard_config {
	json_t *doc;     /* owns */
	char *text;      /* owns; shard_config as Python's json.dumps(sort_keys=True) writes it */
	char folder[64]; /* subfolder */
	uint64_t ranks;  /* tp */
	bool experts_tp; /* each expert is cut; else they go whole to a rank */
	const char *experts; /* in doc */
};

/* Reads and checks the file at path (any path the user typed). Returns 0, and *s is the caller's to free; else -1 with *s empty,
 * plan.shard-config where the file is not one of a launch that is written for. */
int shard_config_read(struct shard_config *s, const struct io *io, const char *path, struct err *e);
void shard_config_free(struct shard_config *s); /* s may be zeroed */

/* Finds a parameter: its type as PyTorch names it ("torch.bfloat16"), in the memory of s, its sizes, and how many of them
 * there are. Returns false where the launch has none of that name, or says no type or shape of it. */
bool shard_config_find(const struct shard_config *s, const char *name, const char **dtype,
	uint64_t dim[8], unsigned *rank);
/* Returns a parameter of the launch, in the memory of s, that is none of the n names, which are sorted; NULL where all are. */
const char *shard_config_other(const struct shard_config *s, const char *const *names, size_t n);

#ifdef __cplusplus
}
#endif
#endif
