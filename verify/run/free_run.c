/* SPDX-License-Identifier: MIT */
#include "verify/run/free_run.h"

#include "verify/run/heads.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the same model in another order of sums --- */

struct other {
	struct dev dev;   /* owns */
	struct weights w; /* a second way into the weights, for dev */
	struct forward g; /* owns */
};

static int other_open(struct other *x, struct replaying *k, enum dev_order order, struct err *e)
{
	memset(x, 0, sizeof *x);
	if (dev_open_cpu(&x->dev, k->o->features, k->o->threads, e))
		return -1;
	dev_cpu_order(&x->dev, order);
	if (weights_beside(&x->w, k->f.w, e))
		goto err;
	x->w.dev = &x->dev;
	if (!forward_open(&x->g, &x->dev, &x->w, k->r->ids, k->n, 0, k->o->block, e))
		return 0;
	weights_beside_close(&x->w);
err:
	x->dev.close(&x->dev);
	return -1;
}

static void other_close(struct other *x, struct replaying *k)
{
	forward_close(&x->g);
	weights_joined(k->f.w, &x->w);
	weights_beside_close(&x->w);
	x->dev.close(&x->dev);
}

static int run_free(struct forward *f, struct err *e)
{
	uint32_t layer;

	if (forward_embed(f, e))
		return -1;
	for (layer = 0; layer < f->c->L; layer++)
		if (forward_layer(f, layer, e))
			return -1;
	return 0;
}

/* --- the MTP block --- */

static bool has_mtp(const struct replaying *k)
{
	return !k->f.c->spark && k->f.c->stages && record_find(k->r, "mtp.0.logits_last");
}

/* Logits [V] of the last token that the MTP block makes of the streams in f; *v is the caller's. */
static int mtp_logits(struct forward *f, float **v, struct err *e)
{
	*v = malloc(4 * (size_t)f->c->V);
	if (!*v)
		return err_nomem(e);
	if (!forward_mtp(f, 0, e) && !forward_layer(f, (uint32_t)f->c->L, e) &&
		!forward_logits(f, 0, f->n - 1, 1, *v, e))
		return 0;
	free(*v);
	*v = NULL;
	return -1;
}

/* The distance of the fed MTP block from itself in another order. */
static int mtp_floor(struct replaying *k, const char *last, const float *is, double *rel,
	struct err *e)
{
	struct measure m = { 0 };
	struct other x;
	float *v = NULL;
	int rc;

	if (other_open(&x, k, DEV_ORDER_WIDE, e))
		return -1;
	rc = replaying_feed(k, &x.g, last, x.g.x, k->streams, e) == 1 ? mtp_logits(&x.g, &v, e)
								      : -1;
	if (!rc)
		measure_add(&m, v, is, k->f.c->V);
	*rel = measure_rel(&m);
	free(v);
	other_close(&x, k);
	return rc;
}

/* The MTP block of a record with layers, fed with the last one's output. The logits are of one token, whose
 * distance may be small by chance: noise is also taken to be that of one layer of the whole model, where
 * distances of layers add up as squares. */
static int mtp_fed(struct replaying *k, struct err *e)
{
	float *is = NULL, *was = NULL;
	struct measure m = { 0 };
	double floor = 0;
	char last[64];
	int rc;

	snprintf(last, sizeof last, "layers.%u.out", (uint32_t)k->f.c->L - 1);
	rc = replaying_feed(k, &k->f, last, k->f.x, k->streams, e);
	if (rc != 1)
		return rc;
	rc = record_floats(k->r, "mtp.0.logits_last", k->f.c->V, &was, e) == 1
		? mtp_logits(&k->f, &is, e)
		: -1;
	if (!rc && !k->ours && !k->f.dev->fp32)
		rc = mtp_floor(k, last, is, &floor, e);
	if (!rc) {
		floor = fmax(floor, k->res->floor_rel / sqrt((double)k->f.c->L));
		measure_add(&m, is, was, k->f.c->V);
		replaying_judge(k, "mtp.0.logits_last (fed)", &m,
			k->f.dev->fp32 ? k->max_rel * sqrt(3)
				       : fmax(REPLAY_FLOOR * floor,
						 REPLAY_FREE_REL / sqrt((double)k->f.c->L)));
		report_figure(k->rep, "noise_relative_l2", floor);
	}
	free(is);
	free(was);
	return rc;
}

/* Of a free run, an own record's. */
static int mtp_free(struct replaying *k, struct err *e)
{
	float *is = NULL, *was = NULL;
	struct measure m = { 0 };
	int rc;

	if (!k->ours)
		return 0;
	rc = record_floats(k->r, "mtp.0.logits_last", k->f.c->V, &was, e) == 1
		? mtp_logits(&k->f, &is, e)
		: -1;
	if (!rc) {
		measure_add(&m, is, was, k->f.c->V);
		replaying_judge(k, "mtp.0.logits_last", &m, 0);
	}
	free(is);
	free(was);
	return rc;
}

