/* free_run.h -- the end of a replay: logits fed with the record's last layer, and the whole model running free,
 * held to its own noise floor; then its MTP block.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_RUN_FREE_RUN_H
#define VERIFY_RUN_FREE_RUN_H
#include "verify/run/replaying.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The head, fed with what the record says of the last layer. */
int free_run_fed(struct replaying *k, struct err *e);
/* The whole model, running free; then the MTP block, where the record has its logits. */
int free_run(struct replaying *k, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
