/* derive_look.h -- what the plain way of changing a number format (derive_reform_row) makes of each byte of codes under one
 * scale, kept for looking up: a matrix has few scales, and all that is made of a byte follows from it and its scale.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_COMPARE_DERIVE_LOOK_H
#define VERIFY_COMPARE_DERIVE_LOOK_H
#include "verify/compare/derive.h"

#ifdef __cplusplus
extern "C" {
#endif

/* About codes. */
enum look_flag {
	LOOK_CHANGED = 1, /* a value is another one */
	LOOK_ANY = 2,     /* a value is not zero */
	LOOK_BELOW = 4    /* their scale is none of the new format: derive_reform_below */
};

/* Of one scale. */
struct derive_look {
	bool made;
	uint8_t scale[4]; /* as it lies on disk */
	uint8_t each;     /* bytes that a byte becomes: 1, 2, 4 or 8 */
	bool same;        /* each byte stays what it is */
	bool told;        /* flags tell something: some byte changes, or the scale is below */
	uint8_t flags[256];
	uint8_t out[256 * 8];
};

/* Whether bytes of codes become whole bytes. */
bool derive_look_fits(const struct derive *d);
/* Makes *looks, which may be NULL and which free() gives back, ready for d. Returns -1 without memory. */
int derive_look_begin(struct derive_looks **looks, const struct derive *d, struct err *e);
/* Returns what is made of codes under scale i of a row of old scales. It stays until the next call. */
const struct derive_look *derive_look(struct derive_looks *looks, const struct derive *d,
	const uint8_t *old, uint64_t i);
/* Writes what n bytes of codes become to out, n * l->each bytes. Returns their flags. */
unsigned derive_look_up(const struct derive_look *l, const uint8_t *codes, size_t n, uint8_t *out);

#ifdef __cplusplus
}
#endif
#endif
