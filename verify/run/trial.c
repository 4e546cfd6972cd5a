/* trial.c -- dsv4-verify logits: both models open, every prompt computed with both, and what came of all of them.
 *
 * SPDX-License-Identifier: MIT */
#include "verify/run/compute.h"

#include "core/file.h"
#include "formats/conversion/chain.h"
#include "formats/conversion/head.h"
#include "verify/run/logits.h"
#include "verify/run/results.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int note_lossy(void *ctx, const struct chain_folder *f, struct err *e)
{
	bool *lossy = ctx;

	(void)e;
	*lossy = *lossy || f->m->inexact > 0;
	return 0;
}

/* Whether a manifest of the conversion at path says that casts in it have lost something. What has no manifest of
 * ours says nothing. */
static int declared_lossy(const struct io *io, const char *path, bool *lossy, struct err *e)
{
	struct chain_walk w = { .io = io, .ctx = lossy, .folder = note_lossy };
	struct head h;
	int dir, rc;

	*lossy = false;
	if (file_open_dir(io, path, &dir, e))
		return -1;
	rc = head_read(&h, io, dir, e);
	if (!rc && (h.form == HEAD_FOLDER || h.form == HEAD_SET))
		rc = chain_walk(&w, dir, e);
	(void)io->close(io, dir); /* a folder has nothing to flush */
	return rc;
}

/* Two models can be held against each other if they are the same but for how they are stored. */
static int same_model(const struct weights *a, const struct weights *b, struct err *e)
{
	const struct config *x = &a->c.config, *y = &b->c.config;
	const char *what = NULL;

	if (x->L != y->L || x->D != y->D || x->H != y->H || x->hd != y->hd || x->QL != y->QL ||
		x->G != y->G || x->R != y->R || x->I != y->I || x->IH != y->IH || x->IHD != y->IHD)
		what = "another number or size of layers";
	else if (x->E != y->E || x->K != y->K || x->S != y->S || x->n_hash != y->n_hash)
		what = "other experts";
	else if (x->V != y->V)
		what = "another vocabulary";
	else if (memcmp(x->ratio, y->ratio, (size_t)x->L * sizeof *x->ratio) != 0 ||
		memcmp(&a->p, &b->p, sizeof a->p) != 0)
		what = "other constants";
	return what ? err_rule(e, RULE_LOGITS_MODELS, ERR_NOPOS,
			      "%s has %s than %s: they are different models", text_quote(b->path).s,
			      what, text_quote(a->path).s)
		    : 0;
}

struct trial {
	struct report *rep;
	const struct compute_opts *o;
	struct weights *a, *b; /* source, converted */
	struct prompts p;
	uint32_t *rows; /* owns; [p.n]: positions that are judged */
	struct logits_opts lo;
	struct results kept;
	struct sample sum[2]; /* of the conversion, of the noise */
	bool noise;
	struct trace_difference first;
};

/* Room for the longest prompt, and for the figures of all positions of all. */
static int settle(struct trial *t, struct err *e)
{
	struct need x = { .limit = t->o->max_memory,
		.models = { t->a, t->b },
		.steps = true,
		.logits = 8 * t->a->c.config.V };
	size_t i;

	for (i = 0; i < t->p.n; i++)
		x.n = prompts_tokens(&t->p, i) > x.n ? prompts_tokens(&t->p, i) : x.n;
	/* streams of both; ids, and KL of both comparisons in a list that doubles */
	x.beside = 8 * (uint64_t)x.n * DEV_HC * t->a->c.config.D + 20 * (uint64_t)t->p.at[t->p.n];
	if (need_find(&x, e))
		return -1;
	compute_planned(t->rep, &x);
	t->lo.block = x.block;
	t->lo.keep = x.spare;
	t->rows = malloc((t->p.n + 1) * sizeof *t->rows);
	if (!t->rows)
		return err_nomem(e);
	for (i = 0; i < t->p.n; i++)
		t->rows[i] = t->lo.last ? 1 : prompts_tokens(&t->p, i);
	return 0;
}

/* One prompt with both models, and with the source in another order. */
static int one(struct trial *t, size_t i, struct err *e)
{
	uint32_t layers = (uint32_t)t->a->c.config.L;
	struct logits_result res = { .first = t->first };
	struct sample noise = { 0 };
	int rc;

	t->lo.ids = t->p.ids + t->p.at[i];
	t->lo.n = prompts_tokens(&t->p, i);
	/* in FP32 arithmetic all formats are summed alike */
	if (!t->a->dev->fp32)
		t->a->order = weights_order(t->b);
	rc = sample_open(&res.s, layers, t->rows[i], e) ||
			sample_open(&noise, layers, t->rows[i], e) ||
			logits_run(t->a, t->b, &t->lo, t->rep, &res, e) ||
			(t->noise && logits_noise(t->a, &t->lo, &noise, e)) ||
			results_put(&t->kept, &res.s, t->noise ? &noise : NULL,
				t->first.found ? NULL : &res.first, e) ||
			sample_add(&t->sum[0], &res.s, layers, e) ||
			(t->noise && sample_add(&t->sum[1], &noise, layers, e))
		? -1
		: 0;
	t->first = res.first;
	sample_close(&res.s);
	sample_close(&noise);
	return rc && t->p.n > 1 ? err_at(e, "prompt %zu", i + 1) : rc;
}

