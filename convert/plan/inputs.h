/* inputs.h -- scales of the activations of experts, which weights do not tell: one number for all, measured maxima, or
 * those of another export of the same model.
 *
 *	a number   the scale itself
 *	FILE       {"layers.0.ffn.experts.3.w1": 12.5, ...}: the largest magnitude that went into each matrix; names may end
 *	           with "_input_quantizer._amax", as ModelOpt's dumps have them. The scale is that over 6 * 448. Or the
 *	           same as tensors of one number, in F32 or BF16, of a safetensors file, where names have to end so or with
 *	           ".input_scale", which is the scale itself
 *	DIR        a folder with such tensors, another export of the model; of a conversion of ours they have the digests of
 *	           its sidecars
 *
 * w1 and w3 of an expert are multiplied with the same, and get the larger of both. An expert that no token was sent to
 * has no entry of a maximum, and gets the largest of its projection (w1 and w3, or w2) over all experts. Of scales that
 * were exported none may be missing but those of all experts of a draft, which get the largest too.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_PLAN_INPUTS_H
#define CONVERT_PLAN_INPUTS_H
#include "formats/model/audit.h"

#ifdef __cplusplus
extern "C" {
#endif

/* By place in the model, expert and projection. */
struct inputs {
	float *v; /* owns; [places][E][2]: of w1 and w3, of w2; NULL: nothing was read */
	uint64_t E, places;
	uint64_t given, of; /* projections that have an entry, that there are */
	char said[64];      /* what was said, for the manifest */
	bool *seen;         /* owns; [of the inventory] there was an entry for it */
	bool exported;      /* entries were scales, as an exporter writes them, and no maxima */
	struct stat folder; /* of an export, or of a file of tensors: the folder that was read */
	bool has_folder;
};

/* Reads what word says, for the model that a describes. Returns 0 and inputs that the caller frees; or -1, zeroed, with
 * plan.input-scale where it is no such thing, names an expert that the model has not, or has a number that is not above
 * zero. */
int inputs_read(struct inputs *x, const struct audit *a, const char *word, struct err *e);
void inputs_free(struct inputs *x);
/* The scale of a routed expert's weight. */
float inputs_of(const struct inputs *x, const struct want *w);

#ifdef __cplusplus
}
#endif
#endif
