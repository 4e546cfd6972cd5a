/* SPDX-License-Identifier: MIT */
#include "verify/atlas/measure.h"

#include "core/par.h"
#include "formats/gguf/imatrix.h"
#include "formats/model/changed.h"
#include "formats/model/drafts.h"
#include "formats/model/engram.h"
#include "formats/model/model_id.h"
#include "formats/gguf/imatrix_digest.h"
#include "verify/atlas/ids.h"
#include "verify/atlas/range.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* What a unit came to. */
struct unit {
	struct sums s;
	struct xxh_digest source, out;
};

/* A tensor that is being measured. */
struct item {
	struct lie was, is;
	size_t entry;
	uint64_t rows; /* of a unit */
	uint64_t n;    /* units */
	uint64_t next, left;
	struct unit *units; /* owns; [n] */
	float *weight;      /* owns; [cols]; NULL: no importance */
	struct item *before;
};

struct measure {
	const struct measure_opts *o;
	struct values source, out;
	struct imatrix imatrix;
	bool has_imatrix;
	uint64_t known; /* tensors that the imatrix has */
	struct atlas *a;
	size_t *tensor; /* owns; [a->n] numbers of the tensors in the source */
	struct progress *progress;
	pthread_mutex_t lock; /* guards what follows, and next and left of items */
	size_t next;          /* entry */
	struct item *open; /* items with units that nobody has taken, or that are not done; owns */
};

/* --- a unit --- */

/* What a thread works with. */
struct bench {
	uint8_t *was, *is, *room; /* own */
	double *w, *q, *lo, *hi;  /* own */
	size_t n_was, n_is, n_room, cols;
	struct xxh *x[2]; /* own */
};

static int grow(void *p, size_t *have, size_t want)
{
	void *more;

	if (want <= *have)
		return 0;
	more = realloc(*(void **)p, want);
	if (!more)
		return -1;
	*(void **)p = more;
	*have = want;
	return 0;
}

static int set_up(struct bench *b, const struct item *it, struct err *e)
{
	double **const v[] = { &b->w, &b->q, &b->lo, &b->hi };
	size_t i, cols = (size_t)it->was.cols, have;

	for (i = 0; i < 4; i++) {
		have = b->cols * sizeof **v;
		if (grow(v[i], &have, cols * sizeof **v))
			return err_nomem(e);
	}
	b->cols = cols > b->cols ? cols : b->cols;
	for (i = 0; i < 2; i++)
		b->x[i] = b->x[i] ? b->x[i] : xxh_new();
	return grow(&b->was, &b->n_was, lie_room(&it->was, it->rows)) ||
			grow(&b->is, &b->n_is, lie_room(&it->is, it->rows)) ||
			grow(&b->room, &b->n_room, (size_t)it->is.row_bytes) || !b->x[0] || !b->x[1]
		? err_nomem(e)
		: 0;
}

static void tear_down(struct bench *b)
{
	free(b->was);
	free(b->is);
	free(b->room);
	free(b->w);
	free(b->q);
	free(b->lo);
	free(b->hi);
	xxh_free(b->x[0]);
	xxh_free(b->x[1]);
}

static int measure_unit(const struct measure *m, const struct item *it, uint64_t k, struct bench *b,
	struct err *e)
{
	uint64_t row = k * it->rows, i,
		 n = it->was.rows - row < it->rows ? it->was.rows - row : it->rows;
	size_t cols = (size_t)it->was.cols;
	struct unit *u = &it->units[k];
	bool bounds = range_how(&it->is) >= RANGE_CODES, differs;

	if (set_up(b, it, e) || lie_read(&m->source, &it->was, row, n, b->was, e) ||
		lie_read(&m->out, &it->is, row, n, b->is, e))
		return -1;
	xxh_reset(b->x[0]);
	xxh_reset(b->x[1]);
	for (i = 0; i < n; i++) {
		lie_row(&it->was, b->was, row, n, i, b->w);
		lie_row(&it->is, b->is, row, n, i, b->q);
		xxh_update(b->x[0], b->w, cols * sizeof *b->w);
		xxh_update(b->x[1], b->q, cols * sizeof *b->q);
		differs = bounds && memcmp(b->w, b->q, cols * sizeof *b->w) != 0;
		if (differs)
			range_row(&it->is, b->is, row, n, i, b->room, b->lo, b->hi);
		sums_row(&u->s, b->w, b->q, cols, differs ? b->lo : NULL, b->hi, it->weight);
	}
	u->source = xxh_final(b->x[0]);
	u->out = xxh_final(b->x[1]);
	return 0;
}

