/* receipt.h -- what a task says of a file that it has put in place (JOB/receipts/U.json); written last.
 *
 * A unit is done when its receipt is there, is of this job, and its file has the size and the time that the receipt
 * says. A receipt is believed no further than that: finalize holds it to the sidecar, and reads the file where its time
 * is another.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_BATCH_RECEIPT_H
#define CONVERT_BATCH_RECEIPT_H
#include "convert/batch/batch.h"
#include "convert/out/known.h"

#ifdef __cplusplus
extern "C" {
#endif

struct receipt {
	struct known known;
	bool verified; /* every shard that the file was made of had the published SHA-256 */
	/* When the file was written last, as the file system says; both 0 where it stores no times. */
	uint64_t seconds, nanoseconds;
	uint64_t task, number, pid; /* who made it, for people: task, which process of it */
	char host[65];
};

/* Writes the receipt of unit u; one that is there is replaced. */
int receipt_put(const struct batch *b, uint32_t u, const struct receipt *r, struct err *e);
/* Reads it. Returns 1, 0 where there is none, or -1 with job.receipt where it is not as it was written or not of this unit
 * of this job. */
int receipt_read(struct receipt *r, const struct batch *b, uint32_t u, struct err *e);
/* Whether the receipt says a time; else its file is known by its size alone. */
bool receipt_timed(const struct receipt *r);
/* Whether the file of unit u, in the open folder OUT, has the size that is planned and the time that r says, if any. */
bool receipt_fits(const struct receipt *r, const struct batch *b, uint32_t u, int out);

/* DIR/NAME of unit u below OUT; room for the longest. */
struct receipt_path {
	char s[400];
};
struct receipt_path receipt_path(const struct batch *b, uint32_t u);

#ifdef __cplusplus
}
#endif
#endif
