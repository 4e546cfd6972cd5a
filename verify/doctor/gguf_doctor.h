/* gguf_doctor.h -- GGUF files, by whoever wrote them: do keys, tensors, types and drafts make sense together, and what does
 * llama.cpp trip over in them?
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_DOCTOR_GGUF_DOCTOR_H
#define VERIFY_DOCTOR_GGUF_DOCTOR_H
#include "formats/folder/folder.h"
#include "verify/doctor/consumer.h"
#include "verify/doctor/doctor_opts.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Examines the GGUF files of at. who, who will load them, may be NULL. Returns -1 only where nothing can be said. */
int gguf_doctor_run(struct report *r, const struct folder *at, const struct doctor_opts *o,
	const struct consumer *who, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
