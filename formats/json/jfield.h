/* jfield.h -- JSON objects read by a table of their members: each of them known, none twice, and none
 * missing that must be there.
 *
 * For documents of our own, where everything that is not as we write it is a sign of damage or malice.
 * What breaks that is reported as set.form.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_JSON_JFIELD_H
#define FORMATS_JSON_JFIELD_H
#include "formats/json/jread.h"

/* The largest integer that every JSON reader keeps exactly (RFC 8259, section 6): 2^53 - 1. */
#define JFIELD_NUMBER_MAX ((1ull << 53) - 1)

#ifdef __cplusplus
extern "C" {
#endif

enum { JFIELD_MAX = 32 }; /* members of a table */

typedef int jfield_get(struct jread *j, void *ctx, struct err *e);
struct jfield {
	const char *name; /* NULL ends a table */
	jfield_get *get;  /* reads the value */
	bool optional;
};

/* An object; e is that of j. */
int jfield_object(struct jread *j, const struct jfield *fields, void *ctx, struct err *e);
/* An array; item reads one. */
int jfield_array(struct jread *j, jfield_get *item, void *ctx, struct err *e);
/* A string of less than room bytes, without NUL. */
int jfield_string(struct jread *j, char *s, size_t room, struct err *e);
/* The same that names a file of the folder: one component, not hidden. */
int jfield_name(struct jread *j, char *s, size_t room, struct err *e);
/* 2n lower-case hex digits. */
int jfield_hex(struct jread *j, uint8_t *p, size_t n, struct err *e);
/* That, or null: then *there is false. */
int jfield_hex_or_null(struct jread *j, uint8_t *p, size_t n, bool *there, struct err *e);
/* Two numbers in an array, the first not above the second. */
int jfield_range(struct jread *j, uint64_t v[2], struct err *e);
int jfield_skip(struct jread *j, void *ctx, struct err *e);
/* Always -1. */
int jfield_wrong(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

bool jfield_plain_name(const char *s); /* one component, not hidden, no control bytes */

#ifdef __cplusplus
}
#endif
#endif
