/* set.h -- all folders of a conversion for an engine: one plan for each rank of each stage, and one for
 * what the way back needs.
 *
 *	OUT/manifest.json            written last: lists the folders with the digests of their manifests
 *	    rank-R-of-N/             a complete sharded safetensors folder, with its own manifest
 *	    pp-S-of-P/rank-R-of-N/   the same with stages
 *	    source/                  headers and small files of the checkpoint it was made of
 *
 * Every folder is claimed, made, kept and resumed on its own, exactly as a conversion with one folder
 * is; a set adds the order and the list.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_RUN_SET_H
#define CONVERT_RUN_SET_H
#include "convert/plan/plan.h"
#include "convert/plan/planner.h"
#include "convert/run/run.h"

#ifdef __cplusplus
extern "C" {
#endif

struct set_part {
	char dir[96]; /* below OUT */
	struct plan plan;
};

struct set {
	struct plan_opts opts;
	struct set_part *parts; /* owns */
	size_t n;
	uint64_t bytes, files;
	uint64_t fate_n[FATE_COUNT]; /* of each source tensor once, over all parts */
	uint64_t fate_bytes[FATE_COUNT];
	char hash[65];
};

/* o->share.ranks and .stages say how many; -1 with a sentence where that is not to be had. */
int set_make(struct set *s, const struct audit *a, const struct plan_opts *o, struct err *e);
void set_free(struct set *s);

/* Refuses what set_run would refuse, changes nothing. */
int set_look(const struct set *s, const char *out, bool overwrite, struct err *e);
/* Makes all parts below o->out, whose budget is made here for each; each is told to done. */
struct set_run {
	const struct run_opts *o;
	unsigned threads;
	uint64_t limit;
	void (*done)(void *ctx, const struct set_part *p, const struct run_result *r);
	void *ctx;
};
int set_run(const struct set *s, const struct set_run *r, struct err *e);
/* The largest peak memory of a part. */
int set_budget(const struct set *s, unsigned threads, uint64_t limit, struct budget *b,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
