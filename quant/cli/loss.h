/* loss.h -- what a run lost: the error atlas of OUT, measured when the run is done, beside its manifest.
 *
 *	OUT/atlas.jsonl   verify/atlas/atlas_file.h, the same lines that dsv4-verify atlas SOURCE OUT writes
 *	--report FILE     the page of it, with the frontier where --budget chose
 *
 * What is measured is what lies in OUT, read back: nothing that an encoder says of itself.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_CLI_LOSS_H
#define QUANT_CLI_LOSS_H
#include "convert/cli/call.h"
#include "core/dest.h"
#include "core/progress.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zeroed = nothing is asked for. */
struct loss {
	const struct call *call;                      /* borrows; NULL: nothing is asked for */
	const char *dir;                              /* borrows; the source */
	char path[4096];                              /* OUT/atlas.jsonl */
	struct dest page;                             /* owns */
	struct progress *(*started)(uint64_t values); /* the caller's; NULL: nobody watches */
};

/* Looks, before a run of dir, whether what o asks for can be measured and written. Returns 0 and *l, which the caller ends; or -1,
 * ended: a form or a part of a model that no atlas is of, a source that cannot be read as one, files that may not be replaced. */
int loss_begin(struct loss *l, const struct call *o, const char *dir, struct err *e);
/* call_tool.then with ctx a struct loss: measures, writes the files, and says what came of it. */
int loss_measure(void *ctx, struct text *said, struct text *json, struct err *e);
void loss_end(struct loss *l);

#ifdef __cplusplus
}
#endif
#endif
