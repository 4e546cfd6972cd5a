/* params.h -- the fields of config.json that shape no tensor and yet decide what is computed: constants of norms,
 * rotation, routing, windows.
 *
 * One reader for all who need them: the forward pass computes with them, and the doctor says what is wrong with
 * them, so that neither takes a file that the other refuses. Every field is required and bounded. A file that asks
 * for another computation than that of DeepSeek-V4 (another score function, another rope) is refused, not
 * approximated. Shapes are config.h's.
 *
 * Source of the values: config.json of deepseek-ai/DeepSeek-V4-Flash, -Pro and -Flash-0731, and the defaults of
 * their inference/model.py (revision B).
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_MODEL_PARAMS_H
#define FORMATS_MODEL_PARAMS_H
#include "core/err.h"
#include "formats/finding.h"
#include "formats/model/config.h"

#ifdef __cplusplus
extern "C" {
#endif

struct params {
	float eps, hc_eps;               /* rms_norm_eps, hc_eps */
	float route_scale, swiglu_limit; /* routed_scaling_factor, swiglu_limit */
	uint32_t hc_iters;               /* hc_sinkhorn_iters */
	uint32_t topk;                   /* index_topk, entries that the indexer takes */
	uint32_t window;                 /* sliding_window, positions */
	uint32_t rope_dim;               /* qk_rope_head_dim, of head_dim */
	double theta, theta_compress;    /* rope_theta, compress_rope_theta */
	double yarn_factor,
		yarn_original; /* rope_scaling: factor, original_max_position_embeddings */
	double beta_fast, beta_slow;
};

enum { PARAMS_TOPK_MAX = 4096, PARAMS_ROPE_DIM = 64 };

/* Takes the fields out of d->o, which must not be NULL. Everything that is wrong becomes a finding in *f: rule
 * config.forward, or config.dialect where transformers wrote rope_parameters in place of the rope's fields; a value
 * that no published model has is a warning, suspect.config. *p is whole where there is no finding but warnings.
 * Returns -1 only without memory. */
int params_read(struct params *p, const struct config_doc *d, struct findings *f, struct err *e);

/* Holds what o says of the arithmetic where no forward pass goes by it, as in a family whose rounding is not known: config.forward
 * where a member is no number, out of its limits, or no rope of YaRN; suspect.config where one is missing or has a value that no
 * published model has. o has the keys at the top (config_flat). Returns -1 only without memory. */
int params_hold(const struct json_t *o, struct findings *f, struct err *e);

/* A member of config.json as params_read wants it, made of rope_parameters. */
struct params_member {
	const char *key;
	char value[256]; /* JSON; "" where the member has to be taken out */
};
enum { PARAMS_MEMBERS = 4 };
/* What has to be set in config.json so that it says in the original form what rope_parameters says; returns how
 * many members of m are filled. 0: there is no rope_parameters, or it does not say enough. */
unsigned params_translate(struct params_member m[PARAMS_MEMBERS], const struct config_doc *d);

#ifdef __cplusplus
}
#endif
#endif
