/* audit.h -- does a checkpoint hold what its config.json says, every tensor of it and no other?
 *
 * From headers alone. Afterwards each tensor knows what it is (its struct want) and each quantized
 * weight its scale, which is what everything that works on weights starts from.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_AUDIT_H
#define FORMATS_MODEL_AUDIT_H
#include "formats/model/checkpoint.h"
#include "formats/finding.h"
#include "formats/model/inventory.h"

#ifdef __cplusplus
extern "C" {
#endif

struct audit {
	const struct ckpt *ckpt; /* borrows */
	struct inventory inv;
	enum codec experts;       /* as the tensors are */
	struct model_forms forms; /* as the tensors are */
	const struct want **want; /* owns; [ckpt->n]; what tensor i is, NULL if unexpected */
	size_t wrong;             /* tensors that are missing, unexpected or of another form */
};

/* assume says what the experts are where config.json does not (CODEC_NONE: nobody says, which is
 * a finding). -1 only where the audit could not be made: config.json unusable (already among the
 * findings: then *a is zeroed and 0 is returned), or memory is out. */
int audit_make(struct audit *a, const struct ckpt *c, enum codec assume, struct findings *f,
	struct err *e);
void audit_free(struct audit *a);

/* The scale of weight i, or the weight of scale i: an index into ckpt->tensors, or -1. */
long audit_partner(const struct audit *a, size_t i);

#ifdef __cplusplus
}
#endif
#endif
