/* SPDX-License-Identifier: MIT */
#include "formats/conversion/seal.h"

#include "core/hash/xxh.h"
#include "core/text.h"

#include <string.h>

void seal_put(struct jwrite *o)
{
	struct xxh_digest d = xxh_of(o->t->s ? o->t->s : "", o->t->n);

	jwrite_hex(o, "xxh3_128", d.b, sizeof d.b);
}

enum seal seal_of(const char *s, size_t n)
{
	static const char key[] = "\"xxh3_128\"", before[] = ",\n \"xxh3_128\": \"",
			  after[] = "\"\n}\n";
	enum { BEFORE = sizeof before - 1, AFTER = sizeof after - 1, HEX = 32 };
	char hex[HEX + 1];
	struct xxh_digest d;

	if (!n || !memmem(s, n, key, sizeof key - 1))
		return SEAL_NONE;
	if (n < BEFORE + HEX + AFTER)
		return SEAL_BROKEN;
	n -= BEFORE + HEX + AFTER;
	d = xxh_of(s, n);
	hex_of(d.b, sizeof d.b, hex);
	return !memcmp(s + n, before, BEFORE) && !memcmp(s + n + BEFORE, hex, HEX) &&
			!memcmp(s + n + BEFORE + HEX, after, AFTER)
		? SEAL_WHOLE
		: SEAL_BROKEN;
}

int seal_read(const struct text *t, const struct jfield *fields, void *ctx, struct err *e)
{
	enum { DEPTH = 8 }; /* our own documents nest less */
	struct jread j;
	int rc;

	if (seal_of(t->s, t->n) != SEAL_WHOLE)
		return jfield_wrong(e, "its bytes are not those that were written");
	jread_open_mem(&j, t->s, t->n, DEPTH, e);
	rc = jfield_object(&j, fields, ctx, e) || jread_end(&j, true) ? -1 : 0;
	jread_close(&j);
	return rc;
}
