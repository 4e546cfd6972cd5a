/* mix.h -- recipe files: which type each tensor of a GGUF gets, by role, block and expert.
 *
 *	dsv4-recipe-1 gguf
 *	# ROLE             BLOCKS    EXPERTS   TYPE
 *	ffn.experts.#.w1   *         *         iq2_xxs
 *	ffn.experts.#.w2   0-36      *         q2_k
 *	ffn.experts.#.w2   37-42     *         q4_k
 *	attn.w*            *         *         q8_0
 *	then
 *	attn.*             *         *         q6_k
 *
 * ROLE is the name of a tensor behind "layers.N." without ".weight", in which # is the id of an expert and * stands for
 * any letters. BLOCKS is what --layers takes: numbers, ranges, embed, head, mtp, mtp.N; * is all. EXPERTS is * or a
 * range of ids. # with a blank behind it begins a comment.
 *
 * Lines have no order: each names tensors of the model, and no two of them the same one. What stands behind a line "then"
 * holds for tensors that no line before it names. A tensor that is named nowhere is what the container makes of it
 * without a recipe.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_MIX_H
#define FORMATS_MODEL_MIX_H
#include "core/text.h"
#include "formats/model/inventory.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The most that is taken: bytes of a file, lines that are no comments. A line for each matrix of experts of each layer
 * of Pro is 183. */
enum { MIX_BYTES = 64 << 10, MIX_LINES = 1024, MIX_ROLES = 256 };

/* A line that names tensors. */
struct mix_line {
	unsigned number;      /* in its file, from 1 */
	unsigned rank;        /* how many lines "then" stand before it */
	bool role[MIX_ROLES]; /* by place in the family's table of roles */
	bool *on;             /* in the arena; [L + 2 + stages] blocks; NULL: all */
	uint64_t from, to;    /* ids of experts, both included */
	uint32_t type;        /* enum ggml_type */
	bool used;            /* mix_check: it names a tensor */
};

struct mix {
	struct mix_line *v; /* owns; [n] in the order of the file */
	size_t n, cap;
	struct text text; /* owns; the lines without comments, which mix_read takes again */
	struct arena arena;
};

/* Reads n bytes at s, whose name in messages is `name`, for models of config c. Returns 0 and a mix that the caller frees,
 * or -1, zeroed, with plan.recipe: what line is wrong, and what there is. */
int mix_read(struct mix *m, const char *s, size_t n, const char *name, const struct config *c,
	struct err *e);
void mix_free(struct mix *m);

/* Holds the lines to the tensors of a model, which all have blocks of experts whole. A line that names none, two that
 * name the same one, an EXPERTS that is a part of a stack, and a type of h_proj that is none of e_proj, in whose tensor it
 * lies, are refused: -1, plan.recipe. drafts: those are there, too. preset: the lines
 * of the last rank are those of a name of this program, for models of many kinds, and may name none. */
int mix_check(struct mix *m, const char *name, const struct inventory *v, const struct config *c,
	bool drafts, bool preset, struct err *e);
/* The line that names the tensor of w; NULL: none does. */
const struct mix_line *mix_find(const struct mix *m, const struct want *w);
/* The same by what a tensor is: its role by place in the table, its block by place in the model, its expert (-1: none). */
const struct mix_line *mix_find_at(const struct mix *m, unsigned role, uint32_t place, long expert);

#ifdef __cplusplus
}
#endif
#endif
