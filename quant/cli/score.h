/* score.h -- what each matrix of a checkpoint loses in each type that a GGUF can have it in: one pass over the source, a band of rows at a
 * time.
 *
 *	OUT.partial   lines of matrices that are done, each batch synced; the same call goes on behind them
 *	OUT           score_file.h; it appears whole
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_CLI_SCORE_H
#define QUANT_CLI_SCORE_H
#include "quant/cli/units.h"

#include <signal.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Pointers are borrowed. */
struct score_opts {
	const struct io *io;
	const char *out;     /* path of the file */
	const char *imatrix; /* path of a file of importance; NULL: every column counts 1 */
	const char *types;   /* names between commas; NULL: all that there is an encoder of */
	uint64_t every;      /* measure one of so many bands of rows; at least 1 */
	unsigned features, threads;
	struct job_opts job; /* how the checkpoint is opened */
	FILE *watch;         /* where a person watches; NULL: nobody */
	const volatile sig_atomic_t *stop;
};

/* What a call came to. */
struct score_done {
	uint64_t matrices, before; /* in the file; of these, done by a call before */
	bool weighted;
};

/* Writes the score of the checkpoint in folder to the file o->out, which replaces one of the same kind. Returns 0, or -1: what is done
 * stays in OUT.partial. */
int score_run(const char *folder, const struct score_opts *o, struct score_done *d, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
