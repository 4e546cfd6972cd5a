/* show.h -- a conversion that is planned, and the outcome of a run, for people and for programs.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_CLI_SHOW_H
#define CONVERT_CLI_SHOW_H
#include "convert/run/budget.h"
#include "convert/run/forecast.h"
#include "convert/run/run.h"

#ifdef __cplusplus
extern "C" {
#endif

struct show_plan {
	const struct conversion *c; /* borrows */
	struct budget budget;
	uint64_t limit; /* --max-memory */
	uint64_t room;  /* free bytes where the output would lie */
	bool room_known;
	uint64_t there;                  /* bytes that need no free space */
	bool tensors;                    /* also the fate of each source tensor */
	const struct forecast *forecast; /* borrows; of the disk, where shards are freed */
	bool beside;                     /* OUT would lie on the file system of the source */
	/* What a tool adds, borrowed; NULL: nothing. text stands behind the plan, json is the value of its member "budget". */
	const char *more_text, *more_json;
};
void show_plan_text(struct text *out, const struct show_plan *s);
void show_plan_json(struct text *out, const struct show_plan *s);

/* A line for each file as sha256sum prints and checks them. */
void show_run_text(struct text *out, const struct conversion *c, const struct run_result *r);
/* more_json: the value of the member "budget", atlas: of the member "atlas"; NULL: there is none. */
void show_run_json(struct text *out, const struct conversion *c, const struct run_result *r,
	const char *more_json, const char *atlas);

#ifdef __cplusplus
}
#endif
#endif
