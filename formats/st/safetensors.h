/* safetensors.h -- one safetensors file: a strict reader of its header, and a writer of one.
 *
 *	file   := N (u64 little endian) | header (N bytes) | payload
 *	header := { ["__metadata__": {string: string, ...},]
 *	            name: {"dtype": string, "shape": [u64, ...], "data_offsets": [begin, end]}, ... }
 *	          then spaces
 *
 * Offsets count from byte 8+N; the tensors cover the payload without gap or overlap; the file ends
 * where they end. Accepted is a subset of what the official reader accepts: no name twice (also
 * not when spelled with escapes), exactly the three fields, integers written plainly, sizes that
 * cannot wrap even where a dimension is zero. The rules stand in core/rule.def.
 *
 * Memory: a 64 KiB window, and about the size of the header for what was read from it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_ST_SAFETENSORS_H
#define FORMATS_ST_SAFETENSORS_H
#include "core/err.h"
#include "core/io.h"
#include "core/mem.h"
#include "core/text.h"
#include "formats/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ST_HEADER_CAP 100000000u      /* bytes; the official reader's cap */
#define ST_DIM_MAX ((1ull << 48) - 1) /* one dimension */
#define ST_OFFSET_MAX ((1ull << 53) - 1)
enum { ST_RANK_MAX = 8, ST_NAME_MAX = 1024, ST_META_MAX = 1 << 20 };

struct tensor {
	const char *name;    /* lives in the arena, as dim does */
	const uint64_t *dim; /* rank of them, outermost first; F4 counts elements */
	uint64_t begin, end; /* bytes in the payload */
	uint32_t shard;      /* which file; the reader of one file sets 0 */
	uint32_t pos;        /* byte in the file where the header names it */
	uint8_t dtype, rank; /* enum dtype */
	uint16_t ggml; /* in a GGUF: enum ggml_type of its blocks, of which it has bytes; else 0 */
};

struct st_header {
	uint64_t data_at;       /* 8 + N: byte in the file of the payload */
	struct tensor *tensors; /* owns; in header order */
	size_t n;
	bool metadata; /* it has a __metadata__ entry */
	uint64_t meta_at,
		meta_end; /* bytes of the file from its name on: white space, a colon, the object */
};

/* Reads the header of an open regular file of size bytes. Names and dims go to the arena. What is
 * wrong is reported with a rule and a byte; then *h is zeroed. */
int st_read(struct st_header *h, const struct io *io, int fd, uint64_t size, uint64_t header_cap,
	struct arena *arena, struct err *e);
/* The header alone, in a file of size bytes that ends with it; *payload is what its tensors need. */
int st_read_alone(struct st_header *h, const struct io *io, int fd, uint64_t size,
	uint64_t header_cap, struct arena *arena, uint64_t *payload, struct err *e);
void st_free(struct st_header *h);

/* Bytes of a tensor of that type and shape. False where it wraps or is no whole number. */
bool st_bytes(enum dtype t, const uint64_t *dim, unsigned rank, uint64_t *bytes);

/* The official writer's order: by descending type, then by name. For qsort of struct tensor. */
int st_order(const void *a, const void *b);
/* The first 8+N bytes of a file that holds n tensors in this order, as the official writer puts
 * them (no spaces between tokens, padded with spaces to a multiple of 8). The structs lie stride
 * bytes apart, so that they may be the first members of others. */
void st_put_header(struct text *out, const struct tensor *first, size_t n, size_t stride);
/* The same with metadata in front (none: left out), padded so that the payload begins at a multiple
 * of align, a power of two from 8 on. */
struct st_meta {
	const char *key, *value;
};
void st_put_header_for(struct text *out, const struct st_meta *meta, size_t n_meta, unsigned align,
	const struct tensor *first, size_t n, size_t stride);

#ifdef __cplusplus
}
#endif
#endif
