/* rowmap.h -- in which order a kernel wants the rows of w1 (gate) and w3 (up) in one matrix, and those
 * of w2: a table of one-line functions.
 *
 * Before a layout and apart from it: a map says which source row becomes row r, a layout where the
 * elements of row r go.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_LAYOUT_ROWMAP_H
#define FORMATS_LAYOUT_ROWMAP_H
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { ROW_GATE, ROW_UP }; /* parts; a map of one part has part 0 only */

struct rowmap {
	const char *name;
	unsigned parts;
	uint32_t unit; /* rows of a part must be a multiple of it */
	/* Row i of the n of a part becomes that row of the matrix of parts * n. */
	uint32_t (*to)(uint32_t part, uint32_t i, uint32_t n);
	const char *what;
};
extern const struct rowmap rowmaps[];
extern const unsigned n_rowmaps;

const struct rowmap *rowmap_find(const char *name);
/* The other way: from[r] is part * n + i of the row that becomes row r; parts * n entries. */
void rowmap_from(const struct rowmap *m, uint32_t n, uint32_t *from);

#ifdef __cplusplus
}
#endif
#endif
