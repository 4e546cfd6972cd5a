/* mix_said.h -- whether what the manifest of a folder says of its number formats (target, recipe, options dense and lossy)
 * fits together, and fits the types and counts of its tensors.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_MIX_SAID_H
#define VERIFY_COMPARE_MIX_SAID_H
#include "formats/conversion/manifest.h"
#include "formats/conversion/sidecar.h"
#include "formats/model/mix.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Holds the manifest m of a folder with weights to itself. mix: its recipe, zeroed where it has none, of a model of
 * config c. A target that is the name of a mix has the lines of that name, alone or behind a recipe of the user's; a GGUF
 * with a recipe is lossy and has no option dense but the default, one without is not; where blocks were rounded, lossy is
 * "yes". Returns -1 with compare.counts otherwise. */
int mix_said_check(const struct manifest *m, const struct mix *mix, const struct config *c,
	struct err *e);
/* Holds the types of the dense matrices of a GGUF without recipe, which s describes, to the option dense of m. Returns -1
 * with compare.counts where a matrix has another. */
int mix_said_dense(const struct manifest *m, const struct sidecar *s, const struct config *c,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
