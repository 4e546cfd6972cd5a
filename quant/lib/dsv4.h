/* dsv4.h -- libdsv4: reads what dsv4-convert and dsv4-quant have written, into memory of the caller.
 *
 *	dsv4_open       a conversion, a set, or the folder of one rank: every document is held to its digest
 *	dsv4_tensor     what lies where: names, types, shapes, layouts
 *	dsv4_read       bytes of a tensor, held to the digests on the way
 *	dsv4_relayout   a matrix from one layout to another
 *	dsv4_decode     values as F32
 *
 * Who owns what: the caller owns every buffer and every struct that it passes. A struct dsv4 and all that it points to
 * belong to the library and live until dsv4_close. No function keeps a pointer of the caller beyond its return. A pointer may
 * be NULL only where its function says so.
 *
 * Threads: after dsv4_open any number of threads may use the same struct dsv4 at once, each with a struct dsv4_error
 * of its own. dsv4_close must be the last call. Functions without a struct dsv4 may be called at any time. The library
 * has no state besides: it prints nothing, installs no handler, changes no limit and never ends the process. It reads one variable of
 * the environment, DSV4_CPU, which can only make it slower.
 *
 * Errors: functions that can fail return 0, or -1 and what was wrong in *e, which may be NULL. After -1 nothing was
 * opened, and the contents of a destination mean nothing: bytes that failed a check may stand there. *e is not changed
 * by calls that succeed.
 *
 * Files are read with pread and never mapped: a file that is cut off while it is read is an error and no signal. All
 * integers of the files are little-endian, as is every processor that these functions are built for.
 *
 * Compatibility: structs that the library fills are only handed out as pointers, and grow at their ends. Structs that
 * the caller fills begin with their size. The number of the soname changes where that is not enough.
 *
 * SPDX-License-Identifier: MIT */
#ifndef DSV4_H
#define DSV4_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* The version of this header. dsv4_version says that of the library that was linked. */
#define DSV4_LIB_VERSION "0.1.0"

/* --- errors --- */

enum dsv4_kind {
	DSV4_OK,
	DSV4_DATA,        /* a file was read and breaks a rule */
	DSV4_MISMATCH,    /* two things that must agree do not: digests, sizes, documents */
	DSV4_UNSUPPORTED, /* perhaps sound, but not known to this version */
	DSV4_USAGE,       /* the call makes no sense, or the folder is not what was asked for */
	DSV4_SYSTEM       /* the machine said no: I/O, memory, descriptors */
};

struct dsv4_error {
	int kind;          /* enum dsv4_kind */
	char rule[48];     /* stable id such as "check.chunk" (docs/rules.md); "": none */
	char message[720]; /* one sentence with file and tensor, without newline, safe to print */
};

/* Returns what the rule of that id means, and what to do about it, each a clause; NULL: there is no such rule. */
const char *dsv4_rule_meaning(const char *rule);
const char *dsv4_rule_remedy(const char *rule);

/* Returns the version of the library, as "0.1.0". */
const char *dsv4_version(void);

/* --- what is in a folder --- */

struct dsv4; /* an open conversion */

/* The whole of what was opened. */
struct dsv4_info {
	const char *kind;   /* id of docs/kinds.md: "set", "rank", "hf", "quant", "official" ... */
	const char *target; /* of the conversion: "marlin-mxfp4", "hf" ... */
	const char *plan;   /* hash of its plan, 64 hexadecimal digits */
	const char *tool;   /* that wrote it, with its version */
	uint32_t folders, files;
	size_t tensors;
	uint64_t bytes; /* of all files of weights */
};

/* A folder with weights. A whole model has one, a set one for each rank; where ranks are files of one folder (targets
 * official and vllm-sharded), the files of a rank are listed as one. No tensor is twice in one. */
struct dsv4_folder {
	const char *name;             /* below the path that was opened; "": that itself */
	uint32_t rank, ranks;         /* ranks 0: the folder is of no rank */
	uint32_t stage, stages;       /* of the pipeline; stages 0: of none */
	uint32_t first_file, files;   /* its files are first_file .. first_file + files */
	size_t first_tensor, tensors; /* and its tensors */
};

/* Bytes that have a digest of their own in a sidecar: chunk i of a file begins at byte i * DSV4_CHUNK of it. */
#define DSV4_CHUNK 16777216u

struct dsv4_file {
	const char *name;
	uint32_t folder;
	uint64_t bytes;               /* of the file */
	uint64_t payload;             /* first byte behind the header */
	size_t first_tensor, tensors; /* in the order of the payload, without gap */
	const uint8_t *sha256;        /* [32]; NULL: the conversion was made without */
};

/* A matrix, or several one behind the other, laid out for a kernel. */
struct dsv4_stack {
	const char *layout; /* name of docs/layouts.md */
	uint32_t version;   /* of the layout */
	const char *order;  /* order of rows of docs/layouts.md: "gate-up", "same" ... */
	uint32_t parts;     /* matrices of the source that became one: 2 of w1 and w3, else 1 */
	uint32_t rows;      /* of one matrix, all parts */
	uint64_t row_bytes; /* of a row before it was laid out */
	uint64_t count;     /* matrices */
	uint64_t bytes;     /* of one matrix as it lies in the file */
};

