/* call.h -- what a call asks for that plans or runs a conversion, and how it is carried out: the part of the command
 * line that dsv4-convert and dsv4-quant have in common.
 *
 * The options that fill a struct call are rows of options.h; which of them a verb has, its tool says. A tool turns
 * the words of a call into a struct job_opts with call_settle, adds what only it knows, and hands both to call_plan
 * or call_run.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_CLI_CALL_H
#define CONVERT_CLI_CALL_H
#include "convert/run/job.h"
#include "core/cli/command.h"
#include "core/text.h"

#include <signal.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a call asks for. Numbers, names and flags go where they are used; words that name a choice are turned into it
 * by call_settle. */
struct call {
	struct job_opts job;
	const struct io *io; /* borrows; what folders are read and written through */
	const char *out, *signed_zero, *input_scale, *dense, *drafts, *engram, *engram_layout,
		*experts, *scale_dtype, *assume, *experts_by, *attention, *tokens, *arithmetic;
	const char *filter;      /* of pack; NULL: none */
	const char *base;        /* folder of an earlier conversion; NULL: none */
	const char *engram_from; /* folder of a conversion with the same tables; NULL: none */
	const char *reclaim; /* hash of the plan for which shards may be freed; NULL: none may */
	const char *job_dir, *task, *launcher; /* of tasks (task_call.h); NULL: not said */
	const char *budget, *score, *types, *recipe_out, *page; /* of dsv4-quant; NULL: not said */
	const char *more_text,
		*more_json; /* what the tool adds to a plan or an outcome (show.h); NULL: nothing */
	uint64_t mp, threads, tasks, lease, every, follow_timeout; /* the last in seconds */
	bool json, quiet, stack, no_sha256, hf_cache, tensors, overwrite, no_back, steal, full, oci,
		follow, atlas;
};

/* The program that calls. */
struct call_tool {
	const char *made_by;               /* name and version, for manifests */
	FILE *watch;                       /* where a person watches: stderr */
	const volatile sig_atomic_t *stop; /* becomes not 0: a run gives up */
	/* What the tool does with OUT when all files are there, before the outcome is printed; NULL: nothing. Appends to text what people
	 * are told, and to json the value of the member "atlas". Where it returns -1, the call fails. */
	int (*then)(void *ctx, struct text *said, struct text *json, struct err *e);
	void *ctx; /* borrows */
};

/* Fills a zeroed struct call with what holds where nothing is said. p is a struct call. */
void call_defaults(void *p);
/* Returns what the experts are by an option's word; NULL: CODEC_NONE. */
enum codec call_form(const char *word);
/* Returns o->job with the words of o in it, for dir wanted as use. */
struct job_opts call_settle(const struct call *o, enum use use);
/* Returns -1 where o does not say where to write. */
int call_has_out(const struct call *o, struct err *e);

/* Opens dir, plans and prints the plan to stdout, as text or as one JSON document. */
int call_plan(const struct call *o, const struct job_opts *jo, const char *dir, struct err *e);
/* Opens dir, plans, runs and prints the outcome; what a person watches goes to stderr. */
int call_run(const struct call *o, const struct job_opts *jo, const char *dir,
	const struct call_tool *tool, struct err *e);

/* With --json every call prints one document, also one that failed; for cli_tool.failed. */
void call_failed(const struct cli_failure *f);
/* What exit statuses mean, for cli_tool.exit_text. */
extern const char call_exit_text[];

/* Puts what was built of the program of that name, and which way its casts take here, as text or as JSON. */
void call_version(const char *name, struct text *out, bool json);
/* Prints a table of the program to stdout by one of two functions. */
int call_table(const struct call *o, void (*text)(struct text *out), void (*json)(struct text *out),
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
