/* frontier.h -- size against weighted error, as dsv4-quant plan --budget found it: read from what plan --json writes.
 *
 * Nothing is optimised here. The file holds points of the frontier, the choice, and the names of dsv4-quant in the same measure
 * (docs/quant.md, Budget). Members that are not needed are passed over; those that are must be there once, with numbers that can be
 * drawn.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_ATLAS_FRONTIER_H
#define VERIFY_ATLAS_FRONTIER_H
#include "core/err.h"
#include "core/io.h"
#include "core/text.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { FRONTIER_POINTS = 64, FRONTIER_NAMES = 8, FRONTIER_WORD = 24 };

struct frontier_point {
	uint64_t bytes; /* of all files of weights */
	double error;   /* not negative, finite; without unit */
	char name[FRONTIER_WORD];
};

struct frontier {
	struct frontier_point
		v[FRONTIER_POINTS]; /* in the order of bytes, no error above the one before */
	struct frontier_point names[FRONTIER_NAMES];
	size_t n, n_names; /* n: at least 1 */
	struct frontier_point chosen;
	uint64_t kept;  /* tensors that were not chosen, since there was no importance */
	bool weighted;  /* errors are weighed by importance */
	char model[65]; /* formats/model/model_id.h */
};

/* Reads the JSON of dsv4-quant plan --budget from the file at path. Returns 0 and *f; or -1: score.form where the file is none. */
int frontier_read(struct frontier *f, const struct io *io, const char *path, struct err *e);
/* Reads the same from the document in t. Returns 0 and *f; or -1 with what is wrong of it. */
int frontier_of(struct frontier *f, const struct text *t, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
