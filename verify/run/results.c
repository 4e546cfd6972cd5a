/* SPDX-License-Identifier: MIT */
#include "verify/run/results.h"

#include "core/file.h"
#include "formats/json/jread.h"
#include "formats/json/jwrite.h"
#include "verify/run/line_seal.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_HEAD = 256, PER_ROW = 32, PER_LAYER = 512, WINDOW = 1 << 16 };

/* --- a sample as numbers --- */

/* Fields of a sample in the order of a line; count of them, or of those of a layer. */
enum { LOGITS = 6, OPINION = 9, LAYER = 8 };

static void numbers(struct jwrite *o, const char *key, const double *v, unsigned n)
{
	unsigned i;

	jwrite_open(o, key, '[');
	for (i = 0; i < n; i++)
		jwrite_f64(o, NULL, v[i]);
	jwrite_close(o, ']');
}

static void from_measure(const struct measure *m, double v[LOGITS])
{
	v[0] = (double)m->n;
	v[1] = (double)m->equal;
	v[2] = m->diff;
	v[3] = m->norm;
	v[4] = m->max;
	v[5] = m->nan;
}

static void to_measure(struct measure *m, const double v[LOGITS])
{
	*m = (struct measure){ .n = (uint64_t)v[0],
		.equal = (uint64_t)v[1],
		.diff = v[2],
		.norm = v[3],
		.max = v[4],
		.nan = v[5] > 0 };
}

static void put_sample(struct jwrite *o, const char *key, const struct sample *s, uint32_t layers)
{
	const double opinion[OPINION] = { (double)s->o.rows, (double)s->o.top1, s->o.kl,
		s->o.kl_max, s->o.topk, s->o.top5, (double)s->o.predicted, s->o.nll_is,
		s->o.nll_was };
	double v[LAYER];
	uint64_t i;

	jwrite_open(o, key, '{');
	from_measure(&s->m, v);
	numbers(o, "logits", v, LOGITS);
	numbers(o, "opinion", opinion, OPINION);
	jwrite_open(o, "layers", '[');
	for (i = 0; i < layers; i++) {
		from_measure(&s->d[i].m, v);
		v[LOGITS] = (double)s->d[i].picks;
		v[LOGITS + 1] = (double)s->d[i].moved;
		numbers(o, NULL, v, LAYER);
	}
	jwrite_close(o, ']');
	jwrite_open(o, "kl", '[');
	for (i = 0; i < s->o.rows; i++)
		jwrite_f64(o, NULL, (double)s->o.each[i]);
	jwrite_close(o, ']');
	jwrite_close(o, '}');
}

/* The next value: a number, or null for one that JSON has not. */
static int get(struct jread *j, double *v)
{
	*v = NAN;
	if (jread_peek(j) == 'n')
		return jread_skip(j);
	return jread_real(j, v);
}

/* The member of that name, which must come next. */
static int key(struct jread *j, const char *name)
{
	int more = jread_key(j);

	if (more < 0)
		return -1;
	return more && !strcmp(j->str.s, name)
		? 0
		: err_set(j->e, ERR_USAGE, "\"%s\" is missing", name);
}

static int get_numbers(struct jread *j, double *v, unsigned n, unsigned counts)
{
	unsigned i;

	if (jread_array(j))
		return -1;
	for (i = 0; i < n; i++) {
		if (jread_item(j) != 1 || get(j, &v[i]))
			return err_set(j->e, ERR_USAGE, "numbers are missing");
		if (i < counts && !(v[i] >= 0 && v[i] <= 9007199254740992.0))
			return err_set(j->e, ERR_USAGE, "a count is %g", v[i]);
	}
	return jread_item(j) ? err_set(j->e, ERR_USAGE, "more numbers than there are") : 0;
}

static int get_layers(struct jread *j, struct sample *s, uint32_t layers)
{
	double v[LAYER];
	uint32_t l;

	if (key(j, "layers") || jread_array(j))
		return -1;
	for (l = 0; l < layers; l++) {
		if (jread_item(j) != 1 || get_numbers(j, v, LAYER, 2))
			return err_set(j->e, ERR_USAGE, "layers are missing");
		to_measure(&s->d[l].m, v);
		if (!(v[LOGITS] >= 0 && v[LOGITS] < 1e15 && v[LOGITS + 1] >= 0 &&
			    v[LOGITS + 1] <= v[LOGITS]))
			return err_set(j->e, ERR_USAGE, "experts are no counts");
		s->d[l].picks = (uint64_t)v[LOGITS];
		s->d[l].moved = (uint64_t)v[LOGITS + 1];
	}
	return jread_item(j) ? err_set(j->e, ERR_USAGE, "more layers than there are") : 0;
}

