/* units.h -- the tensors of a planned GGUF whose types can be chosen: the quantized matrices, embedding and head.
 *
 * A unit is what a line of a recipe (formats/model/mix.h) can name and no more: a role in one block, with all of its experts, which
 * a GGUF has in one tensor of one type. Copies of it in the files of drafts have the same type.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_CLI_UNITS_H
#define QUANT_CLI_UNITS_H
#include "convert/run/job.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { UNIT_WORD = 128 };

struct unit {
	char tensor[GGUF_NAME_MAX + 1]; /* its name in the GGUF */
	char role[UNIT_WORD];           /* as a recipe has it */
	char block[32];                 /* the same: a number, embed, head, mtp.N */
	uint16_t nth;                   /* role by place in the family's table */
	uint32_t place;                 /* block by place in the model */
	enum codec from;                /* number format of the source */
	uint64_t rows, cols;            /* of a matrix, in elements */
	uint32_t mats;                  /* experts; 2 of matrices that lie side by side; else 1 */
	bool experts;                   /* the matrices are experts */
	bool beside;                    /* they lie side by side: nobody has their importance */
	uint32_t *src; /* in the arena; [mats][2] codes and scales; UINT32_MAX: there are none */
	uint32_t type,
		exact; /* enum ggml_type: as planned; the one that has all values of the source */
	uint32_t whole,
		last; /* how often it is in the files, and how often of these as the last of one */
};

struct units {
	struct unit *v; /* owns; by block, then by role */
	size_t n, cap;
	uint64_t
		others; /* bytes of the planned files that are of no unit: heads, vectors, what lies between */
	struct arena arena;
};

/* Finds the units of the GGUF that j plans. Returns 0 and units that the caller frees, or -1, zeroed. */
int units_find(struct units *u, const struct job *j, const struct audit *a, struct err *e);
void units_free(struct units *u);

/* Returns whether a row of the unit can be written in that type, enum ggml_type. */
bool unit_takes(const struct unit *u, uint32_t type);
/* Returns the bytes that the unit has in that type, in all files of the plan, with what lies between tensors. */
uint64_t unit_bytes(const struct unit *u, uint32_t type);

#ifdef __cplusplus
}
#endif
#endif