int free_run_fed(struct replaying *k, struct err *e)
{
	struct heads h = { .is = &k->f, .rec = k->r, .count = k->n, .at_once = k->o->at_once };
	struct measure m = { 0 };
	struct opinion o = { 0 };
	char name[64];

	snprintf(name, sizeof name, "layers.%u.out", (uint32_t)k->f.c->L - 1);
	if (replaying_feed(k, &k->f, name, k->f.x, k->streams, e) != 1 ||
		heads_compare(&h, &m, &o, e))
		return -1;
	replaying_judge(k, "logits (fed)", &m, k->max_rel);
	return 0;
}

/* --- the logits of a free run --- */

/* Measures how far the model is from itself, twice; the larger distances are the floor. */
static int measure_floor(struct replaying *k, struct err *e)
{
	static const char *const names[] = { "this model, sums in double",
		"this model, sums of norms in double" };
	struct replay_result *res = k->res;
	struct other x;
	int order, rc;

	for (order = DEV_ORDER_WIDE; order <= DEV_ORDER_WIDE_NORMS; order++) {
		struct measure m = { 0 };
		struct opinion o = { 0 };
		struct heads h = {
			.is = &x.g, .was = &k->f, .count = k->n, .at_once = k->o->at_once
		};

		if (other_open(&x, k, (enum dev_order)order, e))
			return -1;
		rc = run_free(&x.g, e) || heads_compare(&h, &m, &o, e) ? -1 : 0;
		other_close(&x, k);
		if (rc)
			return -1;
		heads_row(k->rep, names[order], &m, &o);
		res->floor_rel = fmax(res->floor_rel, measure_rel(&m));
		res->floor_kl = fmax(res->floor_kl, o.kl / (double)o.rows);
	}
	return 0;
}

/* Holds the free run to the floor. */
static void judge_free(struct replaying *k)
{
	const struct measure *m = &k->res->free_run;
	const struct opinion *o = &k->res->logits;
	double rel = measure_rel(m), kl = o->kl / (double)o->rows, max_rel, max_kl;

	heads_row(k->rep, "logits", m, o);
	if (k->ours) {
		if (m->equal != m->n)
			report_add(k->rep, RULE_REPLAY_LOGITS, NULL,
				"logits: %llu of %llu values differ from the record's, relative L2 "
				"%.3g, the first is value %llu",
				(unsigned long long)(m->n - m->equal), (unsigned long long)m->n,
				rel, (unsigned long long)m->first);
		return;
	}
	max_rel = k->f.dev->fp32 ? k->max_rel
				 : fmax(REPLAY_FLOOR * k->res->floor_rel, REPLAY_FREE_REL);
	max_kl = fmax(REPLAY_FLOOR * REPLAY_FLOOR * k->res->floor_kl, REPLAY_FREE_KL);
	report_figure(k->rep, "noise_relative_l2", k->res->floor_rel);
	report_figure(k->rep, "noise_kl_mean", k->res->floor_kl);
	report_figure(k->rep, "limit_relative_l2", max_rel);
	report_figure(k->rep, "limit_kl_mean", max_kl);
	if (!(rel <= max_rel) || !(kl <= max_kl))
		report_add(k->rep, RULE_REPLAY_LOGITS, NULL,
			"logits: relative L2 %.3g, mean KL %.2g; this model's own noise is %.3g and "
			"%.2g, and %.3g and %.2g are allowed",
			rel, kl, k->res->floor_rel, k->res->floor_kl, max_rel, max_kl);
}

/* The digests that own records have of every layer's output. */
static int digest(struct replaying *k, uint32_t layer, bool *told, struct err *e)
{
	struct xxh_digest d;
	float *x;

	if (!k->ours || *told)
		return 0;
	if (replaying_fetch(k, k->f.x, k->streams, &x, e))
		return -1;
	d = xxh_of(x, (size_t)(4 * k->streams));
	free(x);
	if (!memcmp(&d, &k->r->out[layer], sizeof d))
		return 0;
	*told = true;
	report_add(k->rep, RULE_REPLAY_DIFFERS, NULL,
		"layers.%u.out: running free it has another digest than the record says, and is the "
		"first layer that has",
		layer);
	return 0;
}

int free_run(struct replaying *k, struct err *e)
{
	struct heads h = { .is = &k->f, .rec = k->r, .count = k->n, .at_once = k->o->at_once };
	bool told = false;
	uint32_t layer;

	if (forward_embed(&k->f, e))
		return -1;
	for (layer = 0; layer < k->f.c->L; layer++)
		if (forward_layer(&k->f, layer, e) || digest(k, layer, &told, e))
			return -1;
	if (heads_compare(&h, &k->res->free_run, &k->res->logits, e) ||
		(!k->ours && !k->f.dev->fp32 && measure_floor(k, e)))
		return -1;
	judge_free(k);
	return has_mtp(k) && (mtp_free(k, e) || mtp_fed(k, e)) ? -1 : 0;
}
