/* seal.h -- the digest that a manifest carries of itself.
 *
 * Every file below a manifest has its digest in the document above it; at the top nothing else says one. So
 * the last member of every manifest, xxh3_128, is the XXH3-128 of all bytes in front of that member and its
 * comma. It shows damage and careless edits; whoever edits on purpose can compute it too, and against that
 * there are signatures (verify/sign).
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_CONVERSION_SEAL_H
#define FORMATS_CONVERSION_SEAL_H
#include "formats/json/jfield.h"
#include "formats/json/jwrite.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum seal {
	SEAL_NONE,   /* the document has no digest of itself */
	SEAL_BROKEN, /* it has one, which is not that of its bytes, or stands in another place */
	SEAL_WHOLE   /* it has one, and its bytes are those that were sealed */
};

/* Writes the member, of all that o has written from the start of its text. To be called last, before the
 * object is closed. */
void seal_put(struct jwrite *o);

/* What seal the n bytes at s have. Linear in n; needs no memory. */
enum seal seal_of(const char *s, size_t n);

/* Reads a document of our own that ends with its seal into the struct ctx, by the table of its members (jfield.h). It holds the
 * document t alone. Returns 0, or -1 where the seal is not whole or a member is not as the table has it (set.form). */
int seal_read(const struct text *t, const struct jfield *fields, void *ctx, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
