/* SPDX-License-Identifier: MIT */
#include "verify/run/compute.h"

#include "core/file.h"
#include "formats/conversion/chain.h"
#include "formats/conversion/head.h"
#include "kernels/cuda/cuda.h"
#include "verify/run/contents.h"
#include "verify/run/logits.h"
#include "kernels/forward/need.h"
#include "verify/run/tokens.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool wants_fp32(const struct compute_opts *o)
{
	return o->arithmetic && !strcmp(o->arithmetic, "fp32");
}

int compute_device(struct dev *d, const struct compute_opts *o, struct report *rep, struct err *e)
{
	struct err no = { 0 };
	int rc;

	if (o->device && !strcmp(o->device, "cuda") && wants_fp32(o)) {
		err_set(&no, ERR_UNSUPPORTED, "FP32 arithmetic is computed on the CPU");
	} else if (o->device && !strcmp(o->device, "cuda")) {
		if (!dev_open_cuda(d, &no)) {
			report_row(rep, "device", d->name, 1, 0, NULL);
			return 0;
		}
		if (no.kind != ERR_UNSUPPORTED) {
			*e = no;
			return -1;
		}
	}
	rc = dev_open_cpu(d, o->features, o->threads, e);
	if (!rc && wants_fp32(o))
		dev_cpu_fp32(d);
	if (!rc)
		report_row(rep, "device", d->name, o->threads, 0, no.kind ? no.text : NULL);
	return rc;
}

int compute_open(struct weights *w, const struct compute_opts *o, const char *path, enum use use,
	const struct weights *source, struct dev *d, struct err *e)
{
	struct weights_from from = {
		.io = o->io, .path = path, .use = use, .follow_links = o->follow_links
	};

	return weights_open_from(w, &from, source, d, o->features, e);
}

/* A number from 0 on; -1 where there is none. */
int compute_number(const char *option, const char *s, double *v, struct err *e)
{
	char *end;

	*v = -1;
	if (!s)
		return 0;
	*v = strtod(s, &end);
	if (end == s || *end || !(*v >= 0) || isinf(*v))
		return err_set(e, ERR_USAGE, "%s %s is no number from 0 on", option,
			text_quote(s).s);
	return 0;
}

void compute_planned(struct report *rep, const struct need *x)
{
	report_row(rep, "read", "memory planned", 0, x->bytes, NULL);
}

/* Gives the device the arithmetic of the record, unless another is asked for. */
static int arithmetic_of(struct dev *d, const struct compute_opts *o, const struct record *r,
	struct err *e)
{
	if (!o->arithmetic && r->fp32 && !d->host)
		return err_set(e, ERR_UNSUPPORTED,
			"the record is of FP32 arithmetic, which is computed on the CPU: leave out "
			"--device");
	if (!o->arithmetic && r->fp32)
		dev_cpu_fp32(d);
	if (r->ours && r->fp32 != d->fp32)
		return err_rule(e, RULE_RECORD_FORM, ERR_NOPOS,
			"the record is of %s arithmetic: leave out --arithmetic",
			r->fp32 ? "fp32" : "the model's own");
	return 0;
}

int compute_replay(struct report *rep, const char *folder, const char *record,
	const struct compute_opts *o, struct err *e)
{
	struct replay_opts ro = { .features = o->features, .threads = o->threads };
	struct replay_result res;
	struct weights w;
	struct need x = { .limit = o->max_memory, .models = { &w } };
	struct record r;
	struct dev d;
	int rc;

	if (compute_number("--max-rel", o->max_rel, &ro.max_rel, e) ||
		compute_device(&d, o, rep, e))
		return -1;
	if (compute_open(&w, o, folder, USE_REPLAY, NULL, &d, e)) {
		d.close(&d);
		return -1;
	}
	rc = record_open(&r, o->io, record, (uint32_t)w.c.config.L, FORWARD_TOKENS_MAX, e);
	if (!rc) {
		x.n = r.n;
		rc = arithmetic_of(&d, o, &r, e);
		if (!d.fp32)
			w.order = r.order;
	}
	if (!rc) {
		x.models[1] = r.ours || d.fp32 ? NULL : &w; /* that measures the noise */
		x.mtp = w.c.config.stages && record_find(&r, "mtp.0.logits_last");
		x.logits = 8 * w.c.config.V;
		/* streams, ours and the record's, or as many picks */
		x.beside = r.n * (8 * DEV_HC * w.c.config.D + 12 * (uint64_t)w.p.topk);
		rc = need_find(&x, e);
		if (!rc)
			compute_planned(rep, &x);
		ro.block = x.block;
		ro.at_once = x.spare;
		rc = rc ? rc : replay_run(&w, &r, &ro, rep, &res, e);
	}
	record_close(&r);
	weights_close(&w);
	d.close(&d);
	return rc;
}

/* --- record --- */

struct recording {
	struct record_out out;
	struct forward f;
	enum contents_level what;
	uint64_t at_once; /* bytes of logits */
};

