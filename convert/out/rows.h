/* rows.h -- the tensors of a file that was made, as its sidecar describes them.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_OUT_ROWS_H
#define CONVERT_OUT_ROWS_H
#include "convert/make/stream.h"
#include "formats/conversion/sidecar.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The ctx of struct sidecar_rows; the last two members are zero before. */
struct rows {
	const struct plan *p;
	const struct plan_file *f;
	const struct stream *s;
	const struct step *step; /* of the tensor that was given last, for its sources */
	const struct step_result *res;
};

/* For struct sidecar_rows; the shard of a source is its number in the checkpoint. */
void rows_tensor(void *ctx, size_t i, struct sidecar_tensor *t);
void rows_source(void *ctx, uint32_t k, struct sidecar_source *x);

/* Returns whether both came about by the same step: what a plan decides, and not what was found out while they were made. Their
 * sources are compared by the caller. */
bool rows_same_step(const struct sidecar_tensor *is, const struct sidecar_tensor *would);

#ifdef __cplusplus
}
#endif
#endif
