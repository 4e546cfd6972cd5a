/* jread.h -- a strict JSON pull reader that holds no document.
 *
 * The reader is for the files whose size an attacker chooses: safetensors headers, shard indexes,
 * our own manifests. A DOM of those costs up to 78 bytes a byte; this costs a window of 64 KiB and
 * the longest string. (config.json is small and is read with jansson.)
 *
 * Strict means RFC 8259 and less: UTF-8 is checked, no lone surrogates, nesting has a limit that
 * the caller sets. There is no number but the non-negative integer, because nothing we read has
 * another; jread_skip steps over the rest. The caller drives:
 *
 *	jread_object(j);
 *	while ((more = jread_key(j)) == 1)     j->str holds the key
 *		jread_string(j, 99);           j->str holds the value
 *
 * After an error every call returns -1; the report has a "json." rule and the byte in the file.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_JSON_JREAD_H
#define FORMATS_JSON_JREAD_H
#include "core/err.h"
#include "core/io.h"
#include "core/text.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { JREAD_MAX_DEPTH = 64, JREAD_KEY = 4096 };
/* As max of jread_string: any length, and the string is not kept. */
#define JREAD_DROP SIZE_MAX

struct jread {
	struct text str;  /* owns; the last key or string, unescaped, may hold NUL bytes */
	bool escaped;     /* it was written with an escape */
	uint64_t str_pos; /* byte in the file of its opening quote */

	const struct io *io; /* NULL: from memory */
	int fd;
	unsigned char *win; /* owns when reading from a file */
	size_t n, at;       /* bytes in the window, next one */
	uint64_t win_pos;   /* byte in the file of win[0] */
	uint64_t end;       /* byte in the file after the document */
	unsigned depth, max_depth;
	size_t max_key; /* longest key jread_key takes; JREAD_KEY unless the caller sets another */
	bool first[JREAD_MAX_DEPTH + 1]; /* no member read yet, by depth */
	bool failed;
	struct err *e; /* borrows */
};

/* Bytes at..at+n of an open file. */
int jread_open_file(struct jread *j, const struct io *io, int fd, uint64_t at, uint64_t n,
	unsigned max_depth, struct err *e);
/* Borrows p until jread_close. */
void jread_open_mem(struct jread *j, const void *p, size_t n, unsigned max_depth, struct err *e);
void jread_close(struct jread *j);

int jread_object(struct jread *j); /* steps into an object */
int jread_key(struct jread *j);    /* 1: a key is in str; 0: the object ended; -1 */
int jread_array(struct jread *j);  /* steps into an array */
int jread_item(struct jread *j);   /* 1: an item comes; 0: the array ended; -1 */
/* A string of at most max bytes (json.long beyond). */
int jread_string(struct jread *j, size_t max);
/* Digits only, no sign, point or exponent, no leading zero, at most max. */
int jread_u64(struct jread *j, uint64_t max, uint64_t *v);
/* Any JSON number of at most 40 characters, rounded to double. */
int jread_real(struct jread *j, double *v);
int jread_skip(struct jread *j); /* steps over any value */
/* First byte of what comes next, after white space; 0 at the end, -1 on failure. */
int jread_peek(struct jread *j);
/* Nothing may follow but spaces (0x20); with loose also other white space. */
int jread_end(struct jread *j, bool loose);
/* Byte in the file of the next token. */
uint64_t jread_pos(struct jread *j);

#ifdef __cplusplus
}
#endif
#endif
