/* SPDX-License-Identifier: MIT */
#include "verify/compare/file_work.h"

#include "core/file.h"
#include "core/par.h"
#include "formats/conversion/block_roles.h"
#include "verify/compare/derive.h"
#include "verify/compare/mix_type.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct worker {
	struct derive_maker m;
	struct derive_from from;
	uint8_t *want, *got; /* own */
	size_t want_cap, got_cap;
};

static bool sampled(const struct compare *c, const char *name, uint64_t unit)
{
	struct xxh_digest d;
	uint64_t v;

	if (c->o->sample >= 100)
		return true;
	d = xxh_of(name, strlen(name));
	memcpy(&v, d.b, sizeof v);
	v ^= unit * 0x9e3779b97f4a7c15u;
	v = (v ^ v >> 32) * 0xd6e8feb86659fd93u;
	return (v >> 32) % 100 < c->o->sample;
}

/* Whether the tensor is made of routed experts that came from a folder that was not given. */
static bool is_open(const struct compare *c, const struct sidecar *s,
	const struct sidecar_tensor *t)
{
	return c->experts_from[0] && t->n &&
		strstr(s->sources[t->first].tensor, ".ffn.experts.") != NULL;
}

/* The first byte that differs, as a finding. */
static void tell_difference(struct file_work *w, const struct derive *d, uint64_t unit,
	const struct worker *k, uint64_t n)
{
	const struct sidecar_tensor *t = d->t;
	struct derive_place where;
	struct report_place at = { .file = w->f->path, .tensors = &t->name, .n_tensors = 1 };
	uint64_t i, others = 0, first;

	if (is_open(w->c, w->f->s, t)) {
		w->c->undecided++;
		return;
	}
	for (first = 0; k->want[first] == k->got[first]; first++)
		;
	for (i = first; i < n; i++)
		others += k->want[i] != k->got[i];
	where = derive_where(d, unit, first);
	at.from = w->f->s->header_bytes + t->begin + unit * d->unit_rows * d->row_bytes + first;
	at.to = at.from + 1;
	report_add(w->c->r, RULE_COMPARE_BYTES, &at,
		"tensor %s (%s), %s: byte 0x%02x expected, 0x%02x found; %llu bytes differ in this part",
		text_quote(t->name).s, ops[t->op].name, where.s, k->want[first], k->got[first],
		(unsigned long long)others);
}

static int compare_unit(struct file_work *w, const struct derive *d, uint64_t unit,
	struct worker *k, bool *same, struct err *e)
{
	const struct compare *c = w->c;
	uint64_t n = derive_unit_bytes(d, unit);
	uint64_t at = w->f->s->header_bytes + d->t->begin + unit * d->unit_rows * d->row_bytes;

	if (mem_grow(&k->want, &k->want_cap, (size_t)n, 1) ||
		mem_grow(&k->got, &k->got_cap, (size_t)n, 1))
		return err_nomem(e);
	if (derive_unit(&k->m, d, unit, k->want, e) ||
		file_read(c->o->io, w->f->fd, k->got, (size_t)n, at, e))
		return -1;
	progress_add(c->progress, n);
	*same = !memcmp(k->want, k->got, (size_t)n);
	if (!*same) { /* nothing is called different on the word of the quick way alone */
		if (derive_unit_plain(&k->m, d, unit, k->want, e))
			return -1;
		*same = !memcmp(k->want, k->got, (size_t)n);
	}
	pthread_mutex_lock(&w->lock);
	w->units++;
	w->bytes += n;
	if (!*same)
		tell_difference(w, d, unit, k, n);
	pthread_mutex_unlock(&w->lock);
	return 0;
}

/* What the tensor uses of its sources. The lock is held. */
static int cover(struct file_work *w, const struct derive *d, struct err *e)
{
	const struct sidecar_tensor *t = d->t;
	struct coverage_part p;
	struct derive_use use;
	const struct tensor *s;
	uint32_t k;

	for (k = 0; k < t->n; k++) {
		s = ckpt_find(&w->c->source, w->f->s->sources[t->first + k].tensor);
		use = derive_use(d, k, s);
		if (!use.rows && s->end > s->begin)
			continue; /* it is only looked at */
		p = (struct coverage_part){ .tensor = (uint32_t)(s - w->c->source.tensors),
			.row = use.row,
			.rows = use.rows,
			.col = use.col,
			.cols = use.cols };
		if (coverage_add(&w->c->used, &p, e))
			return -1;
	}
	return 0;
}

