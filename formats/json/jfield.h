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

#include <stddef.h>

/* The largest integer that every JSON reader keeps exactly (RFC 8259, section 6): 2^53 - 1. */
#define JFIELD_NUMBER_MAX ((1ull << 53) - 1)

#ifdef __cplusplus
extern "C" {
#endif

enum { JFIELD_MAX = 32 }; /* members of a table */

/* What the value of a member is, and what of it is written to the byte `at` of the caller's struct. */
enum jfield_type {
	JFIELD_SKIP,     /* any value; nothing is written */
	JFIELD_CALL,     /* whatever get reads */
	JFIELD_OBJECT,   /* an object whose members, by the table fields, go to the same struct */
	JFIELD_ARRAY,    /* an array, each item of which get reads */
	JFIELD_U64,      /* uint64_t, a number up to JFIELD_NUMBER_MAX */
	JFIELD_U32,      /* uint32_t */
	JFIELD_U8,       /* uint8_t */
	JFIELD_RANGE,    /* uint64_t[2], two numbers, the first not above the second */
	JFIELD_STRING,   /* char[room], NUL-terminated; the string is shorter and holds no NUL */
	JFIELD_NAME,     /* the same, which names a file of the folder (jfield_plain_name) */
	JFIELD_HEX,      /* uint8_t[room], from 2 * room lower-case hex digits */
	JFIELD_HEX_NULL, /* that, or null, which leaves the bytes and the flag `has` as they are */
	JFIELD_HEX_TEXT, /* char[room], from room - 1 lower-case hex digits, which are kept as they are */
};

/* Reads the value of a member, or an item of an array, into ctx. Returns 0 or -1. */
typedef int jfield_get(struct jread *j, void *ctx, struct err *e);

struct jfield {
	const char *name; /* NULL ends a table */
	enum jfield_type type;
	size_t at, room;
	jfield_get *get;
	const struct jfield *fields;
	size_t has; /* byte of a bool that is set once the member was read; 0: there is none */
	bool optional;
};

/* Reads an object by its table into the struct ctx. e is that of j. */
int jfield_object(struct jread *j, const struct jfield *fields, void *ctx, struct err *e);
/* Reads an array; item reads each of its values. */
int jfield_array(struct jread *j, jfield_get *item, void *ctx, struct err *e);
/* Reads a string of less than room bytes, without NUL. */
int jfield_string(struct jread *j, char *s, size_t room, struct err *e);
/* Reads 2n lower-case hex digits. */
int jfield_hex(struct jread *j, uint8_t *p, size_t n, struct err *e);
/* Reports set.form with that text. Always returns -1. */
int jfield_wrong(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Whether s is one component of a path, not hidden, of 1 to 255 bytes and without control bytes. */
bool jfield_plain_name(const char *s);

#ifdef __cplusplus
}
#endif
#endif
