/* gguf_model.h -- a GGUF of DeepSeek-V4 read as the checkpoint that its file says it is, whoever wrote it.
 *
 * The metadata make config.json (formats/model/gguf_config.h); of that follows which tensors there must be, each held to
 * its name and shape. They are listed under the names of a checkpoint, with their values as they lie in the GGUF:
 *
 *	tables and norms    BF16, F32 or I64, as the forward pass takes them; embed.weight always BF16
 *	quantized matrices  with the type that they have there, one matrix for each expert: gguf_model_matrix says where
 *	                    it lies, quant/ggml_back.h what it is
 *
 * Drafts are files of their own: that of an MTP block can be held to its keys, and is not computed with.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_GGUF_MODEL_H
#define QUANT_GGUF_MODEL_H
#include "formats/gguf/gguf_meta.h"
#include "formats/gguf/gguf_set.h"
#include "formats/model/checkpoint.h"
#include "formats/model/gguf_name.h"
#include "formats/model/inventory.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where the values of a tensor of the checkpoint lie. */
struct gguf_matrix {
	uint32_t part; /* of the set */
	uint32_t type; /* enum ggml_type */
	uint64_t at;   /* byte in the file */
	uint64_t bytes;
	uint64_t rows, cols; /* of a vector: one row */
	bool expert, dense;  /* one of the quantized matrices */
};

struct gguf_model {
	const struct io *io;
	const struct ckpt *c; /* borrows: the one that was opened */
	struct gguf_set set;
	struct gguf_meta meta; /* of the first part */
	int *fds;              /* owns; [set.n] */
	struct inventory inv;
	struct gguf_matrix *v; /* owns; [c->n] */
	bool rounds;    /* some matrix is of a type that has not the values of a checkpoint */
	uint64_t extra; /* tensors of drafts in the same file, not looked at */
	struct ckpt_payload payload;
};

/* Opens the set that the file name in the open folder dir belongs to, of the model or of its MTP block, as *c: config.json, tensors and payload, which points
 * to m; c->io stays NULL. What is wrong with it becomes findings; then *m and *c are whole but for that. Returns -1 where nothing
 * can be read, and then neither is open. */
int gguf_model_open(struct gguf_model *m, struct ckpt *c, const struct io *io, int dir,
	const char *name, enum gguf_file_of of, struct findings *f, struct err *e);
/* Frees what m and c own. */
void gguf_model_close(struct gguf_model *m, struct ckpt *c);

/* Reads the bytes of a matrix as they lie there to dst. */
int gguf_model_read(const struct gguf_model *m, const struct gguf_matrix *x, void *dst,
	struct err *e);

/* Sets m->payload. Between the files gguf_model.c and gguf_payload.c. */
void gguf_model_payload(struct gguf_model *m);

/* Finds the file of a model in the open folder dir: the only set of GGUF files whose architecture is that of the model.
 * Returns 0, or -1 where there is none (kind.gguf) or more than one. */
int gguf_model_find(const struct io *io, int dir, char name[256], struct err *e);

#ifdef __cplusplus
}
#endif
#endif
