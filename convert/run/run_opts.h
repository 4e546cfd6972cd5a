/* run_opts.h -- what is asked of a run besides the conversion itself.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_RUN_RUN_OPTS_H
#define CONVERT_RUN_RUN_OPTS_H
#include "convert/out/base.h"
#include "convert/out/units.h"
#include "convert/run/budget.h"
#include "core/progress.h"
#include "formats/model/expected.h"

#include <signal.h>

#ifdef __cplusplus
extern "C" {
#endif

struct reclaim;
struct forecast;
struct run_opts {
	const char *out; /* path of the folder OUT */
	bool overwrite;  /* also take a folder that another plan has filled */
	bool atlas; /* the caller makes OUT/atlas.jsonl anew behind the run: one that is there is no hindrance */
	bool prove; /* a file that is there and differs says that the source was changed: ckpt.changed */
	const char *tool; /* name and version, for manifests */
	struct budget budget;
	unsigned features;                 /* bits of enum cpu_feature */
	const struct expected *expected;   /* NULL: the source is taken as it is */
	struct progress *progress;         /* NULL: nobody watches */
	const volatile sig_atomic_t *stop; /* becomes not 0: give up; NULL: never */
	const struct base *base;           /* borrows; files are taken from it; NULL: none */
	const struct run_units *units;     /* NULL: all files, and what makes them a conversion */
	/* Both borrow, and are NULL where all shards of the source stay: what frees them (reclaim.h), and how much disk that needs. */
	struct reclaim *reclaim;
	const struct forecast *forecast;
};

#ifdef __cplusplus
}
#endif
#endif