static int plan(void *ctx, const struct content *x, struct err *e)
{
	struct recording *k = ctx;

	return x->level > k->what ? 0 : record_plan(&k->out, x->name, x->dtype, x->dim, x->rank, e);
}

static bool has_mtp(const struct recording *k)
{
	return k->what == CONTENTS_ALL && !k->f.c->spark && k->f.c->stages;
}

static int see(void *ctx, const char *name, const void *v, bool whole, uint32_t n, uint32_t cols,
	int64_t token, struct err *e)
{
	struct recording *k = ctx;
	uint32_t layer = 0;
	char out[64];

	if (sscanf(name, "layers.%u.", &layer) == 1 && layer < k->out.layers) {
		snprintf(out, sizeof out, "layers.%u.out", layer);
		if (!strcmp(name, out))
			k->out.out[layer] = xxh_of(v, 4 * (size_t)n * cols);
	}
	return record_put(&k->out, name, v, whole, (uint64_t)n * cols,
		token > 0 ? (uint64_t)token * cols : 0, e);
}

static int put_logits(struct recording *k, const char *name, int stage, uint32_t first,
	uint32_t count, struct err *e)
{
	uint64_t vocab = k->f.c->V;
	uint32_t most = (uint32_t)(k->at_once / 8 / vocab), t, take;
	float *z;
	int rc = 0;

	most = most > count ? count : most ? most : 1;
	z = malloc((size_t)(4 * most * vocab));
	if (!z)
		return err_nomem(e);
	for (t = 0; !rc && t < count; t += take) {
		take = count - t < most ? count - t : most;
		rc = forward_logits(&k->f, stage, first + t, take, z, e) ||
				record_put(&k->out, name, z, false, take * vocab, t * vocab, e)
			? -1
			: 0;
	}
	free(z);
	return rc;
}

static int record_all(struct recording *k, const char *path, struct err *e)
{
	const struct contents c = {
		.c = k->f.c, .tokens = k->f.n, .topk = k->f.p->topk, .fp32 = k->f.dev->fp32
	};
	uint32_t l;

	if (contents_each(&c, plan, k, e) || record_start(&k->out, path, e) ||
		record_put(&k->out, "ids", k->f.ids, true, k->f.n, 0, e))
		return -1;
	k->f.tap = (struct forward_tap){ .ctx = k, .see = see };
	if (forward_embed(&k->f, e))
		return -1;
	for (l = 0; l < k->f.c->L; l++)
		if (forward_layer(&k->f, l, e))
			return -1;
	k->f.tap = (struct forward_tap){ 0 };
	if (put_logits(k, "logits", -1, 0, k->f.n, e))
		return -1;
	if (has_mtp(k) &&
		(forward_mtp(&k->f, 0, e) || forward_layer(&k->f, (uint32_t)k->f.c->L, e) ||
			put_logits(k, "mtp.0.logits_last", 0, k->f.n - 1, 1, e)))
		return -1;
	return record_finish(&k->out, e);
}

static int recorded(struct report *rep, struct weights *w, const char *out, const uint32_t *ids,
	uint32_t n, const struct compute_opts *o, struct err *e)
{
	struct recording k = { .what = !o->what || !strcmp(o->what, "all") ? CONTENTS_ALL
			: !strcmp(o->what, "layers")                       ? CONTENTS_LAYERS
									   : CONTENTS_LOGITS };
	struct need x = { .limit = o->max_memory,
		.models = { w },
		.n = n,
		.mtp = k.what == CONTENTS_ALL && !w->c.config.spark && w->c.config.stages,
		.logits = 8 * w->c.config.V, /* as they are, and as they are written */
		.beside = (w->dev->fp32 ? 4u : 2u) * (uint64_t)n * DEV_HC * w->c.config.D };
	int rc;

	if (need_find(&x, e) || forward_open(&k.f, w->dev, w, ids, n, 0, x.block, e))
		return -1;
	k.at_once = x.spare;
	rc = record_begin(&k.out, o->io, (uint32_t)w->c.config.L, w->dev->fp32, weights_order(w),
		e);
	rc = rc ? rc : record_all(&k, out, e);
	if (!rc) {
		compute_planned(rep, &x);
		report_row(rep, "record", out, k.out.n, k.out.file.size, NULL);
		report_row(rep, "read", "weights", 0, w->read, NULL);
		report_row(rep, "read", "weights held at most", 0, w->peak, NULL);
	}
	record_abandon(&k.out);
	forward_close(&k.f);
	return rc;
}

int compute_record(struct report *rep, const char *folder, const char *out,
	const struct compute_opts *o, struct err *e)
{
	struct weights w;
	uint32_t *ids, n;
	struct dev d;
	int rc;

	if (tokens_read(o->io, o->tokens, FORWARD_TOKENS_MAX, &ids, &n, e))
		return -1;
	rc = compute_device(&d, o, rep, e);
	if (!rc) {
		rc = compute_open(&w, o, folder, USE_RECORD, NULL, &d, e);
		rc = rc ? rc : recorded(rep, &w, out, ids, n, o, e);
		weights_close(&w);
		d.close(&d);
	}
	free(ids);
	return rc;
}
