/* budget.h -- how many threads and buffers fit into --max-memory, before anything is allocated.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_RUN_BUDGET_H
#define CONVERT_RUN_BUDGET_H
#include "convert/plan/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BUDGET_DEFAULT (1ull << 30)

struct budget {
	unsigned threads;
	unsigned lanes;  /* output files that one thread advances together */
	size_t piece;    /* bytes of a file that are made, hashed and written at a time */
	uint64_t peak;   /* bytes: program, tables and buffers */
	uint64_t tables; /* of that, what the checkpoint and the plan take */
};

/* Fits the plan into limit bytes: smaller pieces first, then fewer lanes, then fewer threads. The
 * result changes how fast a run is, never what it writes. An error says what the least would be. */
int budget_make(struct budget *b, const struct plan *p, unsigned threads, uint64_t limit,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
