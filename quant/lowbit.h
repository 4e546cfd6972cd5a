/* lowbit.h -- encoders of ggml's types: rows of FP32 to blocks, by a search for the least squared error.
 *
 * The search minimises, block by block,
 *
 *	sum of w (x - y)^2    x: the value; y: what quant/ggml_back.h decodes; w: its weight
 *
 * The caller may give weights, one for each column (the importance matrix: the mean of the squared activations), and says by
 * an aim what w is:
 *
 *	LOWBIT_PLAIN   the weight of the column; 1 where none are given
 *	LOWBIT_GGML    that by which ggml's own encoder of the type judges its choices (sigma^2: the mean of x^2 of the block):
 *
 *	type         weights are given              none are given
 *	Q2_K         weight sqrt(sigma^2 + x^2)     |x| (ggml: of the absolute error)
 *	Q3_K         weight sqrt(2 sigma^2 + x^2)   x^2
 *	Q4_K, Q5_K   weight sqrt(2 sigma^2 + x^2)   the root of the mean of x^2 of 32 values, + |x|
 *	Q6_K         weight                         x^2
 *	IQ2_XXS      weight sqrt(sigma^2 + x^2)     as with weights of 1 (ggml: refused)
 *	IQ3_XXS      weight sqrt(2 sigma^2 + x^2)   the same
 *	IQ4_NL       weight sqrt(2 sigma^2 + x^2)   x^2
 *
 * Blocks whose weights are all zero are encoded as if all were 1.
 *
 * tests/oracle/lowbit.py holds both to ggml's own encoders, of the same values in the same measure, 45 tensors of each type. With
 * seeds 1 to 8 LOWBIT_PLAIN is above ggml in none, but for the rounding of d where all values are the same. LOWBIT_GGML is up to
 * 2 % above with seed 7, the one that make oracle-runtime takes; with seeds 1 to 8 it is so but for five tensors with outliers or
 * with scales far apart, whose error is that of a few sub-blocks: Q3_K 16 and 2.2 %, Q6_K 11 and 4.4 %, Q4_K 3.9 % above.
 *
 *	type      columns   search
 *	F16       1         none: nearest, ties to even; weights are not looked at
 *	Q8_0      32        none: the bytes of ggml; weights are not looked at
 *	Q2_K      256       of each sub-block the scale and the minimum that fit best to several roundings of its range; d and dmin
 *	Q4_K      256       begun at several parts of the largest; whole scales beside the nearest, each with the minimum that fits;
 *	Q5_K      256       then d and dmin by least squares; the best of all
 *	Q3_K      256       the same without minimums; of Q3_K a shorter search for LOWBIT_PLAIN without weights
 *	Q6_K      256
 *	IQ2_XXS   256       of each sub-block and scale all entries of the codebook, the sign that must be turned for each of them;
 *	IQ3_XXS   256       scales from several largest levels, then d as above
 *	IQ4_NL    32        d of several largest levels, then by least squares as long as the error falls; LOWBIT_GGML without
 *	                    weights: the choices of ggml, and its bytes
 *
 * What is written depends on x, the weights and the aim alone: neither on the way nor on the compiler. Sums run in the order of
 * columns within a sub-block, in FP32 without contraction, then in the order of sub-blocks in FP64.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_LOWBIT_H
#define QUANT_LOWBIT_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Which encoders these are: another name wherever one of them may write other bytes than before for the same values and weights.
 * What was measured with some is not used with others. */
#define LOWBIT_ID "lowbit-1"

struct lowbit_chunk;

/* A type that there is an encoder of. */
struct lowbit {
	uint32_t type;  /* as in formats/gguf/ggml_type.h */
	uint16_t items; /* values of a block: the columns of a row are a multiple of it */
	/* Values beyond it, of either sign, are refused: the scale would not be finite. */
	float most;
	int step; /* enum lowbit_step: the function of a way */
	/* With LOWBIT_GGML and weights: what sigma^2 is multiplied by; 0: w is the weight. */
	float sigma;
	/* With LOWBIT_GGML and no weights: enum lowbit_weighing; LOWBIT_ONE: as with weights of 1. */
	int alone;
	/* Writes what a search has found: one block. which: which one of the chunk. */
	void (*pack)(const struct lowbit_chunk *c, unsigned which, uint8_t *dst);
};
extern const struct lowbit lowbits[]; /* ends with a row whose items are 0 */
/* Returns the row of that type, one of lowbits; NULL where there is none. */
const struct lowbit *lowbit_find(uint32_t type);

enum lowbit_aim { LOWBIT_PLAIN, LOWBIT_GGML };

/* The same search with other instructions: the bytes are the same. */
struct lowbit_way;
/* Returns way i of the ways of this program, the best first, the plain one last; NULL behind it. */
const struct lowbit_way *lowbit_way(unsigned i);
/* Returns the best of those that features, bits of enum cpu_feature, allow. */
const struct lowbit_way *lowbit_best(unsigned features);
/* Returns its name, for people. */
const char *lowbit_way_name(const struct lowbit_way *w);
/* Returns what it needs, bits of enum cpu_feature. */
unsigned lowbit_way_need(const struct lowbit_way *w);

/* Returns the first column whose weight is negative, NaN or infinite; cols if there is none. */
size_t lowbit_bad_weight(const float *weights, size_t cols);

/* Encodes a row of cols values, a multiple of t->items, to dst: cols / t->items blocks of the bytes that
 * formats/gguf/ggml_type.h says. weights: cols of them, none of which lowbit_bad_weight names, or NULL. error: NULL, or the
 * sum of weight (x - y)^2 over the row, of what the written bytes decode to, in FP64, is added to it; where no weights are
 * given each counts 1. Returns the first column whose value cannot be encoded (NaN, infinite, beyond t->most): then dst
 * holds nothing of use and error is left alone. Returns cols if there is none. */
size_t lowbit_row(const struct lowbit *t, const struct lowbit_way *w, enum lowbit_aim aim,
	const float *x, size_t cols, const float *weights, uint8_t *dst, double *error);

#ifdef __cplusplus
}
#endif
#endif
