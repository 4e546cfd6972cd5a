/* SPDX-License-Identifier: MIT */
#include "verify/atlas/tell.h"

#include "verify/atlas/draw.h"
#include "verify/atlas/rollup.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- a row --- */

/* "17.93 dB, relative RMS 1.27e-01, 2.06 bits, .." */
static void put_words(struct text *t, const struct sums *s, uint64_t bytes, bool clips)
{
	if (s->error > 0)
		text_fmt(t, "%.2f dB, relative RMS %.3e, largest %.3g, cosine %.6f",
			sums_sqnr(s->error, s->energy), sums_rms(s->error, s->energy), s->max_abs,
			sums_cosine(s));
	else
		text_str(t, "exact");
	text_fmt(t, ", %.3f bits a weight", atlas_bits(bytes, s->n));
	if (!(s->error > 0))
		return;
	text_fmt(t, ", %.2f %% exact, %s flushed to zero", 100 * (double)s->exact / (double)s->n,
		text_thousands(s->flushed).s);
	if (clips)
		text_fmt(t, ", %s clipped", text_thousands(s->clipped).s);
}

/* Numbers that are none are left out: JSON has none of them. */
static void figure(struct report *r, const char *name, double v)
{
	if (isfinite(v))
		report_figure(r, name, v);
}

static void put_figures(struct report *r, const struct sums *s, uint64_t bytes, bool clips,
	bool weighed)
{
	figure(r, "relative_rms", sums_rms(s->error, s->energy));
	figure(r, "sqnr_db", sums_sqnr(s->error, s->energy));
	figure(r, "max_abs", s->max_abs);
	figure(r, "cosine", sums_cosine(s));
	figure(r, "exact_fraction", (double)s->exact / (double)s->n);
	figure(r, "flushed", (double)s->flushed);
	if (clips)
		figure(r, "clipped", (double)s->clipped);
	figure(r, "bits_per_weight", atlas_bits(bytes, s->n));
	if (weighed)
		figure(r, "weighed_rms", sums_rms(s->weighed_error, s->weighed_energy));
}

static void put_rollup(struct report *r, const struct rollup *x)
{
	static const struct {
		const char *by, *section;
	} sections[] = { { "role", "errors by role" }, { "block", "errors by block" },
		{ "all", "errors" } };
	struct text t = { 0 };
	size_t i;

	for (i = 0; strcmp(sections[i].by, x->by) != 0; i++)
		;
	put_words(&t, &x->s, x->bytes, x->clips);
	if (x->used_energy > 0 && x->s.error > 0)
		text_fmt(&t, ", by use %.3e", sums_rms(x->used_error, x->used_energy));
	if (x->weighed && x->s.error > 0)
		text_fmt(&t, ", by importance %.3e",
			sums_rms(x->s.weighed_error, x->s.weighed_energy));
	if (x->worst && x->tensors > 1)
		text_fmt(&t, "; worst %s, %.2f dB", text_quote(x->worst->tensor).s,
			sums_sqnr(x->worst->s.error, x->worst->s.energy));
	report_row(r, sections[i].section, rollup_name(x), x->tensors, x->bytes,
		t.failed ? NULL : t.s);
	put_figures(r, &x->s, x->bytes, x->clips, x->weighed);
	if (x->used_energy > 0)
		figure(r, "relative_rms_by_use", sums_rms(x->used_error, x->used_energy));
	text_free(&t);
}

/* --- the worst --- */

/* The larger error first; of equal ones the first by name, so that lists are alike everywhere. */
static int worse(const void *a, const void *b)
{
	const struct atlas_entry *x = *(const struct atlas_entry *const *)a,
				 *y = *(const struct atlas_entry *const *)b;
	double p = sums_rms(x->s.error, x->s.energy), q = sums_rms(y->s.error, y->s.energy);

	if (p > q || p < q)
		return p > q ? -1 : 1;
	return strcmp(x->tensor, y->tensor);
}

static int put_worst(struct report *r, const struct atlas *a, struct err *e)
{
	const struct atlas_entry **v = malloc((a->n + 1) * sizeof *v), *x;
	struct text t = { 0 };
	size_t n = 0, i;

	if (!v)
		return err_nomem(e);
	for (x = a->v; x < a->v + a->n; x++)
		if (x->s.n && x->s.error > 0 && x->s.energy > 0)
			v[n++] = x;
	if (n)
		qsort(v, n, sizeof *v, worse);
	for (i = 0; i < n && i < TELL_WORST; i++) {
		x = v[i];
		text_fmt(&t, "%s as %s: ", x->from, x->to);
		put_words(&t, &x->s, x->bytes, x->clips);
		if (x->use >= 0)
			text_fmt(&t, ", %.0f tokens", x->use);
		report_row(r, "worst tensors", x->tensor, 0, x->bytes, t.failed ? NULL : t.s);
		put_figures(r, &x->s, x->bytes, x->clips, x->weighed);
		if (x->use >= 0)
			figure(r, "tokens", x->use);
		text_free(&t);
	}
	free(v);
	return 0;
}

