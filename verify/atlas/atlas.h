/* atlas.h -- how far each tensor of a result is from its source, as a value: an entry for each tensor and each expert.
 *
 *	measure.h     makes one of two folders           atlas_file.h  keeps it as lines of JSON, and reads them back
 *	rollup.h      sums it up by role and by block    tell.h        puts it into a report
 *	frontier.h    reads size against error           curve.h       draws it
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_ATLAS_ATLAS_H
#define VERIFY_ATLAS_ATLAS_H
#include "core/err.h"
#include "core/hash/xxh.h"
#include "core/mem.h"
#include "verify/atlas/sums.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { ATLAS_WORD = 64 }; /* room for a block or the name of a number format */

struct atlas_entry {
	const char *tensor;    /* in the arena; the source's name of it */
	const char *role;      /* the same with numbers as "#": layers.#.ffn.experts.#.w1.weight */
	char from[16], to[16]; /* number formats: there and here */
	uint64_t bytes;        /* of the result: codes, scales, factor */
	struct sums s;         /* s.n is 0 where the result has it not, or not in a known format */
	bool clips;            /* s.clipped was counted */
	bool weighed;          /* s.weighed_* were counted */
	double use;            /* tokens that went into it; negative: not known */
	struct xxh_digest source,
		out; /* of its values, as doubles, little-endian, unit by unit (sums.h) */
};

/* Zeroed = empty. */
struct atlas {
	struct atlas_entry *v; /* owns; by name */
	size_t n, cap;
	char imatrix[65]; /* SHA-256 of the file that use and weights came from; "": none */
	uint64_t files; /* bytes of the files of weights of the result; 0: it was read of a file */
	struct xxh_digest source,
		out;            /* over names and digests of the entries that were measured */
	struct xxh_digest made; /* of the files of the result (formats/conversion/atlas_head.h) */
	bool has_made;          /* the result is a conversion, whose manifest lists them */
	struct arena arena;
};

/* Appends an entry for a tensor, of nothing yet. Returns NULL without memory. */
struct atlas_entry *atlas_add(struct atlas *a, const char *tensor);
/* Sets a->source and a->out, once all entries are there. Returns -1 without memory. */
int atlas_seal(struct atlas *a, struct err *e);
void atlas_free(struct atlas *a);

/* The block that a tensor is of: "layers.3", "mtp.0", or "model" for what is in none. */
void atlas_block(const char *tensor, char block[ATLAS_WORD]);
/* A number by which blocks stand in the order of the model: "model", layers, drafts. */
long atlas_place(const char *block);
/* The id of the routed expert that it is of, or -1. */
long atlas_expert(const char *tensor);
/* Bits for each value, scales included. */
double atlas_bits(uint64_t bytes, uint64_t values);

#ifdef __cplusplus
}
#endif
#endif
