/* gguf_meta.h -- the metadata of a GGUF kept: every key with its type, numbers, the beginning of strings.
 *
 * Of a long array only type and count are kept: tokens and merges are megabytes, and who wants them reads them with
 * gguf.h.
 *
 *	struct gguf_meta m = { 0 };
 *	gguf_set_read(&s, io, dir, name, gguf_meta_take, &m, e);
 *	gguf_meta_find(&m, "general.architecture")
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_GGUF_GGUF_META_H
#define FORMATS_GGUF_GGUF_META_H
#include "formats/gguf/gguf_file.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
	GGUF_META_TEXT = 256,       /* bytes of a string that are kept */
	GGUF_META_ARRAY = 4096,     /* numbers of an array that are kept, or none */
	GGUF_META_NUMBERS = 1 << 16 /* of all arrays */
};

struct gguf_entry {
	const char *key;
	uint8_t type, item; /* enum gguf_type; item: of an array */
	uint64_t count;     /* of an array: items; of a string: bytes */
	double number; /* of a number or bool; of an array of one number whose items are all the same, that */
	const double *v;  /* of an array of numbers: [count]; NULL where it was too long */
	const char *text; /* of a string: its first bytes, NUL-terminated */
};

/* Zeroed: empty. */
struct gguf_meta {
	struct gguf_entry *v; /* owns; in the order of the file */
	size_t n, cap, numbers;
	struct arena arena;
};
/* For gguf_file_read and gguf_set_read; ctx is the struct gguf_meta. */
int gguf_meta_take(void *ctx, struct gguf *g, const struct gguf_value *v, struct err *e);
void gguf_meta_free(struct gguf_meta *m);
/* Returns the entry of that key, NULL where there is none. */
const struct gguf_entry *gguf_meta_find(const struct gguf_meta *m, const char *key);
/* Returns whether it is a number, or a bool, and no array. */
bool gguf_entry_number(const struct gguf_entry *x);

#ifdef __cplusplus
}
#endif
#endif
