/* gain.h -- how much an error in a tensor counts: the part that its sub-block has of the residual stream.
 *
 * What a sub-block (attention, routed experts, shared experts of a layer) adds to the stream has a power: the mean over tokens of the sum of
 * squares. It follows from the importance of the columns of its last matrix m, without products of different columns:
 *
 *	power = sum over matrices of tokens * energy / T      energy: sum of importance x^2; T: tokens that went through the layer
 *	gain  = power / stream                                stream: power of the embedding and of all sub-blocks up to this one
 *
 * An error that is a part r of what the sub-block gives is a part of about gain * r of the stream, and keeps it through what is computed from the
 * stream later. The embedding begins the stream and the head ends it: their gain is 1. Drafts, of which nobody has an importance, have
 * the mean of the layers for each sub-block. That the streams of the hyper-connections are mixed, and by what, is left out.
 *
 * SPDX-License-Identifier: MIT */
#ifndef QUANT_CLI_GAIN_H
#define QUANT_CLI_GAIN_H
#include "quant/cli/units.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What was measured of a unit. */
struct gain_of {
	double energy; /* sum over its matrices of tokens * energy; of what is not weighted, of energy */
	double tokens; /* of a matrix, the most */
	bool weighted; /* each of its matrices was weighted by importance */
};

/* Sets gain[i] for each of u->n units. Returns false where the importance of a last matrix is not known: then nothing is set. */
bool gain_find(double *gain, const struct units *u, const struct gain_of *v);

#ifdef __cplusplus
}
#endif
#endif