/* rows: the positions of the prompt, for which *s has room. */
static int get_sample(struct jread *j, struct sample *s, uint32_t layers, uint32_t rows)
{
	double v[OPINION], kl;
	uint32_t i;

	if (jread_object(j) || key(j, "logits") || get_numbers(j, v, LOGITS, 2))
		return -1;
	to_measure(&s->m, v);
	if (key(j, "opinion") || get_numbers(j, v, OPINION, 2))
		return -1;
	if (v[0] != rows || v[1] > rows || !(v[6] >= 0 && v[6] <= rows))
		return err_set(j->e, ERR_USAGE, "another number of positions than the prompt has");
	s->o.rows = rows;
	s->o.top1 = (uint64_t)v[1];
	s->o.kl = v[2];
	s->o.kl_max = v[3];
	s->o.topk = v[4];
	s->o.top5 = v[5];
	s->o.predicted = (uint64_t)v[6];
	s->o.nll_is = v[7];
	s->o.nll_was = v[8];
	if (get_layers(j, s, layers) || key(j, "kl") || jread_array(j))
		return -1;
	for (i = 0; i < rows; i++) {
		if (jread_item(j) != 1 || get(j, &kl))
			return err_set(j->e, ERR_USAGE, "positions are missing");
		s->o.each[i] = (float)kl;
	}
	if (jread_item(j) || jread_key(j))
		return err_set(j->e, ERR_USAGE, "more than there is");
	return 0;
}

/* --- the first step that differs --- */

enum { FIRST = 7 }; /* numbers of a difference, in the order of a line */

/* first may be NULL. */
static void put_first(struct jwrite *o, const char *key, const struct trace_difference *first)
{
	double v[FIRST];

	if (!first || !first->found) {
		jwrite_null(o, key);
		return;
	}
	v[0] = (double)first->token;
	v[1] = first->row;
	v[2] = first->col;
	v[3] = first->was;
	v[4] = first->is;
	v[5] = (double)first->n;
	v[6] = (double)first->differ;
	jwrite_open(o, key, '{');
	jwrite_str(o, "name", first->name);
	jwrite_bool(o, "kept", first->kept);
	jwrite_bool(o, "whole", first->whole);
	numbers(o, "numbers", v, FIRST);
	jwrite_close(o, '}');
}

/* The member of that name, which must come next and be true or false. */
static int get_bool(struct jread *j, const char *name, bool *v)
{
	int c;

	if (key(j, name))
		return -1;
	c = jread_peek(j);
	*v = c == 't';
	return c == 't' || c == 'f' ? jread_skip(j)
				    : err_set(j->e, ERR_USAGE, "\"%s\" is no boolean", name);
}

static bool within(double v, double from, double to)
{
	return v >= from && v <= to;
}

/* The name of a step is printed, so that nothing but visible ASCII is taken for one. */
static int get_name(struct jread *j, struct trace_difference *first)
{
	size_t i;

	if (key(j, "name") || jread_string(j, sizeof first->name - 1))
		return -1;
	memcpy(first->name, j->str.s, j->str.n);
	first->name[j->str.n] = '\0';
	for (i = 0; i < j->str.n && first->name[i] > ' ' && first->name[i] <= '~'; i++)
		;
	if (!i || i < j->str.n)
		return err_set(j->e, ERR_USAGE, "\"name\" is no name of a step");
	return 0;
}

/* first->found stays false for null. */
static int get_first(struct jread *j, struct trace_difference *first)
{
	double v[FIRST];

	if (jread_peek(j) == 'n')
		return jread_skip(j);
	if (jread_object(j) || get_name(j, first) || get_bool(j, "kept", &first->kept) ||
		get_bool(j, "whole", &first->whole) || key(j, "numbers") ||
		get_numbers(j, v, FIRST, 0))
		return -1;
	if (!within(v[0], -1, UINT32_MAX) || !within(v[1], 0, UINT32_MAX) ||
		!within(v[2], 0, UINT32_MAX) || !within(v[5], 0, 9e15) || !within(v[6], 0, v[5]))
		return err_set(j->e, ERR_USAGE, "the step that differs has no such value");
	first->token = (int64_t)v[0];
	first->row = (uint32_t)v[1];
	first->col = (uint32_t)v[2];
	first->was = v[3];
	first->is = v[4];
	first->n = (uint64_t)v[5];
	first->differ = (uint64_t)v[6];
	first->found = true;
	return jread_key(j) ? err_set(j->e, ERR_USAGE, "more than there is") : 0;
}

/* --- lines --- */

