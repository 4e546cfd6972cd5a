/* gguf.h -- a strict pull reader of the header of one GGUF file, which holds no document.
 *
 *	file   := "GGUF" | version u32 = 3 | tensors u64 | pairs u64 | pair* | info* | padding | data
 *	pair   := key string | type u32 | value
 *	string := bytes u64 | UTF-8
 *	array  := type u32 | count u64 | value*          the value of type 9, of any type, also of arrays
 *	info   := name string | rank u32 | dim u64 [rank], the fastest first | type u32 | offset u64
 *
 * All numbers are little endian; offsets count from the data, which begins at the next multiple of the metadata
 * value general.alignment (32 where it is not said). The caller drives, and may leave out what it does not want:
 *
 *	while ((more = gguf_pair(g, &v)) == 1)       g->key holds the key, v the value
 *		while (v.type == GGUF_ARRAY && (more = gguf_item(g, &item)) == 1)
 *			...
 *	while ((more = gguf_tensor(g, &t)) == 1)
 *		...
 *
 * Memory: a window of 64 KiB and the longest string, at most GGUF_STRING_MAX. Time: linear in the bytes of the
 * header, of which at most GGUF_HEADER_CAP are read, whatever its counts say. After an error every call returns -1;
 * the report has a "gguf." rule and the byte in the file. Rules that need more than one entry at a time (names twice,
 * offsets) are gguf_file.h's.
 *
 * Source: the description of GGUF in ggml d99724f; where the two differ, the reader of llama.cpp 0c1e570, of which
 * this takes a subset (but arrays of arrays, which the description has and that program refuses).
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_GGUF_GGUF_H
#define FORMATS_GGUF_GGUF_H
#include "core/err.h"
#include "core/io.h"
#include "core/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GGUF_HEADER_CAP \
	100000000u /* bytes, that of safetensors; 129,280 tokens and their merges are 6 MB */
enum {
	GGUF_VERSION = 3,
	GGUF_KEY_MAX = 1024, /* bytes of a key; those in use have less than 64 */
	GGUF_NAME_MAX = 63,  /* bytes of a tensor's name: GGML_MAX_NAME - 1 */
	GGUF_STRING_MAX =
		16 << 20, /* bytes of a value; the longest in use are chat templates, of 10 KB */
	GGUF_PAIRS_MAX = 1 << 16,
	GGUF_TENSORS_MAX = 1 << 17, /* 70 times what DeepSeek-V4-Pro has */
	GGUF_RANK_MAX = 4,          /* GGML_MAX_DIMS */
	GGUF_DEPTH_MAX = 4,         /* arrays in arrays; none in use has more than one */
	GGUF_ALIGNMENT = 32,        /* where nothing is said */
	GGUF_ALIGNMENT_MAX = 1 << 20
};

/* Types of metadata values, numbered as in the files. */
enum gguf_type {
	GGUF_U8,
	GGUF_I8,
	GGUF_U16,
	GGUF_I16,
	GGUF_U32,
	GGUF_I32,
	GGUF_F32,
	GGUF_BOOL,
	GGUF_STRING,
	GGUF_ARRAY,
	GGUF_U64,
	GGUF_I64,
	GGUF_F64,
	GGUF_TYPE_COUNT
};
/* Returns "u32" and the like; "?" beyond the last. */
const char *gguf_type_name(unsigned type);
/* Bytes of a number of that type; 0 for strings, arrays and beyond. */
unsigned gguf_type_bytes(unsigned type);

/* A value, or for GGUF_ARRAY the beginning of one. */
struct gguf_value {
	uint64_t pos;  /* byte in the file; not used by the writer */
	uint64_t u;    /* unsigned types and BOOL (0 or 1) */
	int64_t i;     /* signed types */
	double f;      /* F32 and F64 */
	const char *s; /* STRING: n bytes, no NUL behind; the reader's live until its next call */
	size_t n;
	uint64_t count; /* ARRAY: so many items */
	uint8_t type;   /* enum gguf_type */
	uint8_t item;   /* ARRAY: the type of each of them */
};
/* Sets *u to an integer value of any type; false for negative ones and other types. */
bool gguf_value_u64(const struct gguf_value *v, uint64_t *u);

/* An entry of the list of tensors. */
struct gguf_tensor {
	const char *name;            /* NUL-terminated; the reader's lives until its next call */
	uint64_t dim[GGUF_RANK_MAX]; /* the fastest first; 1 beyond rank */
	uint64_t at;                 /* byte in the data */
	uint64_t bytes;              /* what type and shape need */
	uint64_t pos;                /* byte in the file of the entry */
	uint32_t type;               /* a row of ggml_type.h */
	uint8_t rank;                /* 0..4 */
};

struct gguf {
	uint64_t pairs, tensors; /* how many there are, as the file says */
	struct text key;         /* owns; NUL-terminated, holds no control byte */
	uint64_t key_pos;        /* byte in the file of the pair */

	const struct io *io;
	int fd;
	uint64_t size;      /* of the file */
	unsigned char *win; /* owns */
	size_t n, at;       /* bytes in the window, next one */
	uint64_t win_pos;   /* byte in the file of win[0] */
	struct text str;    /* owns; the last string value or name */
	uint64_t pairs_left, tensors_left;
	struct {
		uint64_t left; /* items not read */
		unsigned type;
	} level[GGUF_DEPTH_MAX]; /* the arrays that are open, the outermost first */
	unsigned depth;
	bool failed;
	struct err *e; /* borrows */
};

/* Reads the first 24 bytes of an open regular file of size bytes. *g is to be closed also after a failure. */
int gguf_open(struct gguf *g, const struct io *io, int fd, uint64_t size, struct err *e);
void gguf_close(struct gguf *g);

/* Reads the next pair, stepping over what was left of the one before. Of an array only type and count are read.
 * Returns 1, 0 after the last pair, -1. */
int gguf_pair(struct gguf *g, struct gguf_value *v);
/* Reads the next item of the innermost open array; an item that is an array opens it. Returns 1, 0 where the array
 * ended, -1. */
int gguf_item(struct gguf *g, struct gguf_value *v);
/* Reads the next entry of the list of tensors, stepping over all metadata that was left. Returns 1, 0 after the
 * last, -1. */
int gguf_tensor(struct gguf *g, struct gguf_tensor *t);
/* Byte in the file of what comes next. */
uint64_t gguf_pos(const struct gguf *g);

/* Bytes of a tensor of that type and shape; *bytes is set where true is returned. False where a row is no whole
 * number of blocks, the type is unknown, or the size does not fit into 63 bits. */
bool gguf_bytes(uint32_t type, const uint64_t *dim, unsigned rank, uint64_t *bytes);

#ifdef __cplusplus
}
#endif
#endif
