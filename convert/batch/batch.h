/* batch.h -- the job folder: a conversion that several processes do, as plan --job wrote it down.
 *
 *	JOB/job.json     what is done, the files of weights and which task makes each; never changed
 *	JOB/leases/      who is at it (lease.h)
 *	JOB/receipts/    what is done (receipt.h)
 *
 * A unit is a file of weights. Units go to tasks by their bytes: the biggest first, each to the task that has least,
 * the lower number where several have. So the same conversion for as many tasks gives the same job.json, whose SHA-256 is
 * the id of the job.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_BATCH_BATCH_H
#define CONVERT_BATCH_BATCH_H
#include "convert/run/job.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BATCH_NAME "job.json"
enum { BATCH_TASKS = 65536, BATCH_UNITS = 1 << 22, BATCH_WORDS = 64, BATCH_WORD = 4096 };

struct batch_unit {
	uint32_t folder; /* index into the conversion; not read from job.json, as its name is */
	uint32_t task;
	uint64_t bytes;
	const char *dir, *name; /* in the arena of the batch; dir "" is OUT itself */
};

/* What is written down. */
struct batch {
	char tool[128];                           /* name and version */
	char plan[65];                            /* hash of the conversion */
	char source_id[65];                       /* source_id.h */
	char source[BATCH_WORD], out[BATCH_WORD]; /* paths */
	const char *words[BATCH_WORDS]; /* options of plan, "--name=value"; in the arena */
	size_t n_words;
	uint64_t tasks, lease;    /* lease: seconds */
	struct batch_unit *units; /* owns; [n]; folder by folder, in the order of the plans */
	size_t n, cap;
	size_t *first; /* owns; [folders of the conversion + 1]: unit of the first file; NULL before batch_units or batch_hold */
	char id[65];   /* SHA-256 of job.json */
	struct arena arena;
	/* the open folder; -1: not open */
	const struct io *io;
	int dir, leases, receipts; /* own */
};

/* Lists the files of the conversion c and gives them to b->tasks tasks. Everything else of b is the caller's. */
int batch_units(struct batch *b, const struct conversion *c, struct err *e);
/* Makes the folder at path and writes b, whose id it fills, into it; one that is there with these very bytes is taken.
 * Another one is refused (job.other). The folder is open afterwards. */
int batch_create(struct batch *b, const struct io *io, const char *path, struct err *e);
/* Opens and reads the job folder at path. Refuses one without a job.json that is as it was written (job.form); where
 * job.json is not seen yet, it says so (job.unfinished). */
int batch_open(struct batch *b, const struct io *io, const char *path, struct err *e);
/* Returns 1 if the folder at path is a job's: it has a job.json, or folders of leases and receipts, whose job.json is then
 * not written or not seen yet; 0 if it is none or is not there; -1 where the system does not say. */
int batch_is(const struct io *io, const char *path, struct err *e);
/* Holds j, opened as b says, to b, and sets b->first and folder of its units. tool is the name and version of who asks.
 * Returns -1 with job.source where the source was changed, with job.other where anything else is not as in the plan. */
int batch_hold(struct batch *b, const struct job *j, const char *tool, struct err *e);
/* A batch that was zeroed or closed is none. */
void batch_close(struct batch *b);

#ifdef __cplusplus
}
#endif
#endif
