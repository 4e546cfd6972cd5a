/* misfit.h -- what of a checkpoint does not fit the model that its config.json describes, until it is explained.
 *
 * The audit marks each tensor and each want that does not fit. First the causes (causes.c) look: one fault of a
 * checkpoint, such as a draft that was left out or weights that were dequantized, marks thousands of tensors, and is
 * one finding that says what it is. What no cause claims is reported by role, one finding for all tensors alike.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_MISFIT_H
#define FORMATS_MODEL_MISFIT_H
#include "formats/finding.h"
#include "formats/model/checkpoint.h"
#include "formats/model/inventory.h"

#ifdef __cplusplus
extern "C" {
#endif

struct misfits {
	const struct ckpt *c;           /* borrows, as the next two */
	const struct inventory *inv;    /* what config.json describes */
	const struct want *const *want; /* [c->n]; what tensor i is, NULL if unexpected */
	struct model_forms forms;       /* of inv */
	bool all_read;                  /* every shard could be read: what is absent is missing */
	struct findings *f;
	bool *missing;    /* owns; [inv->n] that want is not there, and nothing has explained it */
	bool *unexpected; /* owns; [c->n] the model has no such tensor */
	bool *other;      /* owns; [c->n] the tensor has another type or shape than its want */
	size_t total;     /* tensors and wants that did not fit, explained or not */
	struct err *e;
};

/* Some misfits that one sentence is about. */
struct batch {
	size_t n;
	const char *first, *file; /* of the first tensor: its name, its shard; borrowed */
};
/* Takes tensor i out of the misfits and into b. Weight and scale of a pair are two. */
void misfits_claim(struct misfits *m, struct batch *b, size_t i);
/* Takes a missing want out of the misfits; it is the consequence of something that b is about. */
void misfits_absent(struct misfits *m, size_t want);
/* The want of that name, an index into inv->wants; -1: none. */
long misfits_want(const struct misfits *m, const char *name);
/* Whether a tensor has the type and shape of a want. */
bool misfits_fits(const struct tensor *t, const struct want *w);
/* "[2048,4096] F8_E4M3", cut where room ends. */
void misfits_describe(char *s, size_t room, enum dtype d, const uint64_t *dim, unsigned rank);

/* Puts all misfits into *m->f: causes first, then what is left, by role. The caller has set what m borrows, forms,
 * all_read, f and e; the rest is zeroed before and after, but for total. Returns -1 only without memory. */
int misfits_report(struct misfits *m);

/* causes.c: claims what has a common cause. Returns -1 only without memory. */
int causes_find(struct misfits *m);

#ifdef __cplusplus
}
#endif
#endif
