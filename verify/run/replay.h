/* replay.h -- a model held against a record: sub-block by sub-block, each fed with what the record says
 * went in, then the whole of it running free.
 *
 * So a record that a big machine made is checked on a small one. A record of this program's own must come
 * out bit for bit; a foreign one (another order of sums) within max_rel for each sub-block, with the same
 * experts for every token. A whole model amplifies one rounding into per cents, by how much depends on the
 * model: so its logits are held to its own noise floor, the distance that the same model, computed here in another
 * legal order of sums, has from itself. Both are told.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_RUN_REPLAY_H
#define VERIFY_RUN_REPLAY_H
#include "verify/run/replaying.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Findings and figures go to rep. Returns -1 where it could not be told, or the record is not one of this model
 * (record.form). */
int replay_run(struct weights *w, const struct record *r, const struct replay_opts *o,
	struct report *rep, struct replay_result *res, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
