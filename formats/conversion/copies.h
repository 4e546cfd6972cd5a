/* copies.h -- what lies in the folders of a conversion beside its weights: the small files are those that were written, and
 * no weights lie there that the manifest does not name.
 *
 * Who computes with a conversion reads config.json of its source, and an engine the copy: both must be the same. An engine
 * that takes every file of a pattern takes those too that nobody has made here.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_COPIES_H
#define FORMATS_CONVERSION_COPIES_H
#include "core/err.h"
#include "core/io.h"
#include "formats/finding.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Holds all folders of the conversion in the open folder top: findings check.missing, check.sha256 and check.extra. A
 * folder whose documents lie is passed over: who opens the conversion says so. Returns -1 where that could not be looked at. */
int copies_hold(const struct io *io, int top, struct findings *f, struct err *e);

/* Holds the sidecars of the folder at the top to its manifest: finding set.manifest for each file of weights whose sidecar is that of
 * another run. One that is not there is passed over. Returns -1 where that could not be looked at. */
int copies_of_run(const struct io *io, int top, struct findings *f, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