/* Nothing follows from figures of what is no number: NaN among the values of a layer or the logits is never good, though
 * both models may have it at one place. */
static void no_numbers(struct trial *t)
{
	const struct sample *s = &t->sum[0];
	uint32_t l = 0, n = (uint32_t)t->a->c.config.L;

	while (l < n && !s->d[l].m.nan)
		l++;
	if (l < n)
		report_add(t->rep, RULE_LOGITS_DIFFERS, NULL,
			"layers.%u: a value of what the layer gives is NaN, so nothing can be said of the models",
			l);
	else if (s->m.nan || isnan(s->o.kl))
		report_add(t->rep, RULE_LOGITS_DIFFERS, NULL,
			"a logit is NaN or infinite, so nothing can be said of the models");
}

static void figures(struct trial *t)
{
	const struct measure *m = &t->sum[0].m;
	const struct opinion *o = &t->sum[0].o;
	double kl = o->kl / (double)o->rows;
	bool near = t->lo.max_kl >= 0 && kl <= t->lo.max_kl;

	quality_put(t->rep, &t->sum[0], t->noise ? &t->sum[1] : NULL, (uint32_t)t->a->c.config.L,
		m->equal != m->n || t->p.n > 1);
	if (m->equal != m->n)
		report_add(t->rep, logits_rule(&t->lo, near), NULL,
			"the logits: %llu of %llu values differ, relative L2 %.3g, KL mean %.3g max "
			"%.3g, top-1 %.1f %%",
			(unsigned long long)(m->n - m->equal), (unsigned long long)m->n,
			measure_rel(m), kl, o->kl_max, 100 * (double)o->top1 / (double)o->rows);
	no_numbers(t);
	report_row(t->rep, "read", "source", 0, t->a->read, NULL);
	report_row(t->rep, "read", "converted", 0, t->b->read,
		"not read: experts that no token picks, rows of other tokens, MTP stages");
	report_row(t->rep, "read", "weights held at most", 0, t->a->peak + t->b->peak, NULL);
}

static int tried(struct trial *t, struct err *e)
{
	const char *const folder[2] = { t->a->path, t->b->path };
	char how[64], text[64];
	size_t i, before;
	int rc;

	t->kept.layers = (uint32_t)t->a->c.config.L;
	t->noise = t->lo.lossy && !t->a->dev->fp32;
	snprintf(how, sizeof how, "2 %d %d %d", t->lo.last, t->noise, t->a->dev->fp32);
	if (same_model(t->a, t->b, e) || prompts_fit(&t->p, t->a->c.config.V, e) || settle(t, e) ||
		sample_open(&t->sum[0], t->kept.layers, 0, e) ||
		sample_open(&t->sum[1], t->kept.layers, 0, e) ||
		results_run(t->kept.run, t->o->io, folder, &t->p, how, e) ||
		results_open(&t->kept, t->o->results, t->rows, t->p.n, t->noise, t->sum, e))
		return -1;
	before = t->kept.n;
	t->first = t->kept.first;
	if (t->first.found)
		logits_tell(t->rep, &t->lo, &t->first);
	for (i = before, rc = 0; !rc && i < t->p.n; i++)
		rc = one(t, i, e);
	if (results_close(&t->kept, e))
		rc = -1;
	if (rc)
		return -1;
	if (t->p.n > 1) {
		snprintf(text, sizeof text, "%zu of them were in the file of results", before);
		report_row(t->rep, "looked at", "prompts", t->p.n, 0, t->o->results ? text : NULL);
		report_row(t->rep, "looked at", "tokens", t->p.at[t->p.n], 0, NULL);
	}
	figures(t);
	return 0;
}

int compute_logits(struct report *rep, const char *source, const char *made,
	const struct compute_opts *o, struct err *e)
{
	struct trial t = { .rep = rep,
		.o = o,
		.lo = { .last = o->last, .features = o->features, .threads = o->threads },
		.kept = { .io = o->io, .fd = -1 } };
	struct weights a, b;
	struct dev d;
	int rc;

	if (compute_number("--max-kl", o->max_kl, &t.lo.max_kl, e) ||
		prompts_read(&t.p, o->io, o->tokens, FORWARD_TOKENS_MAX, e))
		return -1;
	rc = compute_device(&d, o, rep, e);
	if (rc) {
		prompts_free(&t.p);
		return rc;
	}
	rc = compute_open(&a, o, source, USE_LOGITS_SOURCE, NULL, &d, e);
	if (!rc) {
		rc = compute_open(&b, o, made, USE_LOGITS, &a, &d, e);
		if (!rc) {
			t.a = &a;
			t.b = &b;
			t.lo.lossy = b.is_gguf && b.g.rounds;
			rc = (!b.is_gguf && declared_lossy(o->io, made, &t.lo.lossy, e)) ||
					tried(&t, e)
				? -1
				: 0;
			weights_close(&b);
		}
		weights_close(&a);
	}
	d.close(&d);
	sample_close(&t.sum[0]);
	sample_close(&t.sum[1]);
	prompts_free(&t.p);
	free(t.rows);
	return rc;
}
