/* measure.h -- errors of rows of matrices in several types at once: read once, decoded once, encoded in each type by the searches that
 * write them (quant/lowbit.h).
 *
 * Work is divided into bands of at most MEASURE_ROWS rows. The sums of a band are in the order of its rows; who adds bands up does it
 * in their order, so that no number of threads changes a bit.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_CLI_MEASURE_H
#define QUANT_CLI_MEASURE_H
#include "core/progress.h"
#include "quant/cli/score_file.h"
#include "quant/cli/units.h"

#include <signal.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Rows of a band: those that share a scale in FP8. */
enum { MEASURE_ROWS = 128 };

/* What is measured with. All is borrowed. */
struct measuring {
	const struct ckpt *c;
	const struct imatrix *imatrix;     /* NULL: every column counts 1 */
	const uint32_t *types;             /* [n_types] enum ggml_type, each with an encoder */
	size_t n_types;                    /* at most SCORE_TYPES */
	unsigned features, threads;        /* bits of enum cpu_feature */
	struct progress *progress;         /* counts bytes of the source; NULL: nobody looks */
	const volatile sig_atomic_t *stop; /* becomes not 0: give up */
};

/* A band of a matrix. */
struct band {
	const struct unit *unit;
	const struct imatrix_tensor *importance; /* of the unit's columns; NULL: 1 */
	uint32_t mat;
	uint64_t row, rows;
	/* What measure_bands sets. */
	double energy; /* sum of weight x^2 */
	double error
		[SCORE_TYPES]; /* sum of weight (x - y)^2, by place in types; of what unit_takes */
	bool cannot[SCORE_TYPES]; /* a value cannot be had in that type */
};

/* Returns the bytes that a thread holds for units of at most so many columns. */
uint64_t measure_need(const struct ckpt *c, uint64_t cols);
/* Measures n bands. Returns 0; or -1 where the source cannot be read or has a value that is NaN or infinite, or stop was set. */
int measure_bands(const struct measuring *m, struct band *v, size_t n, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
