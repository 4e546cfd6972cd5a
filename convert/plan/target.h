/* target.h -- the targets: how each lays out the files of a folder. The planner (planner.c) hands a target
 * an empty plan and offers the functions below (layout.c) to fill it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_PLAN_TARGET_H
#define CONVERT_PLAN_TARGET_H
#include "convert/plan/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

struct layout {
	struct plan *p;
	const struct audit *a;
	const bool *selected;        /* [a->inv.places] */
	const struct engine *engine; /* of engine_target */
	struct err *e;
	size_t weighted; /* matrices that are rounded by an importance of their columns */
};

/* A target: how to lay out the files. */
struct target {
	const char *name, *what;
	int (*lay)(struct layout *l);
	const char *const *copied; /* small files that are copied if they are there; NULL ends */
};
extern const struct target targets[]; /* ends with a NULL name */
/* That of all names of dsv4-quant whose container is CONTAINER_SHARDS (formats/model/recipe.h). */
extern const struct target shards_target;
/* The same of CONTAINER_GGUF. */
extern const struct target gguf_target;
/* That of all engines of engine.h. */
extern const struct target engine_target;
/* Headers and small files of the source, which the way back needs. */
extern const struct target source_target;
/* The way back: the shards of the source. */
extern const struct target restore_target;
/* A small checkpoint with the weights of a big one. */
extern const struct target slice_target;
/* Lays out the target of vLLM's rank files (vllm.c). */
int vllm_lay(struct layout *l);
/* The target of that name, or of the recipe or engine of that name; NULL if there is none. */
const struct target *target_find(const char *name);

/* A file of the plan. name is copied. Its index, or -1. */
long layout_file(struct layout *l, const char *name);
/* A step of that file, filled by the caller (the payload offsets excepted). */
int layout_step(struct layout *l, size_t file, const struct step *s);
/* Gives the source tensor its fate. */
void layout_fate(struct layout *l, size_t i, enum fate f);
/* n bytes in the arena, zeroed; NULL without memory (reported). */
void *layout_alloc(struct layout *l, size_t n);
/* Makes s, a step of all of tensor i, the step of part rank of n of its rows or columns. */
int layout_cut(struct layout *l, size_t i, enum split split, uint64_t rank, uint64_t n,
	struct step *s);
/* Part rank of n of a tensor that its role splits by rows or columns. */
int layout_slice(struct layout *l, size_t i, uint64_t rank, uint64_t n, struct step *s);
/* -1 and the legal numbers of ranks where n cannot share a tensor; experts: also the experts. */
int layout_shares(struct layout *l, const char *option, uint64_t n, bool experts);
/* A small file that is made. */
int layout_small(struct layout *l, const struct plan_small *s);
/* dim of a step, in the arena; NULL without memory (reported). */
const uint64_t *layout_dim(struct layout *l, uint64_t rows, uint64_t cols);
/* True if tensor i is a routed expert's and has to become FP8. */
bool layout_casts(const struct layout *l, size_t i);
/* True if tensor i is a scale that stays and has to become F32. */
bool layout_widens(const struct layout *l, size_t i);
/* True if tensor i is of Engram, which the plan leaves out; if it is of a table that gets a file of its own. */
bool layout_drops_engram(const struct layout *l, size_t i);
bool layout_separates(const struct layout *l, size_t i);
/* records.c: true if tensor i is of a table that becomes records. Adds the files of all of those; -1 where there is none for a
 * rank. */
bool layout_records(const struct layout *l, size_t i);
int layout_lay_records(struct layout *l);
/* True if tensor i is of a draft that the plan leaves out. */
bool layout_drops(const struct layout *l, size_t i);
/* The step that makes all of tensor i, cast if it has to be; whole, for one file. */
int layout_whole(struct layout *l, size_t i, struct step *s);

/* --- matrices of the source --- */

/* Number format of source tensor i, of a scale that of its weight; CODEC_NONE: it holds ids. */
enum codec layout_codec(const struct layout *l, size_t i);
/* Rows and columns of weight i, in elements; a vector is one row. */
uint64_t layout_rows(const struct layout *l, size_t i);
uint64_t layout_cols(const struct layout *l, size_t i);

/* --- stack.c: experts of a block one after the other --- */

/* True if tensor i is of a routed expert that the plan puts into a stack. */
bool layout_stacks(const struct layout *l, size_t i);
/* Bytes of the stacks in which the weight i of an expert and its scale lie. */
uint64_t layout_stack_bytes(const struct layout *l, size_t i);
/* Makes the steps of the two stacks in which the weight i of expert 0 and its scale are the first. Returns how many; -1
 * where they cannot be made. */
int layout_stack(struct layout *l, size_t i, struct step s[PART_COUNT]);

/* --- reform.c: matrices in another number format --- */

/* True if tensor i is of a matrix that the plan writes in another number format. */
bool layout_reforms(const struct layout *l, size_t i);
/* Bytes of all tensors that weight i becomes. */
uint64_t layout_reform_bytes(const struct layout *l, size_t i);
/* Makes the steps of weight i, which the plan writes so: PART_COUNT of them at most. Returns how many; -1 where the
 * matrix has no way to the format. */
int layout_reform(struct layout *l, size_t i, struct step s[PART_COUNT]);

#ifdef __cplusplus
}
#endif
#endif
