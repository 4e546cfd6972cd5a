/* budget.h -- how many threads and buffers fit into --max-memory, before anything is allocated.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_RUN_BUDGET_H
#define CONVERT_RUN_BUDGET_H
#include "convert/plan/conversion.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BUDGET_DEFAULT (1ull << 30)

struct budget {
	unsigned threads;
	unsigned teams; /* 1 to threads; the threads of a team advance the same files (team.h) */
	unsigned lanes; /* files that a team advances together */
	unsigned ring;  /* pieces of a file that are held: one is made while another is digested */
	size_t piece;   /* bytes of a file that are made, digested and written at a time */
	size_t stage;   /* bytes of working space that files take turns on (make/maker.h) */
	bool own; /* each lane has a stage of its own; else the lanes take turns on one of each thread */
	uint64_t peak;   /* bytes: program, tables and buffers */
	uint64_t tables; /* of that, what the checkpoint and the plans take */
	uint64_t aside; /* of that, what is needed before and after the lanes and not beside them */
};

/* Fits the conversion c into limit bytes, and into the number of files that a process may have open. It is content with
 * 128 MiB where those are enough for all threads and several files at a time. shards: those of the source are digested
 * too. Smaller and fewer pieces first, then fewer lanes, then fewer threads: the result changes how fast a run is, never
 * what it writes. Returns 0, or -1 and an error that says what the least would be. */
int budget_make(struct budget *b, const struct conversion *c, bool shards, unsigned threads,
	uint64_t limit, struct err *e);

/* Makes of b one where each thread has one file at a time: no more files are begun and not finished than there are threads. It
 * needs no more memory. */
void budget_apart(struct budget *b);

#ifdef __cplusplus
}
#endif
#endif
