/* rankfiles.h -- the files of the official converter (model0-mp8.safetensors ..), held against each other.
 *
 * They come without config.json and index, so what they should be follows from the table of roles and from
 * their being slices of one model: every rank is there, has the same tensors with the same shapes but for its
 * experts, every expert is on one rank, and shapes of a rank fit together (a head has its sink).
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_DOCTOR_RANKFILES_H
#define VERIFY_DOCTOR_RANKFILES_H
#include "verify/doctor/consumer.h"
#include "verify/doctor/doctor_opts.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Examines the rank files in the open folder dir; findings and figures go to r. who, the engine asked for, may be NULL.
 * Returns -1 where the folder or a file cannot be read. */
int rankfiles_run(struct report *r, int dir, const struct doctor_opts *o,
	const struct consumer *who, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
