/* family_causes.h -- causes of misfits that members of the family have among themselves (misfit.h).
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_FAMILY_CAUSES_H
#define FORMATS_MODEL_FAMILY_CAUSES_H
#include "formats/model/misfit.h"

/* Adds a finding for each of them, and claims the tensors that it explains. Returns -1 without memory. */
int family_causes_find(struct misfits *m);
/* The same of a part of what sees images that is not there, while another part is. */
int family_causes_sight(struct misfits *m);
#endif
