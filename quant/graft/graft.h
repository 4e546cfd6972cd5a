/* graft.h -- a checkpoint whose routed experts are those of another form of the same model, made FP4 again.
 *
 *	DIR     config.json, names, all tensors but the routed experts
 *	FORM    the routed experts, in any number format that is known: FP8, NVFP4, MXFP8, MXFP4, BF16
 *
 * Seen from outside it is a checkpoint with FP4 experts; what is asked for of those is read from FORM and regained
 * (quant/regain.h). That both are of one model is proved, not believed: the shapes in both config.json are the same, FORM
 * has every expert's matrix (of drafts only where both have drafts; else those of DIR stay), and every other tensor that both have under one name, in one type and shape, has the same
 * bytes. That FORM is exact is counted: every block of 32 columns is on a grid of FP4, or is the first that is not. Where
 * DIR or FORM is a conversion of ours, what is taken of it has the digests of its sidecars.
 *
 * A tensor of an expert is said to be of the shard in which DIR has its experts, or the rest of that block.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_GRAFT_GRAFT_H
#define QUANT_GRAFT_GRAFT_H
#include "formats/conversion/tensor_digest.h"
#include "formats/model/inventory.h"
#include "formats/model/matrix.h"
#include "quant/regain.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A matrix of an expert. */
struct graft_matrix {
	struct matrix_parts lies; /* in FORM */
	uint32_t rows, cols;      /* elements */
	char *name;               /* owns; without an end */
	uint32_t tensor[2];       /* of the source as it is seen: codes and scales */
	bool proved; /* it was read once, and these are the digests of codes and scales */
	struct xxh_digest codes, scales;
};

struct graft {
	struct ckpt *c;   /* borrows: DIR, as it is seen */
	struct ckpt form; /* owns */
	const char *path; /* borrows; of FORM, for messages */
	bool open, lossy;
	struct graft_matrix *m; /* owns; [n] sorted by name */
	size_t n;
	uint32_t *of; /* owns; [c->n]: 0, or 1 + 2 * matrix, and 1 more for its scales */
	size_t raw, plain, scales,
		cols; /* of the largest: bytes in FORM, bytes of codes and scales in FP4; columns */
	uint64_t equal, blocks, inexact; /* tensors that were held equal; blocks of 32 columns */
	char said[128], id[65]; /* for manifests; hex digest of names and sizes of FORM's files */
	struct stat folder;     /* of FORM */
	struct tensor_digests form_said, dir_said; /* own; of form, and of c as it is seen */
	struct ckpt_payload payload;
};

/* Opens FORM at path, which is kept, and makes *c, which is DIR with a config.json that could be read, the checkpoint with its experts.
 * lossy: blocks that are on no grid are rounded, and counted. *c must be closed before *g. Returns -1, with *g zeroed and *c
 * to be closed all the same, where FORM is not of that model (plan.experts-from) or was rounded before, or a document of a
 * conversion is not as it was written (the rules of tensor_digest.h). */
int graft_open(struct graft *g, struct ckpt *c, const char *path, bool lossy, struct err *e);
/* Reads all of FORM's experts and what both have, on so many threads; sets equal, blocks, inexact and said. Rules:
 * plan.experts-from, data.experts-inexact; set.digest and check.extra of tensors of a conversion. */
int graft_prove(struct graft *g, unsigned threads, struct err *e);
/* *g may be zeroed. */
void graft_close(struct graft *g);

/* --- between the files graft*.c --- */

/* Reports plan.experts-from; returns -1. */
int graft_bad(const struct graft *g, struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Says that it is FORM that *e speaks of; returns -1. */
int graft_at(const struct graft *g, struct err *e);
/* Holds FORM's config.json to DIR's, and its manifest, if it has one, to have rounded nothing. Returns -1 otherwise. */
int graft_same_model(const struct graft *g, struct err *e);
/* How g->c is read. */
struct ckpt_payload graft_payload(struct graft *g);
/* What became of the blocks that a reader has regained. */
struct regain graft_counts(const void *reader);

#ifdef __cplusplus
}
#endif
#endif