/* Rows of a table, each with its scales behind its codes, so that one read brings a row: record i of the tensor is its bytes i * bytes ..
 * (i + 1) * bytes, of which the first are codes, then scales, then zeros. */
struct dsv4_records {
	const char *layout; /* name of docs/layouts.md: "record", "record512", "mxfp4", "cb4" */
	const char *
		codec; /* number format of the rows (docs/numbers.md): "fp8-row", "mxfp4"; "cb4", of docs/layouts.md, whose levels are the tensor
			    * embed.levels beside it */
	uint64_t bytes, codes, scales; /* of a record, of its codes, of its scales */
	uint64_t cols;                 /* numbers in a row */
	uint64_t first;                /* the row of the table that is record 0 */
	uint64_t rows;                 /* of the table; the tensor has shape[0] of them */
	uint32_t rank, ranks;          /* that share the table; 0 of 1: it is whole */
};

struct dsv4_tensor {
	const char *name;
	const char *dtype;       /* as in safetensors: "F8_E4M3", "I32" ... */
	uint32_t rank;           /* number of dimensions, at most 8 */
	const uint64_t *shape;   /* [rank] outermost first, in elements */
	const uint64_t *strides; /* [rank] in elements: the tensor is dense, the last one is 1 */
	uint32_t file;
	uint64_t offset; /* byte of the file where it begins */
	uint64_t bytes;
	const char *transform; /* how it was made, a word of docs/format.md: "copy", "tile" ... */
	const struct dsv4_stack *stack;     /* NULL: rows lie as they are */
	const uint8_t *xxh3_128;            /* [16] of its bytes, canonical */
	const struct dsv4_records *records; /* NULL: it is no table of such */
};

struct dsv4_open_options {
	size_t size;          /* sizeof(struct dsv4_open_options) */
	uint32_t rank, ranks; /* open this rank of so many; ranks 0: whatever is there, all of it */
	uint32_t stage, stages; /* the same of stages of a pipeline */
	const char *target;     /* refuse conversions for another one; NULL: take any */
	int direct;             /* 1: also open the files past the page cache, for DSV4_DIRECT */
};

/* Opens the conversion at path: a set, the folder of one rank, rank files of target official or vllm-sharded, or a folder of target hf
 * or of dsv4-quant. o may be NULL. Reads manifests, sidecars and headers, and holds each to the digest above it and to
 * each other; payload is not read. On success *d is to be closed with dsv4_close; on failure it is NULL.
 *
 * Refused with a sentence: what is no conversion of these tools (kind.*), is not finished (kind.unfinished), has no seal or a broken one
 * (check.unsealed, set.manifest), lacks files (check.missing) or has files of another size (set.size), headers that are
 * not those of the sidecars (check.header), layouts of another version (set.layout), another target (lib.target) or rank (check.rank)
 * than was asked for.
 *
 * Keeps one descriptor for each file of weights open, two with direct; where the process may not have so many, open rank by rank.
 * Memory: about 500 bytes for each tensor, and 16 for each DSV4_CHUNK of the files. */
int dsv4_open(struct dsv4 **d, const char *path, const struct dsv4_open_options *o,
	struct dsv4_error *e);
/* Closes the files and frees the memory. d may be NULL. */
void dsv4_close(struct dsv4 *d);

/* Return what is there; all live as long as d. NULL: there is no item of that number. Folders, files and tensors are counted from 0;
 * tensors come file by file in the order of the payload. */
const struct dsv4_info *dsv4_info(const struct dsv4 *d);
const struct dsv4_folder *dsv4_folder(const struct dsv4 *d, uint32_t i);
const struct dsv4_file *dsv4_file(const struct dsv4 *d, uint32_t i);
const struct dsv4_tensor *dsv4_tensor(const struct dsv4 *d, size_t i);

#define DSV4_NONE SIZE_MAX
/* Returns the number of the tensor of that name in a folder, DSV4_NONE: it has none. In logarithmic time. */
size_t dsv4_find(const struct dsv4 *d, uint32_t folder, const char *name);

/* --- bytes --- */

enum dsv4_flags {
	DSV4_UNVERIFIED = 1, /* do not hold what is read to digests */
	DSV4_DIRECT =
		2, /* past the page cache, where the folder was opened with direct and its file system has that */
	DSV4_SHA256 = 4 /* dsv4_check: also the SHA-256 of the file */
};

struct dsv4_read_options {
	size_t size;      /* sizeof(struct dsv4_read_options) */
	uint32_t threads; /* that one call uses, at most 256; 0 and 1: only the caller's */
	uint32_t flags;   /* of enum dsv4_flags */
};

