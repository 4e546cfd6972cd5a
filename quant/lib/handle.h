/* handle.h -- what a struct dsv4 holds, for the files of this room.
 *
 *	intake.c    fills it from manifests, sidecars and headers
 *	reader.c    reads bytes of its files
 *	decode.c    finds the scales of a tensor in it, and makes numbers
 *
 * The public structs are the first members of those below, so that a pointer to one is a pointer to the other. After
 * intake nothing is changed any more, which is what makes it safe for several threads.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_LIB_HANDLE_H
#define QUANT_LIB_HANDLE_H
#include "core/err.h"
#include "core/hash/sha256.h"
#include "core/hash/xxh.h"
#include "core/io.h"
#include "core/mem.h"
#include "formats/layout/rowmap.h"
#include "formats/layout/tile.h"
#include "quant/lib/dsv4.h"

#ifdef __cplusplus
extern "C" {
#endif

struct handle_file {
	struct dsv4_file is;
	int fd;                    /* owns */
	int direct;                /* owns; opened with O_DIRECT; -1: it is not */
	struct xxh_digest *chunks; /* owns */
	size_t n_chunks;
	uint8_t sha256[32];
};

struct handle_tensor {
	struct dsv4_tensor is;
	struct dsv4_stack stack;     /* where is.stack is not NULL */
	struct dsv4_records records; /* the same of is.records */
	const struct tile *tile;     /* NULL: rows lie as they are */
	const struct rowmap *map;
	uint8_t dtype; /* enum dtype */
	bool scales;   /* the matrices of the stack are scales */
	uint8_t xxh[16];
};

struct dsv4 {
	const struct io *io;
	struct dsv4_info info;
	struct arena arena;            /* names, shapes */
	struct dsv4_folder *folders;   /* owns */
	struct handle_file *files;     /* owns */
	struct handle_tensor *tensors; /* owns */
	size_t folders_cap, files_cap, tensors_cap;
	size_t *by_name; /* owns; [info.tensors] numbers of tensors, by folder and then by name */
	unsigned features;
	struct sha256_kit kit;
};

/* Opens as dsv4_open does, through io. On failure *d is NULL. */
int handle_open(struct dsv4 **d, const struct io *io, const char *path,
	const struct dsv4_open_options *o, struct err *e);

/* What the options of a read say, o may be NULL; threads is at least 1. Refuses flags other than those given. Rule:
 * lib.call. */
struct handle_call {
	unsigned threads, flags;
};
int handle_call(struct handle_call *c, const struct dsv4_read_options *o, unsigned flags,
	struct err *e);

/* Reads bytes of a file; the tensor whose bytes they are all of, or NULL. The range is in the file, and n is not 0. Reports name
 * file and tensor. */
int handle_read(const struct dsv4 *d, const struct handle_file *f, const struct handle_tensor *t,
	uint64_t at, uint8_t *dst, size_t n, const struct handle_call *c, struct err *e);

/* Reports lib.call where p, the argument of that name, is NULL and must not be; returns -1 then, else 0. */
int handle_needs(const void *p, const char *name, struct err *e);
/* Hands what e reports to the caller, who may not want it. Returns -1, or 0 if it reports nothing. */
int handle_fails(struct dsv4_error *out, const struct err *e);

/* A matrix from one layout to another, through functions for a processor with these features. NULL maps: the rows are
 * in the order of the source. Sizes were looked at before. */
struct handle_side {
	const struct tile *tile;
	const struct rowmap *map;
};
int handle_relayout(struct handle_side from, const uint8_t *src, struct handle_side to,
	uint8_t *dst, uint32_t rows, uint64_t row_bytes, unsigned features, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
