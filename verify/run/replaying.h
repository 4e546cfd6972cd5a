/* replaying.h -- a replay on its way: what it was asked for, what came out so far, and how a value is held
 * against the record's.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_RUN_REPLAYING_H
#define VERIFY_RUN_REPLAYING_H
#include "kernels/forward/forward.h"
#include "verify/report/report.h"
#include "verify/run/measure.h"
#include "verify/run/record.h"

#ifdef __cplusplus
extern "C" {
#endif

struct replay_opts {
	double max_rel; /* relative L2 of a sub-block of a foreign record; negative: REPLAY_REL or REPLAY_REL_FP32 */
	uint32_t block;             /* tokens taken together; 0: the usual */
	uint64_t at_once;           /* bytes of logits that may be held at once */
	unsigned features, threads; /* of the processor that measures the noise floor */
};
/* Another implementation comes within 1e-3 of a sub-block (tests/golden: 7.1e-4 at most); three times that. */
#define REPLAY_REL 3e-3
/* In FP32 arithmetic: engines come within 1e-6 of each other, one bit of an FP4 code makes 5e-5 (docs/numbers.md). */
#define REPLAY_REL_FP32 1e-5
/* A foreign record may be so many times as far from this model as this model is from itself in another order of
 * sums. Seen on tests/golden: 1.5 to 1.6 times in relative L2, 2.4 to 2.5 in KL; a KL grows with the square of a
 * distance. */
#define REPLAY_FLOOR 4.0
/* What is allowed at least: in one of some twenty random models of the size of tests/golden no order of sums
 * changed anything by chance, while in others the distance was up to 0.07. A mean KL in nats; below it top-1
 * agreement was above 90 %. */
#define REPLAY_FREE_REL 0.1
#define REPLAY_FREE_KL 0.01

/* What came out, beside the report. */
struct replay_result {
	double worst_rel;         /* of all sub-blocks */
	double least_equal;       /* part with the same bits, of sub-blocks without indexer */
	uint64_t routed, reroute; /* tokens x layers; of these with other experts */
	struct opinion logits;    /* of the free run, against the record's */
	struct measure free_run;
	double floor_rel,
		floor_kl; /* the noise floor; zero for an own record, whose bits are compared */
};

struct replaying {
	struct forward f; /* owns */
	const struct record *r;
	const struct replay_opts *o;
	struct report *rep;
	struct replay_result *res;
	uint32_t n, dim;
	uint64_t streams; /* n * 4 * dim: values of the residual streams */
	double max_rel;   /* relative L2 that a sub-block may have */
	bool ours;        /* the record must come out bit for bit */
};

/* Puts a tensor of n values of the record into memory of f's device. Returns 1, 0 if the record has none, -1. */
int replaying_feed(struct replaying *k, struct forward *f, const char *name, float *to, uint64_t n,
	struct err *e);
/* Copies n values of the device to *v, which the caller frees. */
int replaying_fetch(struct replaying *k, const float *from, uint64_t n, float **v, struct err *e);
/* Adds a row for a value of a sub-block, and a finding if it is not near enough: the same bits for an own record,
 * else a relative L2 of max. */
void replaying_judge(struct replaying *k, const char *name, const struct measure *m, double max);

#ifdef __cplusplus
}
#endif
#endif