/* --- a tensor --- */

/* Use and importance, as far as the imatrix has them. */
static int hear_imatrix(struct measure *m, struct item *it, struct atlas_entry *x, struct err *e)
{
	const struct imatrix_tensor *t;
	char name[GGUF_NAME_MAX + 1];
	uint64_t mat;
	long expert;

	if (!m->has_imatrix ||
		!gguf_name_of(name, &expert, x->tensor, false, GGUF_OF_MODEL, &m->source.c.config))
		return 0;
	t = imatrix_find(&m->imatrix, name);
	if (!t)
		return 0;
	mat = expert < 0 ? 0 : (uint64_t)expert;
	if (t->cols != it->was.cols || mat >= t->mats)
		return err_set(e, ERR_USAGE,
			"--imatrix: %s has %llu columns of %llu matrices: it is of another model",
			text_quote(t->name).s, (unsigned long long)t->cols,
			(unsigned long long)t->mats);
	it->weight = malloc(t->cols * sizeof *it->weight + 1);
	if (!it->weight)
		return err_nomem(e);
	m->known++;
	x->weighed = true;
	return imatrix_mean(&m->imatrix, t, mat, it->weight, &x->use, e);
}

static void item_free(struct item *it)
{
	if (it) {
		free(it->units);
		free(it->weight);
	}
	free(it);
}

/* Begins entry i: where it lies on both sides. *to is NULL where the result has nothing for it. */
static int begin(struct measure *m, size_t i, struct item **to, struct err *e)
{
	struct atlas_entry *x = &m->a->v[i];
	struct item *it = calloc(1, sizeof *it);

	*to = NULL;
	if (!it)
		return err_nomem(e);
	it->entry = i;
	it->was = values_source(&m->source, m->tensor[i]);
	snprintf(x->from, sizeof x->from, "%s", it->was.form);
	if (values_find(&m->out, x->tensor, it->was.rows, it->was.cols, &it->is, e) ||
		(it->is.form && hear_imatrix(m, it, x, e))) {
		item_free(it);
		return -1;
	}
	if (!it->is.form) {
		item_free(it);
		return 0;
	}
	snprintf(x->to, sizeof x->to, "%s", it->is.form);
	x->bytes = it->is.bytes;
	x->clips = range_how(&it->is) != RANGE_UNKNOWN;
	it->rows = SUMS_UNIT / it->was.cols ? SUMS_UNIT / it->was.cols : 1;
	it->n = it->left = mem_ceil_div(it->was.rows, it->rows);
	it->units = calloc((size_t)it->n, sizeof *it->units);
	if (!it->units) {
		item_free(it);
		return err_nomem(e);
	}
	*to = it;
	return 0;
}

/* Adds up the units in their order. */
static int finish(struct measure *m, struct item *it, struct xxh *x, struct err *e)
{
	struct atlas_entry *to = &m->a->v[it->entry];
	unsigned side;
	uint64_t k;

	if (!x)
		return err_nomem(e);
	for (k = 0; k < it->n; k++)
		sums_add(&to->s, &it->units[k].s);
	for (side = 0; side < 2; side++) {
		xxh_reset(x);
		for (k = 0; k < it->n; k++)
			xxh_update(x, side ? &it->units[k].out : &it->units[k].source,
				sizeof(struct xxh_digest));
		*(side ? &to->out : &to->source) = xxh_final(x);
	}
	return 0;
}

/* --- threads --- */

/* Takes a unit: of an item that has one left, else of the next. *it is NULL at the end. Under the lock. */
static int take(struct measure *m, struct item **to, uint64_t *k, struct err *e)
{
	struct item *it;

	for (it = m->open; it && it->next == it->n; it = it->before)
		;
	while (!it && m->next < m->a->n) {
		if (begin(m, m->next++, &it, e))
			return -1;
		if (it) {
			it->before = m->open;
			m->open = it;
		}
	}
	*to = it;
	*k = it ? it->next++ : 0;
	return 0;
}