/* What the sidecar says of exact blocks is what the values say; of all of them, unless some were left out. */
static void hold_counts(struct file_work *w, const struct derive *d, const struct derive_maker *m)
{
	const struct derive_blocks *n = &m->blocks;
	const struct sidecar_tensor *t = d->t;
	struct report_place at = { .file = w->f->path, .tensors = &t->name, .n_tensors = 1 };
	struct err why = { 0 };

	if ((t->op != OP_REFORM || t->of != PART_CODES) && !d->searched &&
		!(t->op == OP_RECORD && d->record->bits < 8))
		return;
	if (w->c->o->sample < 100)
		return;
	pthread_mutex_lock(&w->lock);
	if (n->n != t->blocks || n->lossy != t->inexact || n->rescued != t->rescued)
		report_add(w->c->r, RULE_COMPARE_COUNTS, &at,
			"tensor %s: of %llu blocks %llu are rounded and %llu rescued, its sidecar says %llu of %llu and %llu",
			text_quote(t->name).s, (unsigned long long)n->n,
			(unsigned long long)n->lossy, (unsigned long long)n->rescued,
			(unsigned long long)t->inexact, (unsigned long long)t->blocks,
			(unsigned long long)t->rescued);
	else if (!said_lists(w->f->s, t, m->lost, m->n_lost))
		report_add(w->c->r, RULE_COMPARE_COUNTS, &at,
			"tensor %s: its sidecar lists other rounded blocks than the values have",
			text_quote(t->name).s);
	if (block_roles_add(&w->c->said.found, &w->c->source.config,
		    w->f->s->sources[t->first].tensor,
		    &(struct manifest_role){
			    .total = n->n, .rescued = n->rescued, .lossy = n->lossy },
		    &why))
		report_take(w->c->r, &at, &why);
	report_count(w->c->r, "values", "blocks that are exact", n->n - n->lossy - n->rescued, 0);
	report_count(w->c->r, "values", "blocks that were rescued: exact, with another scale",
		n->rescued, 0);
	report_count(w->c->r, "values", "blocks that were rounded", n->lossy, 0);
	pthread_mutex_unlock(&w->lock);
}

static int read_number(const struct file_work *w, const struct sidecar_tensor *t, float *f,
	struct err *e)
{
	return t->end - t->begin != sizeof *f
		? err_rule(e, RULE_COMPARE_SHAPE, ERR_NOPOS, "tensor %s is no number",
			  text_quote(t->name).s)
		: file_read(w->c->o->io, w->f->fd, f, sizeof *f, w->f->s->header_bytes + t->begin,
			  e);
}

/* Whether the option is one number, for all. */
static bool said_number(const char *option, float *v)
{
	char *end;

	*v = strtof(option, &end);
	return *option && !*end;
}

/* Scales of activations are measured and come from no weight: each is a number above zero, and w1 and w3 of an expert,
 * which are multiplied with the same, have one. Numbers lie beside each other, by name. */
static int compare_input(struct file_work *w, const struct sidecar_tensor *t, struct err *e)
{
	static const char first[] = ".w1.", second[] = ".w3.";
	enum { NEAR = 16 };
	struct report_place at = { .file = w->f->path, .tensors = &t->name, .n_tensors = 1 };
	const char *mid = strstr(t->name, second);
	const struct sidecar_tensor *v = w->f->s->tensors, *o;
	float f = 0, g = 0, said = 0;
	struct derive d;
	struct err why = { 0 };
	const struct derive_from from = { .c = &w->c->source };
	int rc =
		derive_open(&d, &from, w->f->s, t, w->f->d->m, &why) || read_number(w, t, &f, &why);

	(void)e;
	if (!rc && !(f > 0 && isfinite(f)))
		rc = err_rule(&why, RULE_COMPARE_BYTES, ERR_NOPOS,
			"tensor %s is %g, and no scale of activations", text_quote(t->name).s,
			(double)f);
	for (o = t; !rc && mid && o > v && t - o < NEAR; o--) {
		size_t n = (size_t)(mid - t->name);

		if (strncmp(o->name, t->name, n) || strncmp(o->name + n, first, sizeof first - 1) ||
			strcmp(o->name + n + sizeof first - 1, mid + sizeof second - 1) != 0)
			continue;
		rc = read_number(w, o, &g, &why);
		if (!rc && f != g)
			rc = err_rule(&why, RULE_COMPARE_BYTES, ERR_NOPOS,
				"tensor %s is %g, and %s is %g: they are one",
				text_quote(t->name).s, (double)f, text_quote(o->name).s, (double)g);
	}
	if (!rc && said_number(w->f->d->m->input_scale, &said) && f != said)
		rc = err_rule(&why, RULE_COMPARE_BYTES, ERR_NOPOS,
			"tensor %s is %.9g, and " MAN_NAME
			" says that all scales of activations are %.9g",
			text_quote(t->name).s, (double)f, (double)said);
	pthread_mutex_lock(&w->lock);
	if (rc)
		report_take(w->c->r, &at, &why);
	else
		report_count(w->c->r, "compared", "scales of activations, which no weight tells", 1,
			4);
	pthread_mutex_unlock(&w->lock);
	return 0;
}