/* Reads bytes offset .. offset + n of tensor i to dst, which has room for n bytes. o may be NULL: one thread, verified.
 * n 0 reads nothing, and dst may be NULL then. Memory: 512 KiB for each thread, with DSV4_DIRECT 8 MiB.
 *
 * Verified means: a whole tensor that is read by one thread, or has less than two DSV4_CHUNK, is held to its own digest
 * (check.tensor). Everything else is held to the digests of the chunks in which it lies (check.chunk); chunks of which
 * only a part is wanted are read in full for that, at most two for a call.
 *
 * With DSV4_DIRECT reads are of whole blocks of 4096 bytes. They go to dst itself where dst and the place in the file
 * are at the same distance from a multiple of 4096; else each byte is copied once more. Where the file system has no
 * such reads, these are plain ones.
 *
 * Errors: lib.range where the tensor has no such bytes, file.short where the file ends before, check.tensor, check.chunk. */
int dsv4_read(const struct dsv4 *d, size_t i, uint64_t offset, void *dst, size_t n,
	const struct dsv4_read_options *o, struct dsv4_error *e);
/* The same of bytes of file i, its header counted: for loaders that move whole files in pieces. A piece from one multiple of
 * DSV4_CHUNK to the next is held to its digest without reading anything twice. */
int dsv4_read_file(const struct dsv4 *d, uint32_t i, uint64_t offset, void *dst, size_t n,
	const struct dsv4_read_options *o, struct dsv4_error *e);
/* Reads all of file i and holds it to the digests of its chunks, with DSV4_SHA256 also to that of the manifest
 * (check.sha256; lib.call where the conversion was made without). SHA-256 is one chain and uses one thread. */
int dsv4_check(const struct dsv4 *d, uint32_t i, const struct dsv4_read_options *o,
	struct dsv4_error *e);

/* --- layouts --- */

/* How a matrix lies in memory. */
struct dsv4_layout {
	size_t size;        /* sizeof(struct dsv4_layout) */
	const char *layout; /* name of docs/layouts.md; NULL: "rows", one row behind the other */
	const char *order;  /* of its rows, as above; NULL: as in the source, part by part */
	uint32_t rows;      /* all parts */
	uint64_t row_bytes; /* of a row of the source: two FP4 codes, or a scale, in a byte */
};

/* Returns the names of the layouts of this version, one by one; NULL: there are no more. */
const char *dsv4_layout_name(unsigned i);
/* Sets *bytes to what the matrix has in that layout, padding counted. lib.matrix where it does not take that size, set.layout where
 * there is no such layout or order. */
int dsv4_layout_bytes(const struct dsv4_layout *m, uint64_t *bytes, struct dsv4_error *e);
/* Takes the matrix at src, from, and writes it to dst as to says. Rows and row_bytes of both are the same; src_bytes
 * and dst_bytes must be what dsv4_layout_bytes says. The buffers must not overlap. No bit of a code or scale is changed; padding is
 * written as zeros. Orders of one part and of two cannot be changed into each other (lib.matrix). Memory: the matrix once more, where
 * neither side is "rows", and 16 bytes for each row. One thread. */
int dsv4_relayout(const struct dsv4_layout *from, const void *src, size_t src_bytes,
	const struct dsv4_layout *to, void *dst, size_t dst_bytes, struct dsv4_error *e);

/* --- values --- */

/* What a tensor is as numbers: count matrices of rows x cols. */
struct dsv4_values {
	uint64_t count, rows, cols;
	const char *codec; /* number format: "mxfp4", "fp8", "bf16" ... (docs/numbers.md) */
};
/* Sets *v. lib.decode where the tensor holds no values of a known number format: ids, scales that are no F32, matrices whose scales are
 * not there. */
int dsv4_values(const struct dsv4 *d, size_t i, struct dsv4_values *v, struct dsv4_error *e);
/* Writes rows row .. row + rows of matrix k of tensor i to dst as F32, cols of them for each row; n is the room in numbers. Rows are in the order of
 * the source: of w1 and w3 in one matrix first those of w1; of records those that the tensor has, counted from records->first. The scales are found by their name. A value is code times scale (times the factor of the matrix,
 * where the format has one), rounded once to F32, which is exact for all formats but NVFP4; a NaN gives a NaN. What is read is held to digests unless DSV4_UNVERIFIED is
 * given. Memory: what is read, and the matrix and its scales once more where they are laid out. o may be NULL; o->threads are those of reading.
 *
 * Targets vllm-sharded and sglang-presharded name tensors as their engines do: a parameter that is several matrices of the source has
 * their rows one behind the other, in the order of the engine's parameter, experts are matrices of one tensor, and what SGLang
 * holds in another form (wo_a, ape) is what it holds. What the source had lies beside, in a folder of no rank. */
int dsv4_decode(const struct dsv4 *d, size_t i, uint64_t k, uint64_t row, uint64_t rows, float *dst,
	size_t n, const struct dsv4_read_options *o, struct dsv4_error *e);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
