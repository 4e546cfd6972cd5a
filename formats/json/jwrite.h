/* jwrite.h -- JSON, written member by member into a text; nothing is sorted or checked for repetition,
 * the caller writes keys in the order they are to have.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_JSON_JWRITE_H
#define FORMATS_JSON_JWRITE_H
#include "core/text.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Containers nested deeper than flat are kept on one line. */
struct jwrite {
	struct text *t;
	unsigned depth, flat;
	bool first;
};
void jwrite_begin(struct jwrite *o, struct text *t, unsigned flat);
/* key is NULL inside an array and for the outermost value. */
void jwrite_open(struct jwrite *o, const char *key, char bracket); /* '{' or '[' */
void jwrite_close(struct jwrite *o, char bracket);                 /* '}' or ']' */
/* Any bytes: what is no valid UTF-8 is written as the text \xNN, so that the document parses. */
void jwrite_str(struct jwrite *o, const char *key, const char *s);
void jwrite_u64(struct jwrite *o, const char *key, uint64_t v);
/* The shortest decimal that reads back as v; null for NaN and infinities, which JSON has not. */
void jwrite_f64(struct jwrite *o, const char *key, double v);
void jwrite_bool(struct jwrite *o, const char *key, bool v);
void jwrite_null(struct jwrite *o, const char *key);
/* n bytes as a hex string. */
void jwrite_hex(struct jwrite *o, const char *key, const uint8_t *p, size_t n);
/* n bytes that are JSON already. */
void jwrite_raw(struct jwrite *o, const char *key, const char *s, size_t n);
/* A string with quotes, escaped as serde_json does: what the official safetensors writer uses. */
void jwrite_quote(struct text *t, const char *s, size_t n);

#ifdef __cplusplus
}
#endif
#endif
