/* json.h -- a strict JSON pull reader that holds no document, and a small writer.
 *
 * The reader is for the files whose size an attacker chooses: safetensors headers, shard indexes,
 * our own manifests. A DOM of those costs up to 78 bytes a byte; this costs a window of 64 KiB and
 * the longest string. (config.json is small and is read with jansson.)
 *
 * Strict means RFC 8259 and less: UTF-8 is checked, no lone surrogates, nesting has a limit that
 * the caller sets. There is no number but the non-negative integer, because nothing we read has
 * another; json_skip steps over the rest. The caller drives:
 *
 *	json_object(j);
 *	while ((more = json_key(j)) == 1)     j->str holds the key
 *		json_string(j, 99);           j->str holds the value
 *
 * After an error every call returns -1; the report has a "json." rule and the byte in the file.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_JSON_H
#define FORMATS_JSON_H
#include "core/err.h"
#include "core/io.h"
#include "core/text.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { JSON_MAX_DEPTH = 64, JSON_KEY = 4096 };
/* As max of json_string: any length, and the string is not kept. */
#define JSON_DROP SIZE_MAX

struct json {
	struct text str; /* owns; the last key or string, unescaped, may hold NUL bytes */
	bool escaped;    /* it was written with an escape */
	uint64_t str_pos; /* byte in the file of its opening quote */

	const struct io *io; /* NULL: from memory */
	int fd;
	unsigned char *win; /* owns when reading from a file */
	size_t n, at;       /* bytes in the window, next one */
	uint64_t win_pos;   /* byte in the file of win[0] */
	uint64_t end;       /* byte in the file after the document */
	unsigned depth, max_depth;
	size_t max_key; /* longest key json_key takes; JSON_KEY unless the caller sets another */
	bool first[JSON_MAX_DEPTH + 1]; /* no member read yet, by depth */
	bool failed;
	struct err *e; /* borrows */
};

/* Bytes at..at+n of an open file. */
int json_open_file(struct json *j, const struct io *io, int fd, uint64_t at, uint64_t n,
	unsigned max_depth, struct err *e);
/* Borrows p until json_close. */
void json_open_mem(struct json *j, const void *p, size_t n, unsigned max_depth, struct err *e);
void json_close(struct json *j);

int json_object(struct json *j); /* steps into an object */
int json_key(struct json *j);    /* 1: a key is in str; 0: the object ended; -1 */
int json_array(struct json *j);  /* steps into an array */
int json_item(struct json *j);   /* 1: an item comes; 0: the array ended; -1 */
/* A string of at most max bytes (json.long beyond). */
int json_string(struct json *j, size_t max);
/* Digits only, no sign, point or exponent, no leading zero, at most max. */
int json_u64(struct json *j, uint64_t max, uint64_t *v);
int json_skip(struct json *j); /* steps over any value */
/* First byte of what comes next, after white space; 0 at the end, -1 on failure. */
int json_peek(struct json *j);
/* Nothing may follow but spaces (0x20); with loose also other white space. */
int json_end(struct json *j, bool loose);
/* Byte in the file of the next token. */
uint64_t json_pos(struct json *j);

/* Writes into a text. Containers nested deeper than flat are kept on one line. */
struct json_out {
	struct text *t;
	unsigned depth, flat;
	bool first;
};
void json_out_begin(struct json_out *o, struct text *t, unsigned flat);
/* key is NULL inside an array and for the outermost value. */
void json_out_open(struct json_out *o, const char *key, char bracket); /* '{' or '[' */
void json_out_close(struct json_out *o, char bracket);                 /* '}' or ']' */
void json_out_str(struct json_out *o, const char *key, const char *s);
void json_out_u64(struct json_out *o, const char *key, uint64_t v);
void json_out_bool(struct json_out *o, const char *key, bool v);
void json_out_null(struct json_out *o, const char *key);
/* n bytes as a hex string. */
void json_out_hex(struct json_out *o, const char *key, const uint8_t *p, size_t n);
/* A string with quotes, escaped as serde_json does: what the official safetensors writer uses. */
void json_quote(struct text *t, const char *s, size_t n);

#ifdef __cplusplus
}
#endif
#endif
