/* parity.h -- is what an engine holds after loading what the conversion has?
 *
 *	conversion  --libdsv4-->  names, types, shapes, digests of the sidecars
 *	engine      --probe.py-->  the same of its parameters (state.h)
 *
 * Both sides are digests of bytes in the order in which they lie in memory, so that nothing of the model is read. What
 * the files themselves hold is proved by check.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_PARITY_PARITY_H
#define VERIFY_PARITY_PARITY_H
#include "core/err.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Compares the conversion at out with the state at path. Findings: parity.bytes, parity.form, parity.missing,
 * parity.extra, parity.none, parity.own. Returns -1 where one of the two cannot be read, or they are of different ranks or targets. */
int parity_run(struct report *r, const char *out, const char *path, struct err *e);

/* Writes to to what a tensor of an engine's model could be called in a conversion; tries counts from 0. Returns false
 * where there is no such try. */
bool parity_name(const char *name, unsigned tries, char *to, size_t room);

#ifdef __cplusplus
}
#endif
#endif