/* Takes an item that is done out of the list. Under the lock. */
static void take_out(struct measure *m, const struct item *it)
{
	struct item **at;

	for (at = &m->open; *at != it; at = &(*at)->before)
		;
	*at = it->before;
}

static int work_on(struct measure *m, struct bench *b, bool *more, struct err *e)
{
	struct item *it;
	bool done;
	uint64_t k;
	int rc;

	pthread_mutex_lock(&m->lock);
	rc = take(m, &it, &k, e);
	pthread_mutex_unlock(&m->lock);
	*more = !rc && it;
	if (!*more)
		return rc;
	if (measure_unit(m, it, k, b, e))
		return err_at(e, "tensor %s", text_quote(m->a->v[it->entry].tensor).s);
	progress_add(m->progress, it->units[k].s.n);
	pthread_mutex_lock(&m->lock);
	done = !--it->left;
	if (done)
		take_out(m, it);
	pthread_mutex_unlock(&m->lock);
	if (!done)
		return 0;
	rc = finish(m, it, b->x[0], e);
	item_free(it);
	return rc;
}

static int work(struct par *par, unsigned me, struct err *e)
{
	struct measure *m = par_ctx(par);
	struct bench b = { 0 };
	bool more = true;
	int rc = 0;

	(void)me;
	while (!rc && more && !par_stopping(par))
		rc = work_on(m, &b, &more, e);
	tear_down(&b);
	return rc;
}

/* --- both folders --- */

/* Whether the folders can be of one model, as far as both say. */
static int same_model(const struct measure *m, const char *out, struct err *e)
{
	const struct config *a = &m->source.c.config, *b = &m->out.c.config;

	if (!b->family ||
		(a->L == b->L && a->D == b->D && a->I == b->I && a->E == b->E && a->V == b->V))
		return 0;
	return err_rule(e, RULE_ATLAS_MODELS, ERR_NOPOS,
		"%s has %llu layers of %llu columns and %llu experts, the source %llu of %llu and %llu: it is not made of that",
		text_quote(out).s, (unsigned long long)b->L, (unsigned long long)b->D,
		(unsigned long long)b->E, (unsigned long long)a->L, (unsigned long long)a->D,
		(unsigned long long)a->E);
}

/* Whether the source is the model that what was given with it is of. */
static int right_model(const struct measure *m, struct err *e)
{
	char id[65];

	if (!m->o->model)
		return 0;
	if (model_id(&m->source.a, id, e))
		return -1;
	return !strcmp(id, m->o->model)
		? 0
		: err_rule(e, RULE_SCORE_OTHER, ERR_NOPOS,
			  "--frontier: it is of the model %.12s, the source is %.12s: plan with a score of this one",
			  m->o->model, id);
}

static int list(struct measure *m, uint64_t *values, struct err *e)
{
	struct lie l;
	size_t i;

	m->tensor = calloc(m->source.c.n + 1, sizeof *m->tensor);
	if (!m->tensor)
		return err_nomem(e);
	for (i = 0; i < m->source.c.n; i++) {
		l = values_source(&m->source, i);
		if (!l.form)
			continue;
		m->tensor[m->a->n] = i;
		*values += l.rows * l.cols;
		if (!atlas_add(m->a, m->source.c.tensors[i].name))
			return err_nomem(e);
	}
	return 0;
}

static int open_imatrix(struct measure *m, struct err *e)
{
	if (!m->o->imatrix)
		return 0;
	if (imatrix_open(&m->imatrix, m->o->open.io, m->o->imatrix, e))
		return err_of_call(e, "--imatrix");
	m->has_imatrix = true;
	return imatrix_digest(&m->imatrix, m->a->imatrix, e) ? err_of_call(e, "--imatrix") : 0;
}

/* What the result is without as a whole, and how many tensors of the source those are. */
struct left_out {
	bool no_drafts, no_engram;
	uint64_t drafts, engram;
};