static int compare_tensor(struct file_work *w, const struct sidecar_tensor *t, struct worker *k,
	struct err *e)
{
	struct report_place at = { .file = w->f->path, .tensors = &t->name, .n_tensors = 1 };
	struct err why = { 0 };
	struct derive d;
	uint64_t unit;
	bool same = true;
	int rc;

	if (t->op == OP_REFORM && t->of == PART_INPUT)
		return compare_input(w, t, e);
	k->m.blocks = (struct derive_blocks){ 0 };
	k->m.n_lost = 0;
	rc = derive_open(&d, &k->from, w->f->s, t, w->f->d->m, &why);
	if (!rc && w->c->mix.n)
		rc = mix_type_check(&w->c->mix, &w->c->source.config, w->f->s, t, &why);
	pthread_mutex_lock(&w->lock);
	if (rc && is_open(w->c, w->f->s, t))
		w->c->undecided++;
	else if (rc)
		report_take(w->c->r, &at, &why);
	else
		rc = cover(w, &d, e) ? -2 : 0;
	pthread_mutex_unlock(&w->lock);
	for (unit = 0; !rc && same && unit < d.units; unit++) {
		if (!sampled(w->c, t->name, unit))
			continue;
		rc = compare_unit(w, &d, unit, k, &same, &why);
		if (rc) {
			pthread_mutex_lock(&w->lock);
			report_take(w->c->r, &at, &why);
			pthread_mutex_unlock(&w->lock);
		}
	}
	if (!rc && same)
		hold_counts(w, &d, &k->m);
	return rc == -2 ? -1 : 0;
}

static int work(struct par *p, unsigned me, struct err *e)
{
	struct file_work *w = par_ctx(p);
	struct worker k = { .from = { .c = &w->c->source,
				    .imatrix = w->c->o->imatrix ? &w->c->imatrix : NULL } };
	const struct ckpt_payload *grafted = w->c->source.payload;
	size_t i;
	int rc = 0;

	(void)me;
	if (grafted && !(k.from.reader = grafted->open(grafted->ctx)))
		return err_nomem(e);
	while (!rc && !par_stopping(p)) {
		pthread_mutex_lock(&w->lock);
		i = w->next++;
		pthread_mutex_unlock(&w->lock);
		if (i >= w->f->s->n)
			break;
		rc = compare_tensor(w, &w->f->s->tensors[i], &k, e);
	}
	if (grafted)
		grafted->close(k.from.reader);
	derive_free(&k.m);
	free(k.want);
	free(k.got);
	return rc;
}

/* Threads that --max-memory allows for the largest tensor of the file. */
static unsigned threads_for(const struct compare *c, const struct walk_file *f)
{
	uint64_t need = 1, one, threads;
	size_t i;

	for (i = 0; i < f->s->n; i++) {
		one = derive_memory(&f->s->tensors[i]);
		need = one > need ? one : need;
	}
	need += c->graft.open ? c->graft.payload.need(c->graft.payload.ctx) : 0;
	threads = c->o->max_memory / need;
	threads = threads < c->o->threads ? threads : c->o->threads;
	threads = threads < f->s->n ? threads : f->s->n;
	return threads ? (unsigned)threads : 1;
}

int file_work_run(struct file_work *w, struct err *e)
{
	return par_run(threads_for(w->c, w->f), work, w, e);
}