static int head(struct results *r, struct jread *j)
{
	if (jread_object(j) || key(j, "format") || jread_string(j, 64))
		return -1;
	if (strcmp(j->str.s, FORMAT_RESULTS) != 0)
		return err_set(j->e, ERR_USAGE,
			"no results of this version of this program; name another file, or remove it");
	if (key(j, "run") || jread_string(j, 64))
		return -1;
	if (strcmp(j->str.s, r->run) != 0)
		return err_set(j->e, ERR_USAGE,
			"results of another call: other models, tokens or options; name another file, or remove it");
	if (jread_key(j))
		return err_set(j->e, ERR_USAGE, "more than there is");
	return jread_end(j, false);
}

static int prompt(struct results *r, struct jread *j, uint32_t rows, bool noise,
	struct sample sum[2])
{
	struct trace_difference first = { 0 };
	struct sample s[2] = { 0 };
	uint64_t no;
	int rc, i;

	rc = sample_open(&s[0], r->layers, rows, j->e) || sample_open(&s[1], r->layers, rows, j->e)
		? -1
		: 0;
	rc = rc || jread_object(j) || key(j, "prompt") || jread_u64(j, UINT32_MAX, &no) ? -1 : 0;
	if (!rc && no != r->n)
		rc = err_set(j->e, ERR_USAGE, "prompt %llu where %zu is wanted",
			(unsigned long long)no, r->n);
	rc = rc || key(j, "converted") || get_sample(j, &s[0], r->layers, rows) ||
			key(j, "noise") ||
			(noise ? get_sample(j, &s[1], r->layers, rows) : jread_skip(j)) ||
			key(j, "first") || get_first(j, &first) || key(j, "xxh3_128") ||
			jread_string(j, 32)
		? -1
		: 0;
	if (!rc && jread_key(j))
		rc = err_set(j->e, ERR_USAGE, "more than there is");
	rc = rc ? rc : jread_end(j, false);
	for (i = 0; !rc && i <= noise; i++)
		rc = sample_add(&sum[i], &s[i], r->layers, j->e);
	sample_close(&s[0]);
	sample_close(&s[1]);
	if (!rc && first.found && !r->first.found)
		r->first = first;
	r->n += !rc;
	return rc;
}

/* Bytes from at to the end of the line, without it; *whole: there is one. A line longer than most is refused. */
static int span(struct results *r, uint64_t size, uint64_t most, uint64_t *n, bool *whole,
	struct err *e)
{
	char *win = malloc(WINDOW), *nl = NULL;
	uint64_t at = r->at;
	size_t take = 0;
	int rc = win ? 0 : err_nomem(e);

	for (; !rc && !nl && at < size; at += take) {
		if (at - r->at > most)
			rc = err_set(e, ERR_USAGE, "a line is longer than results can be");
		take = size - at < WINDOW ? (size_t)(size - at) : WINDOW;
		rc = rc ? rc : file_read(r->io, r->fd, win, take, at, e);
		nl = rc ? NULL : memchr(win, '\n', take);
		if (nl) {
			*n = at + (uint64_t)(nl - win) - r->at;
			break;
		}
	}
	*whole = nl != NULL;
	free(win);
	return rc;
}

/* The first line, without its end. */
static void put_head(const struct results *r, struct text *t)
{
	struct jwrite o;

	jwrite_begin(&o, t, 0);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "format", FORMAT_RESULTS);
	jwrite_str(&o, "run", r->run);
	jwrite_close(&o, '}');
}

/* Whether a file of size bytes without any line is the beginning of results, so that nothing is lost with it. */
static bool cut_head(const struct results *r, uint64_t size)
{
	struct text t = { 0 };
	char *has = NULL;
	bool is;

	put_head(r, &t);
	is = !t.failed && size <= t.n && (has = malloc((size_t)size + 1)) != NULL &&
		!file_read(r->io, r->fd, has, (size_t)size, 0, &(struct err){ 0 }) &&
		!memcmp(has, t.s, (size_t)size);
	free(has);
	text_free(&t);
	return is;
}

static int read_all(struct results *r, uint64_t size, const uint32_t *rows, size_t prompts,
	bool noise, struct sample sum[2], struct err *e)
{
	size_t line = 0;
	struct jread j;
	uint64_t n, most;
	bool whole;
	int rc = 0;

	for (; !rc && r->at < size; line++) {
		most = LINE_HEAD +
			(line && line <= prompts ? (uint64_t)rows[line - 1] * 2 * PER_ROW +
						(uint64_t)r->layers * 2 * PER_LAYER + 4096
						 : 0);
		if (span(r, size, most, &n, &whole, e))
			return err_at(e, "line %zu", line + 1);
		if (!whole && !line && !cut_head(r, size))
			return err_set(e, ERR_USAGE, "line 1: no results of this program");
		if (!whole)
			break;
		if (line > prompts)
			return err_set(e, ERR_USAGE, "line %zu: more prompts than there are",
				line + 1);
		if (line && line_seal_holds(r->io, r->fd, r->at, n, r->run, e))
			return err_at(e, "line %zu", line + 1);
		if (jread_open_file(&j, r->io, r->fd, r->at, n, 8, e))
			return -1;
		rc = line ? prompt(r, &j, rows[line - 1], noise, sum) : head(r, &j);
		jread_close(&j);
		r->at += n + 1;
		/* What JSON calls damage is no verdict on the models: the call was given a wrong file. */
		if (rc && e->kind == ERR_DATA)
			e->kind = ERR_USAGE;
		if (rc)
			err_at(e, "line %zu", line + 1);
	}
	return rc;
}

