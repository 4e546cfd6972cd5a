/* trace.h -- the steps of one model kept, and those of another held against them: the first that differs.
 *
 * Steps come in the same order from both (kernels/forward/forward.h), as long as nothing differed. Of a step that is too
 * big to keep there is a digest, so a difference is found but its values are not known.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_RUN_TRACE_H
#define VERIFY_RUN_TRACE_H
#include "core/hash/xxh.h"
#include "kernels/forward/forward.h"

#ifdef __cplusplus
extern "C" {
#endif

struct trace_step {
	char name[96];
	uint32_t n, cols;
	struct xxh_digest digest;
	void *v; /* owns; NULL: not kept */
};

struct trace_difference {
	bool found, kept;
	char name[96];
	bool whole;        /* int32 values */
	int64_t token;     /* of row 0, or -1: rows are those of an expert */
	uint32_t row, col; /* of the first that differs */
	double was, is;
	uint64_t n, differ; /* values of the step, and of these with other bits */
};

struct trace {
	struct trace_step *steps; /* owns */
	size_t n, cap, at;        /* at: the next to be checked */
	uint64_t bytes, most;     /* kept, and at most */
	struct trace_difference first;
};

/* For struct forward_tap, with a trace as ctx: the first model's, then the second's. */
int trace_keep(void *ctx, const char *name, const void *v, bool whole, uint32_t n, uint32_t cols,
	int64_t token, struct err *e);
int trace_check(void *ctx, const char *name, const void *v, bool whole, uint32_t n, uint32_t cols,
	int64_t token, struct err *e);
void trace_clear(struct trace *t); /* steps, not what was found */

#ifdef __cplusplus
}
#endif
#endif
