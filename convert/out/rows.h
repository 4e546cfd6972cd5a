/* rows.h -- the tensors of a file that was made, as its sidecar describes them.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_OUT_ROWS_H
#define CONVERT_OUT_ROWS_H
#include "convert/make/stream.h"
#include "formats/conversion/manifest.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What rows_give is asked with; all but the first three members are zero before. */
struct rows {
	const struct plan *p;
	const struct plan_file *f;
	const struct stream *s;
	size_t lost;             /* blocks of s->maker.lost that belong to rows before this one */
	const struct step *step; /* of the row that was given last, for its sources */
	const struct step_result *res;
};

/* Gives tensor i, for man_file.tensor; ctx is a struct rows. Tensors are asked for in order. */
void rows_give(void *ctx, uint64_t i, struct man_tensor *t);

#ifdef __cplusplus
}
#endif
#endif
