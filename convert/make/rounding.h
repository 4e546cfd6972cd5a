/* rounding.h -- what a step of OP_REFORM does whose pair rounds, for the row of that op (reforming.c): see struct make_op.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_MAKE_ROUNDING_H
#define CONVERT_MAKE_ROUNDING_H
#include "convert/make/maker.h"

#ifdef __cplusplus
extern "C" {
#endif

size_t rounding_state(const struct plan *p, const struct step *s);
size_t rounding_stage(const struct plan *p, const struct step *s);
void rounding_begin(struct maker *m);
uint64_t rounding_at_once(const struct maker *m, uint64_t at);
int rounding_make(struct maker *m, uint64_t at, size_t n, uint8_t *dst, struct err *e);
int rounding_end(struct maker *m, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