/* Whether config.json of the result describes the model without Engram. */
static bool without_engram(const struct measure *m)
{
	const struct config *was = &m->source.c.config, *is = &m->out.c.config;

	return was->engram && is->family == was->family && !is->engram;
}

/* Entry x was not measured: it was left out, it cannot be read, or it is lost. */
static void not_measured(const struct measure *m, const struct atlas_entry *x,
	struct left_out *left, struct report *r)
{
	const char *records = values_records(&m->out, x->tensor);
	struct report_place at = { .tensors = &x->tensor, .n_tensors = 1 };

	if (left->no_drafts && drafts_own(x->tensor))
		left->drafts++;
	else if (left->no_engram && engram_own(x->tensor))
		left->engram++;
	else if (records)
		report_add(r, RULE_MODEL_RECORDS, &at,
			"tensor %s: the result has records of the table, %s, but not of all rows in one layout that is known",
			text_quote(x->tensor).s, text_quote(records).s);
	else if (!m->source.a.want[m->tensor[x - m->a->v]]->optional)
		report_add(r, RULE_ATLAS_LOST, &at,
			"tensor %s: the result has nothing of its shape in a number format that is known",
			text_quote(x->tensor).s);
}

/* What the result has not, and what is no number in it. */
static void findings(const struct measure *m, struct report *r)
{
	const struct atlas_entry *x;
	struct report_place at = { 0 };
	struct left_out left = { .no_drafts = !values_have_drafts(&m->out),
		.no_engram = without_engram(m) };

	for (x = m->a->v; x < m->a->v + m->a->n; x++) {
		at.tensors = &x->tensor;
		at.n_tensors = 1;
		if (!x->s.n)
			not_measured(m, x, &left, r);
		if (x->s.odd)
			report_add(r, RULE_DATA_NOT_FINITE, &at,
				"tensor %s: %llu values are NaN or infinite, there or in the source",
				text_quote(x->tensor).s, (unsigned long long)x->s.odd);
	}
	if (left.drafts)
		report_row(r, "not looked at", "tensors of drafts", left.drafts, 0,
			m->out.is_gguf
				? "they are not in the result, or in a file of their own that is not read here"
				: "the result has no drafts");
	if (left.engram)
		report_row(r, "not looked at", "tensors of Engram", left.engram, 0,
			"config.json of the result describes a model without Engram, which computes something else");
}

static int measure_all(struct measure *m, struct report *r, const char *out, struct err *e)
{
	uint64_t values = 0;
	int rc;

	if (same_model(m, out, e) || right_model(m, e) || open_imatrix(m, e) || list(m, &values, e))
		return -1;
	if (m->o->started)
		m->progress = m->o->started(values);
	rc = par_run(m->o->threads ? m->o->threads : 1, work, m, e);
	progress_stop(m->progress);
	if (rc || ckpt_unchanged(&m->source.c, e) ||
		(!m->out.is_gguf && ckpt_unchanged(&m->out.c, e)))
		return -1;
	if (m->has_imatrix && !m->known)
		return err_set(e, ERR_USAGE, "--imatrix: it names no tensor of this model");
	findings(m, r);
	return ids_hold(r, &m->source, &m->out, e) || atlas_seal(m->a, e) ? -1 : 0;
}

int atlas_measure(struct atlas *a, struct report *r, const char *source, const char *out,
	const struct measure_opts *o, struct err *e)
{
	struct measure m = { .o = o, .a = a, .lock = PTHREAD_MUTEX_INITIALIZER };
	struct item *it;
	int rc;

	if (values_open_source(&m.source, source, &o->open, e))
		return -1;
	rc = values_open(&m.out, out, &o->open, e);
	a->files = rc ? 0 : values_files(&m.out);
	rc = rc ? rc : measure_all(&m, r, out, e);
	for (it = m.open; it; it = m.open) { /* after an error */
		m.open = it->before;
		item_free(it);
	}
	if (m.has_imatrix)
		imatrix_close(&m.imatrix);
	free(m.tensor);
	values_close(&m.out);
	values_close(&m.source);
	pthread_mutex_destroy(&m.lock);
	return rc;
}
