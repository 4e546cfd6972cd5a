/* values.h -- a model folder as matrices of numbers, whatever it lies there as: a checkpoint, a conversion in another number
 * format, an export of others, a GGUF.
 *
 *	values_open_source   a checkpoint, held to its config.json: what a tensor is follows from that
 *	values_open          what was made of it: of each tensor of the source the codes that lie there, found by name, type
 *	                     and shape alone; no manifest or sidecar is asked
 *
 *	values_source / values_find   where a tensor lies   ->  struct lie
 *	lie_read                      its bytes, some rows
 *	lie_row                       a row of them as doubles, which hold every value of every format exactly
 *
 * After opening it may be used from several threads.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_ATLAS_VALUES_H
#define VERIFY_ATLAS_VALUES_H
#include "formats/folder/folder.h"
#include "formats/model/audit.h"
#include "quant/gguf_model.h"
#include "quant/cb4.h"
#include "verify/atlas/tables.h"

#ifdef __cplusplus
extern "C" {
#endif

struct values {
	const struct io *io; /* borrows */
	const char *path;    /* borrows; as the user called it */
	struct ckpt c;
	struct audit a;
	struct gguf_model g;
	struct ckpt drafts; /* of a GGUF: its MTP block, which is a file beside it */
	struct gguf_model drafts_g;
	struct tables tables;
	unsigned features;
	bool open, has_audit, is_gguf, has_drafts;
};

struct values_opts {
	const struct io *io;
	uint64_t header_cap;
	bool follow_links; /* as in ckpt_opts */
	unsigned features; /* of the processor */
};

/* A matrix, or a vector as one row, where it lies. Zeroed: nowhere. */
struct lie {
	const char *form;    /* what the number format is called; static */
	uint64_t rows, cols; /* of values */
	uint64_t bytes;      /* codes, scales and factor */
	enum codec codec;    /* CODEC_NONE: of ggml's types */
	uint32_t ggml;
	unsigned features; /* bits of enum cpu_feature, on which no value depends */
	const struct tensor *codes, *scales,
		*zeros; /* of values.c; codes NULL: bytes of a GGUF, from byte at of fd; zeros NULL: none */
	double second;
	int fd; /* borrows */
	uint64_t at;
	uint64_t row_bytes, stride; /* of the codes of a row, and from one row to the next */
	uint64_t scale_row,
		scale_kept; /* bytes of a row of scales, as it lies there and with its zero points */
	uint32_t scale_rows; /* rows of values that share one; 0: there are none */
	struct table_rows
		table; /* how NULL: none. Records: a row has its scales row_bytes behind its codes, and codes is the first rank's */
	float level[CB4_LEVELS]; /* of records of ROWREC_CB4 */
};

/* Both return 0; or -1, and then nothing is open. */
int values_open_source(struct values *v, const char *path, const struct values_opts *o,
	struct err *e);
int values_open(struct values *v, const char *path, const struct values_opts *o, struct err *e);
void values_close(struct values *v);

/* Returns where tensor i of the source lies, which is no scale and no table of ids; form NULL: it is one of those. */
struct lie values_source(const struct values *v, size_t i);
/* Finds what the result has for the tensor of that name, rows x cols; *l has form NULL where it has nothing for it in a
 * number format that is known. Returns -1 where that could not be read. */
int values_find(const struct values *v, const char *tensor, uint64_t rows, uint64_t cols,
	struct lie *l, struct err *e);

/* Whether it has a tensor of drafts (MTP, DSpark) at all. Those of DSpark are not read of a GGUF. */
bool values_have_drafts(const struct values *v);

/* Returns the name of a tensor that has records of an Engram table (dsv4-convert run --engram-layout), for a table of which values_find
 * has found nothing: a rank of them is missing, or their layout is not known. NULL: there is none, or that tensor of the source is no
 * such table. */
const char *values_records(const struct values *v, const char *tensor);

/* Bytes of all files of weights, headers and drafts with them. */
uint64_t values_files(const struct values *v);

/* Bytes that lie_read wants for n rows. */
size_t lie_room(const struct lie *l, uint64_t n);
/* Reads rows row .. row + n into buf. */
int lie_read(const struct values *v, const struct lie *l, uint64_t row, uint64_t n, uint8_t *buf,
	struct err *e);
/* Decodes row i of what lie_read has read to v[cols]; row and n are what it was given. */
void lie_row(const struct lie *l, const uint8_t *buf, uint64_t row, uint64_t n, uint64_t i,
	double *v);
/* The same with other codes, of as many bytes. */
void lie_decode(const struct lie *l, const uint8_t *codes, const uint8_t *buf, uint64_t row,
	uint64_t n, uint64_t i, double *v);

#ifdef __cplusplus
}
#endif
#endif
