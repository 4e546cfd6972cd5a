/* source_digests.h -- whether the source has the bytes that the conversion was made of, where the output does not tell.
 *
 * Of most tensors the output says all that the source has: another byte in the one is another byte in the other. Casts,
 * products and new number formats do not: sources that differ in what is dropped or rounded give the same output. Sidecars
 * have digests of whole source tensors, and to these the source is held.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_SOURCE_DIGESTS_H
#define VERIFY_COMPARE_SOURCE_DIGESTS_H
#include "formats/conversion/sidecar.h"
#include "formats/model/checkpoint.h"
#include "verify/report/report.h"

#ifdef __cplusplus
extern "C" {
#endif

struct source_digest {
	struct xxh_digest xxh;
	bool known, wanted,
		twice; /* a sidecar has it; an output does not tell all; sidecars have different ones */
};
/* Zeroed = none. */
struct source_digests {
	struct source_digest *v; /* owns; [n] by tensor of the source */
	size_t n;
};

/* Takes what a sidecar has of tensors of c; those that c has not are told elsewhere. Returns -1 without memory. */
int source_digests_add(struct source_digests *d, const struct ckpt *c, const struct sidecar *s,
	struct err *e);
/* Reads the tensors that are wanted and reports those that have another digest (compare.other-source). threads: how many read.
 * elsewhere: where routed experts came from another folder, which was not given; those of c that have another digest are added to
 * it and not reported. NULL: they are of c. Returns -1 where the source cannot be read. */
int source_digests_hold(const struct source_digests *d, const struct ckpt *c, unsigned threads,
	uint64_t *elsewhere, struct report *r, struct err *e);
void source_digests_free(struct source_digests *d);

#ifdef __cplusplus
}
#endif
#endif
