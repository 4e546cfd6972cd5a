/* pack_opts.h -- what pack and unpack are asked for.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_PACK_PACK_OPTS_H
#define CONVERT_PACK_PACK_OPTS_H
#include "core/io.h"
#include "formats/archive/filter.h"

#include <signal.h>
#include <stdio.h>

struct pack_opts {
	const struct io *io;               /* of both folders */
	const char *dir, *out;             /* borrow */
	const char *tool;                  /* borrows; name and version, for the list */
	enum filter filter;                /* of pack: what scale planes may get */
	unsigned threads, features;        /* features: of cpu.h, for digests */
	const volatile sig_atomic_t *stop; /* becomes not 0: gives up; may be NULL */
	FILE *watch;                       /* where a person watches; may be NULL */
};

#endif
