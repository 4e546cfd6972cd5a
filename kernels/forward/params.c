/* SPDX-License-Identifier: MIT */
#include "kernels/forward/params.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

static int missing(struct err *e, const char *key, const char *what)
{
	return err_rule(e, ERR_DATA, "config.forward", ERR_NOPOS, "config.json: \"%s\" %s", key,
		what);
}

static int number(const json_t *o, const char *key, double min, double max, double *v,
	struct err *e)
{
	const json_t *x = json_object_get(o, key);

	if (!json_is_number(x))
		return missing(e, key, x ? "is no number" : "is missing");
	*v = json_number_value(x);
	if (!(*v >= min && *v <= max))
		return missing(e, key, "is out of range");
	return 0;
}

static int words(const json_t *o, struct err *e)
{
	static const char *const want[][2] = { { "scoring_func", "sqrtsoftplus" },
		{ "hidden_act", "silu" } };
	const json_t *x;
	size_t i;

	for (i = 0; i < sizeof want / sizeof *want; i++) {
		x = json_object_get(o, want[i][0]);
		if (!json_is_string(x) || strcmp(json_string_value(x), want[i][1]) != 0)
			return err_rule(e, ERR_UNSUPPORTED, "config.forward", ERR_NOPOS,
				"config.json: \"%s\" is not \"%s\", and nothing else can be computed",
				want[i][0], want[i][1]);
	}
	return 0;
}

static int yarn(struct params *p, const json_t *o, struct err *e)
{
	const json_t *y = json_object_get(o, "rope_scaling"), *type;

	type = json_object_get(y, "type");
	type = type ? type : json_object_get(y, "rope_type");
	if (!json_is_string(type) || strcmp(json_string_value(type), "yarn") != 0)
		return err_rule(e, ERR_UNSUPPORTED, "config.forward", ERR_NOPOS,
			"config.json: \"rope_scaling\" is not of type yarn");
	if (number(y, "factor", 1, 1e6, &p->yarn_factor, e) ||
		number(y, "original_max_position_embeddings", 1, 1e9, &p->yarn_original, e) ||
		number(y, "beta_fast", 1e-3, 1e6, &p->beta_fast, e) ||
		number(y, "beta_slow", 1e-3, 1e6, &p->beta_slow, e))
		return -1;
	return 0;
}

static int from_json(struct params *p, const json_t *o, struct err *e)
{
	/* clang-format off */
	static const struct { const char *key; double min, max; } keys[] = {
		{ "rms_norm_eps", 0, 1 }, { "hc_eps", 0, 1 }, { "routed_scaling_factor", 0, 1e6 },
		{ "swiglu_limit", 0, 1e6 }, { "hc_sinkhorn_iters", 1, 1000 }, { "index_topk", 1, 4096 },
		{ "sliding_window", 128, 128 }, { "qk_rope_head_dim", 2, PARAMS_ROPE_MAX },
		{ "rope_theta", 1, 1e12 }, { "compress_rope_theta", 1, 1e12 },
	};
	/* clang-format on */
	double v[sizeof keys / sizeof *keys];
	size_t i;

	for (i = 0; i < sizeof keys / sizeof *keys; i++)
		if (number(o, keys[i].key, keys[i].min, keys[i].max, &v[i], e))
			return -1;
	p->eps = (float)v[0];
	p->hc_eps = (float)v[1];
	p->route_scale = (float)v[2];
	p->swiglu_limit = (float)v[3];
	p->hc_iters = (uint32_t)v[4];
	p->topk = (uint32_t)v[5];
	p->window = (uint32_t)v[6];
	p->rope_dim = (uint32_t)v[7] / 2 * 2;
	p->theta = v[8];
	p->theta_compress = v[9];
	return words(o, e) || yarn(p, o, e) ? -1 : 0;
}

/* What the kernels take for granted of the shapes. */
static int shapes(const struct params *p, const struct config *c, struct err *e)
{
	const char *no = NULL;

	if (c->hc != 4)
		no = "hc_mult is not 4";
	else if (c->D % 128 || c->QL % 128 || c->I % 128 || c->R % 128 || c->hd % 32 ||
		c->H % c->G || c->H * c->hd / c->G % 128)
		no = "a size is no multiple of 128 columns";
	else if (c->hd <= p->rope_dim || (c->hd - p->rope_dim) % 64 || c->IHD <= p->rope_dim ||
		(c->IHD & (c->IHD - 1)) || c->IHD % 32)
		no = "head sizes and rope do not go together";
	else if (c->K > c->E)
		no = "more experts for a token than there are";
	return no ? err_rule(e, ERR_UNSUPPORTED, "config.forward", ERR_NOPOS, "config.json: %s", no)
		  : 0;
}

int params_read(struct params *p, const struct config *c, struct err *e)
{
	json_error_t je;
	json_t *o;
	int rc;

	memset(p, 0, sizeof *p);
	o = json_loadb(c->raw.s ? c->raw.s : "", c->raw.n, JSON_REJECT_DUPLICATES, &je);
	if (!o)
		return err_rule(e, ERR_DATA, "config.forward", ERR_NOPOS, "config.json: no JSON");
	rc = from_json(p, o, e);
	json_decref(o);
	return rc ? rc : shapes(p, c, e);
}

/* --- rotation --- */

/* The pair whose wave turns n times in the original context. */
static double pair_of(const struct params *p, double n)
{
	const double pi = 3.14159265358979323846;

	return p->rope_dim * log(p->yarn_original / (n * 2 * pi)) / (2 * log(p->theta_compress));
}

void params_freqs(const struct params *p, bool compress, float *freq)
{
	double theta = compress ? p->theta_compress : p->theta, low, high;
	float ramp, smooth, f;
	uint32_t i, n = p->rope_dim / 2;

	low = fmax(floor(pair_of(p, p->beta_fast)), 0);
	high = fmin(ceil(pair_of(p, p->beta_slow)), p->rope_dim - 1);
	if (low == high)
		high += 0.001;
	for (i = 0; i < n; i++) {
		f = 1.0f / (float)pow(theta, (double)(2.0f * (float)i / (float)p->rope_dim));
		freq[i] = f;
		if (!compress)
			continue;
		ramp = ((float)i - (float)low) / (float)(high - low);
		ramp = ramp > 1.0f ? 1.0f : ramp < 0.0f ? 0.0f : ramp;
		smooth = 1.0f - ramp;
		freq[i] = f / (float)p->yarn_factor * (1.0f - smooth) + f * smooth;
	}
}

void params_rope(const struct params *p, bool compress, uint64_t first, uint64_t step, uint32_t n,
	float *cosines, float *sines)
{
	uint32_t t, i, pairs = p->rope_dim / 2;
	float freq[PARAMS_ROPE_MAX / 2], angle;

	params_freqs(p, compress, freq);
	for (t = 0; t < n; t++)
		for (i = 0; i < pairs; i++) {
			angle = (float)(first + t * step) * freq[i];
			cosines[(uint64_t)t * pairs + i] = (float)cos((double)angle);
			sines[(uint64_t)t * pairs + i] = (float)sin((double)angle);
		}
}