/* --- whole --- */

static int tell_one(struct report *r, const struct atlas *a, struct rollups *sums, struct err *e)
{
	size_t i;

	if (rollups_make(sums, a, e))
		return -1;
	for (i = 0; i < sums->n; i++)
		put_rollup(r, &sums->v[i]);
	report_row(r, "not looked at", "quality of the model", 0, 0,
		"an error of weights is none of the model: dsv4-verify logits SOURCE OUT --tokens IDS measures that");
	if (!*a->imatrix)
		report_row(r, "not looked at", "use of experts", 0, 0,
			"no --imatrix was given: roll-ups are by energy alone");
	return put_worst(r, a, e);
}

int tell_atlas(struct report *r, const struct atlas *a, struct err *e)
{
	struct rollups sums = { 0 };
	int rc = tell_one(r, a, &sums, e);

	rollups_free(&sums);
	return rc ? rc : draw_atlas(a, NULL, &r->drawn, e);
}

/* --- two --- */

/* Both are of one source: every tensor that both have has the same values there, and there is one. */
static int same_source(const struct atlas *a, const struct atlas *b, struct err *e)
{
	size_t i = 0, k = 0, both = 0;
	int c;

	while (i < a->n && k < b->n) {
		c = strcmp(a->v[i].tensor, b->v[k].tensor);
		if (!c && memcmp(&a->v[i].source, &b->v[k].source, sizeof a->v[i].source) != 0)
			return err_rule(e, RULE_ATLAS_OTHER, ERR_NOPOS,
				"the two are of different sources: values of %s are not the same there",
				text_quote(a->v[i].tensor).s);
		both += !c;
		i += c <= 0;
		k += c >= 0;
	}
	return both ? 0
		    : err_rule(e, RULE_ATLAS_OTHER, ERR_NOPOS,
			      "the two are of different sources: they have no tensor in common");
}

/* "20.10 dB", or what stands for it. */
static void put_db(struct text *t, const struct sums *s)
{
	if (s->error > 0)
		text_fmt(t, "%.2f dB", sums_sqnr(s->error, s->energy));
	else
		text_str(t, "exact");
}

static void put_change(struct report *r, const struct rollup *x, const struct rollup *y)
{
	struct text t = { 0 };
	double p = sums_sqnr(x->s.error, x->s.energy), q = sums_sqnr(y->s.error, y->s.energy);

	put_db(&t, &x->s);
	text_str(&t, " here, ");
	put_db(&t, &y->s);
	text_str(&t, " there");
	if (isfinite(q - p))
		text_fmt(&t, " (%+.2f)", q - p);
	text_fmt(&t, "; %.3f bits here, %.3f there; %s here, %s there",
		atlas_bits(x->bytes, x->s.n), atlas_bits(y->bytes, y->s.n), text_bytes(x->bytes).s,
		text_bytes(y->bytes).s);
	if (x->tensors != y->tensors)
		text_fmt(&t, "; of %s tensors there", text_thousands(y->tensors).s);
	report_row(r, "the other", rollup_name(x), x->tensors, 0, t.failed ? NULL : t.s);
	figure(r, "sqnr_db", p);
	figure(r, "sqnr_db_other", q);
	figure(r, "bits_per_weight", atlas_bits(x->bytes, x->s.n));
	figure(r, "bits_per_weight_other", atlas_bits(y->bytes, y->s.n));
	text_free(&t);
}

static void put_changes(struct report *r, const struct rollups *a, const struct rollups *b)
{
	size_t i, k;

	for (i = 0; i < a->n; i++)
		for (k = 0; k < b->n; k++)
			if (!strcmp(a->v[i].by, b->v[k].by) &&
				!strcmp(rollup_name(&a->v[i]), rollup_name(&b->v[k])))
				put_change(r, &a->v[i], &b->v[k]);
}

int tell_two(struct report *r, const struct atlas *a, const struct atlas *b, struct err *e)
{
	struct rollups sums = { 0 }, other = { 0 };
	int rc = same_source(a, b, e) || tell_one(r, a, &sums, e) || rollups_make(&other, b, e) ? -1
												: 0;

	if (!rc)
		put_changes(r, &sums, &other);
	rollups_free(&sums);
	rollups_free(&other);
	return rc ? rc : draw_atlas(a, b, &r->drawn, e);
}