static int append(struct results *r, struct text *t, struct err *e)
{
	int rc;

	if (t->failed)
		return err_nomem(e);
	rc = file_write(r->io, r->fd, t->s, t->n, r->at, e);
	if (!rc && r->io->fsync(r->io, r->fd))
		rc = err_sys(e, "the results cannot be synced");
	r->at += t->n;
	return rc;
}

static int begin(struct results *r, struct err *e)
{
	struct text t = { 0 };
	int rc;

	put_head(r, &t);
	rc = append(r, &t, e);
	text_free(&t);
	return rc;
}

/* What is left of a line that was cut is taken away with the file: the lines before it are written to a new one. */
static int trim(struct results *r, int dir, const char *name, struct err *e)
{
	struct text t = { 0 };
	char win[4096];
	uint64_t at;
	size_t take;
	int rc = 0;

	for (at = 0; !rc && at < r->at; at += take) {
		take = r->at - at < sizeof win ? (size_t)(r->at - at) : sizeof win;
		rc = file_read(r->io, r->fd, win, take, at, e);
		text_put(&t, win, take);
	}
	if (!rc && t.failed)
		rc = err_nomem(e);
	(void)r->io->close(r->io, r->fd); /* nothing was written to it */
	r->fd = -1;
	rc = rc ? rc : file_replace(r->io, dir, name, t.s ? t.s : "", t.n, e);
	text_free(&t);
	if (!rc && (r->fd = r->io->open(r->io, dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0)) < 0)
		rc = err_sys(e, "it cannot be opened");
	return rc;
}

static int open_in(struct results *r, int dir, const char *name, const uint32_t *rows,
	size_t prompts, bool noise, struct sample sum[2], struct err *e)
{
	struct stat st;

	r->fd = r->io->open(r->io, dir, name,
		O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0666);
	if (r->fd < 0 || r->io->fstat(r->io, r->fd, &st))
		return err_sys(e, "it cannot be opened");
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_USAGE, "it is no regular file");
	if (r->io->lock(r->io, r->fd) && errno == EWOULDBLOCK)
		return err_set(e, ERR_USAGE, "another call is writing to it");
	if (read_all(r, (uint64_t)st.st_size, rows, prompts, noise, sum, e))
		return -1;
	if (r->at < (uint64_t)st.st_size && trim(r, dir, name, e))
		return -1;
	return r->at ? 0 : begin(r, e);
}

int results_open(struct results *r, const char *path, const uint32_t *rows, size_t prompts,
	bool noise, struct sample sum[2], struct err *e)
{
	const char *name;
	int dir, rc;

	r->fd = -1;
	r->at = 0;
	r->n = 0;
	r->first = (struct trace_difference){ 0 };
	if (!path)
		return 0;
	if (file_open_above(r->io, path, &dir, &name, e))
		return -1;
	rc = open_in(r, dir, name, rows, prompts, noise, sum, e);
	(void)r->io->close(r->io, dir); /* a folder has nothing to flush */
	if (!rc)
		return 0;
	err_at(e, "%s", text_quote(path).s);
	(void)results_close(r, &(struct err){ 0 }); /* there is a report already */
	return -1;
}

int results_put(struct results *r, const struct sample *is, const struct sample *noise,
	const struct trace_difference *first, struct err *e)
{
	struct text t = { 0 };
	struct jwrite o;
	int rc;

	if (r->fd < 0)
		return 0;
	jwrite_begin(&o, &t, 0);
	jwrite_open(&o, NULL, '{');
	jwrite_u64(&o, "prompt", r->n++);
	put_sample(&o, "converted", is, r->layers);
	if (noise)
		put_sample(&o, "noise", noise, r->layers);
	else
		jwrite_null(&o, "noise");
	put_first(&o, "first", first);
	rc = line_seal_put(r->run, &o, &t, e) || append(r, &t, e) ? -1 : 0;
	text_free(&t);
	return rc;
}

int results_close(struct results *r, struct err *e)
{
	int fd = r->fd;

	r->fd = -1;
	return fd >= 0 && r->io->close(r->io, fd) ? err_sys(e, "the results cannot be closed") : 0;
}
