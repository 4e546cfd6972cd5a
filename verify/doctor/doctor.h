/* doctor.h -- does a checkpoint mean what its config.json says? Headers, config, and a pass over the scales.
 *
 * check asks whether the bytes are the ones that were written; this asks whether they make sense. A folder as
 * downloaded, an hf folder, a set for an engine (read as its source), or the rank files of the official
 * converter. Nothing is changed; with fix_config a corrected copy of config.json is written elsewhere.
 *
 * Every part is a table: fields that tensors imply (implied.c), checks on headers (meaning.c), consumers
 * (consumer.c), checks on values (suspect.c), orders of nibbles (order.c).
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_DOCTOR_DOCTOR_H
#define VERIFY_DOCTOR_DOCTOR_H
#include "verify/doctor/doctor_opts.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

/* -1 only where nothing can be said about the folder. */
int doctor_run(struct report *r, const char *path, const struct doctor_opts *o, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
