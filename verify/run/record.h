/* record.h -- a record: what a model computed for some tokens, as one safetensors file; read and written.
 *
 * Names as in tests/golden (docs/forward.md): ids, layers.L.out, layers.L.attn.in, .., logits. A record of
 * this program says so in its metadata ("dsv4.record": "1") and has the XXH3-128 of every layer's output
 * there ("dsv4.xxh3.layers.L.out"), so that one of logits only can still name the first layer that differs; and in which
 * order sums of codes were taken ("dsv4.sums": "DENSE EXPERTS", the columns of a partial sum), so that a model in another
 * number format can be replayed in the same.
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_RUN_RECORD_H
#define VERIFY_RUN_RECORD_H
#include "core/dest.h"
#include "core/file.h"
#include "core/hash/xxh.h"
#include "formats/st/safetensors.h"
#include "kernels/forward/weights.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { RECORD_LAYERS_MAX = 4096 };

struct record {
	const struct io *io;
	int fd; /* owns, -1: none */
	struct st_header h;
	struct arena arena;
	bool ours;
	bool fp32;                  /* it says that nothing was rounded: FP32 arithmetic */
	struct weights_order order; /* of sums; 0 where it does not say */
	struct xxh_digest *out;     /* owns; [layers] of layers.L.out */
	bool *has_out;              /* owns */
	uint32_t layers;            /* of which there may be a digest */
	uint32_t said;              /* of which there is one in the record */
	uint32_t *ids;              /* owns */
	uint32_t n;                 /* tokens */
};
/* Opens a record; ids are read, and bounded by most. */
int record_open(struct record *r, const struct io *io, const char *path, uint32_t layers,
	uint32_t most, struct err *e);
void record_close(struct record *r);
const struct tensor *record_find(const struct record *r, const char *name);
/* A tensor of n values (BF16 or F32) as float; 1 if it is there, 0 if not, -1. */
int record_floats(const struct record *r, const char *name, uint64_t n, float **v, struct err *e);
/* Values first .. first + n of such a tensor, which has all of them, to v. It must be there. */
int record_some(const struct record *r, const char *name, uint64_t all, uint64_t first, uint64_t n,
	float *v, struct err *e);
/* The same of I64 or I32; values beyond int32 are an error. */
int record_ints(const struct record *r, const char *name, uint64_t n, int32_t **v, struct err *e);

/* --- writing --- */

struct record_out {
	struct file_out file;
	struct tensor *tensors; /* owns; [n] */
	size_t n, cap;
	uint32_t layers;
	struct xxh_digest *out; /* owns; [layers] */
	uint64_t header;        /* bytes */
	bool fp32;              /* as in struct record */
	struct weights_order
		order; /* the same; not written in FP32 arithmetic, where all orders are one */
	struct arena arena;
	const struct io *io;
	struct dest dest; /* owns; the file that it becomes */
};
int record_begin(struct record_out *o, const struct io *io, uint32_t layers, bool fp32,
	struct weights_order order, struct err *e);
/* Announces a tensor; then record_start. */
int record_plan(struct record_out *o, const char *name, enum dtype dtype, const uint64_t *dim,
	uint8_t rank, struct err *e);
/* By which a record of this program is known. */
extern const struct dest_kind record_kind;
/* Makes the file, which gets the name path at the end; a record of that name is replaced, another file is refused (rule
 * out.file). */
int record_start(struct record_out *o, const char *path, struct err *e);
/* Values of a tensor that was announced, in its type: float as BF16 or F32, int32 as I64. Others are dropped. */
int record_put(struct record_out *o, const char *name, const void *v, bool whole, uint64_t n,
	uint64_t first, struct err *e);
int record_finish(struct record_out *o, struct err *e);
void record_abandon(struct record_out *o); /* also after finish */

#ifdef __cplusplus
}
#endif
#endif
