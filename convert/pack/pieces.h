/* pieces.h -- into which frames a file is cut, and under what each is counted.
 *
 *	NAME.safetensors   the header, then each tensor in the order of its bytes; no frame has bytes of two
 *	other files        every FRAME_MOST bytes
 *
 * SPDX-License-Identifier: MIT */
#ifndef CONVERT_PACK_PIECES_H
#define CONVERT_PACK_PIECES_H
#include "core/err.h"
#include "core/io.h"
#include "formats/archive/filter.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { PACK_ROLE = 96, PACK_ROLES = 512 };

/* What became of tensors of one role, or of a sort of file. */
struct pack_role {
	char name
		[PACK_ROLE]; /* "ffn.experts.#.w1.weight": a name with its numbers taken out; "(headers)" */
	uint64_t n, bytes, packed; /* tensors; bytes before and after */
};
struct pack_roles {
	struct pack_role
		v[PACK_ROLES]; /* in the order in which they were met; the last has all others */
	size_t n;
};

struct pack_piece {
	uint64_t at;
	uint32_t bytes, kind; /* 1..FRAME_MOST; which of the kinds */
	uint32_t
		row; /* bytes of a row of a scale plane that is to be filtered; 0: it is not to be */
};
/* Zeroed = none. */
struct pack_pieces {
	struct pack_piece *v; /* owns */
	size_t n, cap;
	enum filter
		filter; /* what pieces_cut was called with where some piece has rows; else FILTER_NONE */
};

/* Cuts the open file of that name, of size bytes. A file that is called .safetensors and is none is cut as any other. With
 * FILTER_E8M0 scale planes have rows: tensors of F8_E8M0, and those of U8 whose names end in "scale" or "scales". */
int pieces_cut(struct pack_pieces *p, struct pack_roles *k, enum filter filter, const char *name,
	const struct io *io, int fd, uint64_t size, struct err *e);
void pieces_free(struct pack_pieces *p);

#ifdef __cplusplus
}
#endif
#endif
