/* SPDX-License-Identifier: MIT */
#include "quant/cli/score.h"

#include "core/cpu.h"
#include "core/file.h"
#include "core/hash/xxh.h"
#include "formats/format_id.h"
#include "formats/json/jwrite.h"
#include "formats/model/changed.h"
#include "formats/model/model_id.h"
#include "quant/cli/measure.h"
#include "quant/cli/score_types.h"
#include "quant/lowbit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bands of a thread between two syncs: few enough that a kill costs minutes, enough that threads seldom wait for one
 * another. */
enum { BANDS = 16, COPY = 1 << 18, MEMORY = 128 << 20 };

struct scoring {
	const struct score_opts *o;
	const struct io *io;
	struct job job;
	struct units units;
	struct score_head head;
	struct imatrix imatrix; /* open where has_imatrix */
	bool has_imatrix;
	const struct imatrix_tensor **importance; /* owns; [units.n] */
	struct measuring with;
	char run[33];
	struct text head_line;
	int dir, part;    /* folder of OUT; OUT.partial */
	const char *name; /* of OUT, in dir */
	char part_name[256];
	uint64_t head_at,
		at;    /* in OUT.partial: the first line of the score, the end of what is done */
	uint64_t done; /* matrices */
};

/* A matrix among all: unit and number in it. */
struct place {
	size_t unit;
	uint32_t mat;
};

static struct place place_of(const struct scoring *s, uint64_t nth)
{
	struct place p = { 0, 0 };

	while (nth >= s->units.v[p.unit].mats)
		nth -= s->units.v[p.unit++].mats;
	p.mat = (uint32_t)nth;
	return p;
}

static void step(const struct scoring *s, struct place *p)
{
	if (++p->mat == s->units.v[p->unit].mats) {
		p->unit++;
		p->mat = 0;
	}
}

/* --- what is measured --- */

static int look(void *ctx, const struct job *j, const struct audit *a, struct err *e)
{
	struct scoring *s = ctx;

	return units_find(&s->units, j, a, e) || model_id(a, s->head.source, e) ? -1 : 0;
}

static int open_model(struct scoring *s, const char *folder, struct err *e)
{
	const struct job_look see = { look, s };
	struct job_opts o = s->o->job;
	size_t i;

	o.plan.target = "gguf";
	o.plan.back = false; /* what the way back needs is of no unit */
	o.use = USE_SCORE;
	o.of_source = true;
	o.look = &see;
	if (job_open(&s->job, s->io, folder, &o, e))
		return -1;
	for (i = 0; i < s->units.n; i++)
		s->head.matrices += s->units.v[i].mats;
	return 0;
}

/* Finds the importance of each unit in the file. */
static int bind_importance(struct scoring *s, struct err *e)
{
	const struct imatrix_tensor *t;
	const struct unit *u;
	size_t i, n = 0;

	s->importance = calloc(s->units.n + 1, sizeof *s->importance);
	if (!s->importance)
		return err_nomem(e);
	for (i = 0; s->has_imatrix && i < s->units.n; i++) {
		u = &s->units.v[i];
		t = u->beside ? NULL : imatrix_find(&s->imatrix, u->tensor);
		if (t && (t->cols != u->cols || t->mats != u->mats))
			return err_rule(e, RULE_SCORE_OTHER, ERR_NOPOS,
				"--imatrix is of another model: %s has %llu matrices of %llu columns there, %u of %llu here",
				text_quote(u->tensor).s, (unsigned long long)t->mats,
				(unsigned long long)t->cols, u->mats, (unsigned long long)u->cols);
		s->importance[i] = t;
		n += t != NULL;
	}
	return s->has_imatrix && !n
		? err_rule(e, RULE_SCORE_OTHER, ERR_NOPOS,
			  "--imatrix has the columns of no matrix of this model: it is of another one")
		: 0;
}

static int open_imatrix(struct scoring *s, struct err *e)
{
	if (!s->o->imatrix)
		return 0;
	if (imatrix_open(&s->imatrix, s->io, s->o->imatrix, e))
		return err_of_call(e, "--imatrix");
	s->has_imatrix = true;
	return imatrix_digest(&s->imatrix, s->head.imatrix, e) ? err_of_call(e, "--imatrix") : 0;
}

/* Threads, as many as memory allows. */
static void settle(struct scoring *s)
{
	unsigned threads = s->o->threads ? s->o->threads : cpu_count();
	uint64_t cols = 0, need;
	size_t i;

	for (i = 0; i < s->units.n; i++)
		cols = s->units.v[i].cols > cols ? s->units.v[i].cols : cols;
	need = measure_need(&s->job.c, cols);
	while (threads > 1 && threads * need > MEMORY)
		threads--;
	s->with = (struct measuring){ .c = &s->job.c,
		.imatrix = s->has_imatrix ? &s->imatrix : NULL,
		.types = s->head.types,
		.n_types = s->head.n_types,
		.features = s->o->features,
		.threads = threads,
		.stop = s->o->stop };
}

/* --- lines --- */

/* What the line of a matrix says but for what is measured. */
static int describe(const struct scoring *s, struct place p, struct score_row *r, struct err *e)
{
	const struct unit *u = &s->units.v[p.unit];
	const struct imatrix_tensor *t = s->importance[p.unit];

	memset(r, 0, sizeof *r);
	snprintf(r->tensor, sizeof r->tensor, "%s", u->tensor);
	snprintf(r->role, sizeof r->role, "%s", u->role);
	snprintf(r->block, sizeof r->block, "%s", u->block);
	snprintf(r->codec, sizeof r->codec, "%s", codecs[u->from].name);
	r->expert = u->experts ? (int64_t)p.mat : -1;
	r->rows = u->rows;
	r->cols = u->cols;
	r->weighted = t != NULL;
	r->tokens = -1;
	return t ? imatrix_count(&s->imatrix, t, p.mat, &r->tokens, e) : 0;
}

static void add_type(struct score_row *r, uint32_t type, double error)
{
	r->v[r->n++] = (struct score_type){ type, r->rows * ggml_row_bytes(type, r->cols), error };
}

/* Adds the bands of a matrix up, and appends its line. */
static int put_matrix(const struct scoring *s, struct place p, const struct band *v, size_t n,
	struct text *t, struct err *e)
{
	const struct unit *u = &s->units.v[p.unit];
	double error[SCORE_TYPES] = { 0 }, scale;
	bool cannot[SCORE_TYPES] = { false };
	struct score_row r;
	size_t i, k;

	if (describe(s, p, &r, e))
		return -1;
	for (i = 0; i < n; i++) {
		r.measured += v[i].rows;
		r.energy += v[i].energy;
		for (k = 0; k < s->head.n_types; k++) {
			error[k] += v[i].error[k];
			cannot[k] = cannot[k] || v[i].cannot[k];
		}
	}
	scale = (double)r.rows / (double)r.measured;
	r.energy *= scale;
	add_type(&r, u->exact, 0);
	for (k = 0; k < s->head.n_types; k++)
		if (s->head.types[k] != u->exact && !cannot[k] && unit_takes(u, s->head.types[k]))
			add_type(&r, s->head.types[k], error[k] * scale);
	return score_put_row(t, &r, s->run, e);
}

/* --- OUT.partial --- */

/* Its first line: what the lines below it are of, times of the source's files included. */
static int part_line(const struct scoring *s, struct text *t, struct err *e)
{
	const struct ckpt *c = &s->job.c;
	struct text of = { 0 };
	struct xxh_digest d;
	struct jwrite o;
	size_t i;

	text_put(&of, s->head_line.s, s->head_line.n);
	for (i = 0; i < c->n_shards; i++)
		text_fmt(&of, "%s %lld %lld %ld\n", c->shards[i].name,
			(long long)c->shards[i].st.st_size,
			(long long)c->shards[i].st.st_mtim.tv_sec, c->shards[i].st.st_mtim.tv_nsec);
	if (of.failed) {
		text_free(&of);
		return err_nomem(e);
	}
	d = xxh_of(of.s, of.n);
	text_free(&of);
	jwrite_begin(&o, t, 0);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "format", FORMAT_SCORE_PART);
	jwrite_hex(&o, "call", d.b, sizeof d.b);
	jwrite_close(&o, '}');
	while (t->n && t->s[t->n - 1] == '\n')
		t->n--;
	text_str(t, "\n");
	return t->failed ? err_nomem(e) : 0;
}

static bool is_part(const struct io *io, int fd, uint64_t size)
{
	static const char begins[] = "{\"format\": \"" FORMAT_SCORE_PART "\"";

	return dest_begins(io, fd, size, begins, sizeof begins - 1);
}

/* Counts the matrices that are done: lines that hold, of the matrices that come first. What follows is made anew. */
static int take_up(struct scoring *s, uint64_t size, struct err *e)
{
	struct err not = { 0 };
	struct score_row is, want;
	struct score_in in;
	struct place p = { 0, 0 };

	if (score_open_part(&in, s->io, s->part, s->head_at, size, &not ))
		return 0;
	s->at = in.at;
	while (s->done < s->head.matrices && score_next(&in, &is, &not ) == 1) {
		if (describe(s, p, &want, e))
			break;
		if (strcmp(is.tensor, want.tensor) != 0 || is.expert != want.expert ||
			is.rows != want.rows || is.cols != want.cols)
			break;
		s->at = in.at;
		s->done++;
		step(s, &p);
	}
	free(in.text); /* the file is not its */
	return e->kind == ERR_NONE ? 0 : -1;
}

static int append(struct scoring *s, const struct text *t, struct err *e)
{
	if (file_write(s->io, s->part, t->s, t->n, s->at, e))
		return -1;
	s->at += t->n;
	return s->io->fsync(s->io, s->part)
		? err_sys(e, "%s cannot be synced", text_quote(s->part_name).s)
		: 0;
}

/* Returns whether OUT.partial begins with the lines in t; false too where it cannot be read. */
static bool begins_so(const struct scoring *s, const struct text *t, uint64_t size)
{
	char *is = malloc(t->n);
	bool same = is && size >= t->n &&
		!file_read(s->io, s->part, is, t->n, 0, &(struct err){ 0 }) &&
		!memcmp(is, t->s, t->n);

	free(is);
	return same;
}

static int open_part(struct scoring *s, struct err *e)
{
	struct text t = { 0 };
	struct stat st;
	int rc;

	s->part = s->io->open(s->io, s->dir, s->part_name,
		O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0666);
	if (s->part < 0 || s->io->fstat(s->io, s->part, &st))
		return err_sys(e, "%s cannot be opened", text_quote(s->part_name).s);
	if (!S_ISREG(st.st_mode) || (st.st_size && !is_part(s->io, s->part, (uint64_t)st.st_size)))
		return err_rule(e, RULE_OUT_FILE, ERR_NOPOS,
			"%s is there already, and is no unfinished file of dsv4-quant score",
			text_quote(s->part_name).s);
	if (s->io->lock(s->io, s->part) && errno == EWOULDBLOCK)
		return err_set(e, ERR_USAGE, "another call is writing to %s",
			text_quote(s->part_name).s);
	rc = part_line(s, &t, e);
	s->head_at = t.n;
	s->at = 0;
	text_put(&t, s->head_line.s, s->head_line.n);
	rc = rc ? rc : t.failed ? err_nomem(e) : 0;
	if (!rc && begins_so(s, &t, (uint64_t)st.st_size))
		rc = take_up(s, (uint64_t)st.st_size, e);
	if (!rc && !s->at)
		rc = append(s, &t, e);
	text_free(&t);
	return rc;
}

/* --- the pass --- */

/* Lays out the bands of a matrix at v, where there is room for all; returns how many. v NULL: only counts. */
static size_t bands_of(const struct scoring *s, struct place p, struct band *v)
{
	const struct unit *u = &s->units.v[p.unit];
	uint64_t rows = MEASURE_ROWS * s->o->every, at;
	size_t n = 0;

	for (at = 0; at < u->rows; at += rows, n++)
		if (v)
			v[n] = (struct band){ .unit = u,
				.importance = s->importance[p.unit],
				.mat = p.mat,
				.row = at,
				.rows = u->rows - at < MEASURE_ROWS ? u->rows - at : MEASURE_ROWS };
	return n;
}

/* Measures the next matrices, and adds their lines. */
static int batch(struct scoring *s, struct err *e)
{
	struct place first = place_of(s, s->done), p;
	struct text t = { 0 };
	struct band *v;
	size_t bands = 0, n;
	uint64_t end;
	int rc;

	for (p = first, end = s->done;
		end < s->head.matrices && bands < (size_t)BANDS * s->with.threads;
		end++, step(s, &p))
		bands += bands_of(s, p, NULL);
	v = malloc((bands + 1) * sizeof *v);
	if (!v)
		return err_nomem(e);
	for (p = first, n = 0; n < bands; step(s, &p))
		n += bands_of(s, p, v + n);
	rc = measure_bands(&s->with, v, bands, e);
	for (p = first, n = 0; !rc && n < bands; n += bands_of(s, p, NULL), step(s, &p))
		rc = put_matrix(s, p, v + n, bands_of(s, p, NULL), &t, e);
	free(v);
	rc = rc ? rc : append(s, &t, e);
	text_free(&t);
	s->done = rc ? s->done : end;
	return rc;
}

/* Bytes of the source that are still to be read. */
static uint64_t to_read(const struct scoring *s)
{
	struct place p = { 0, 0 };
	uint64_t nth, bytes = 0;
	const struct tensor *t;

	for (nth = 0; nth < s->head.matrices; nth++, step(s, &p)) {
		t = &s->job.c.tensors[s->units.v[p.unit].src[2 * (size_t)p.mat]];
		bytes += nth < s->done ? 0 : (t->end - t->begin) / s->o->every;
	}
	return bytes;
}

static int copy(const struct scoring *s, struct file_out *f, struct err *e)
{
	char *win = malloc(COPY);
	uint64_t at, take;
	int rc = win ? 0 : err_nomem(e);

	for (at = s->head_at; !rc && at < s->at; at += take) {
		take = s->at - at < COPY ? s->at - at : COPY;
		rc = file_read(s->io, s->part, win, (size_t)take, at, e) ||
				file_write(s->io, f->fd, win, (size_t)take, at - s->head_at, e)
			? -1
			: 0;
	}
	free(win);
	return rc;
}

/* Writes OUT of what OUT.partial has, and removes that. */
static int assemble(struct scoring *s, struct err *e)
{
	struct file_out f = { 0 };
	struct text end = { 0 };
	uint64_t n = s->at - s->head_at;
	int rc = score_put_end(&end, s->head.matrices, s->run, e);

	rc = rc ? rc : file_out_begin(&f, s->io, s->dir, s->name, n + end.n, e);
	rc = rc ? rc : copy(s, &f, e);
	rc = rc ? rc : file_write(s->io, f.fd, end.s, end.n, n, e);
	rc = rc ? rc : file_out_close(&f, e);
	rc = rc ? rc : dest_may(s->io, s->dir, s->name, &score_kind, e);
	rc = rc ? rc : file_out_replace(&f, e);
	file_out_abandon(&f); /* nothing is left of one that was published */
	text_free(&end);
	return rc ? rc : file_remove(s->io, s->dir, s->part_name, e);
}

static int measure(struct scoring *s, struct score_done *d, struct err *e)
{
	int rc = 0;

	if (snprintf(s->part_name, sizeof s->part_name, "%s.partial", s->name) >=
		(int)sizeof s->part_name)
		return err_set(e, ERR_USAGE, "%s: the name is too long", text_quote(s->name).s);
	if (score_put_head(&s->head_line, &s->head, s->run, e) || open_part(s, e))
		return -1;
	d->matrices = s->head.matrices;
	d->before = s->done;
	d->weighted = s->has_imatrix;
	s->with.progress = progress_start(s->o->watch, "measuring", to_read(s));
	while (!rc && s->done < s->head.matrices)
		rc = batch(s, e);
	progress_stop(s->with.progress);
	if (!rc)
		rc = ckpt_unchanged(&s->job.c, e);
	return rc ? rc : assemble(s, e);
}

/* Holds the name of OUT to what a file may be made in place of, before anything is read. */
static int may_write(const struct scoring *s, struct err *e)
{
	struct stat st;

	if (!s->io->lstat(s->io, s->dir, s->name, &st) && S_ISDIR(st.st_mode))
		return err_set(e, ERR_USAGE, "%s is a folder, not a file", text_quote(s->o->out).s);
	if (dest_may(s->io, s->dir, s->name, &score_kind, e))
		return -1;
	return file_try(s->io, s->dir, s->name, e);
}

static void close_all(struct scoring *s)
{
	if (s->part >= 0)
		(void)s->io->close(s->io, s->part); /* it was synced */
	text_free(&s->head_line);
	free(s->importance);
	units_free(&s->units);
	job_close(&s->job);
	if (s->has_imatrix)
		imatrix_close(&s->imatrix);
	(void)s->io->close(s->io, s->dir); /* a file in it was synced with it */
}

int score_run(const char *folder, const struct score_opts *o, struct score_done *d, struct err *e)
{
	struct scoring s = { .o = o, .io = o->io, .part = -1 };
	int rc;

	memset(d, 0, sizeof *d);
	s.head.every = o->every;
	snprintf(s.head.encoders, sizeof s.head.encoders, "%s", LOWBIT_ID);
	if (score_types_read(o->types, s.head.types, &s.head.n_types, e) ||
		file_open_above(s.io, o->out, &s.dir, &s.name, e))
		return -1;
	rc = may_write(&s, e) || open_imatrix(&s, e) || open_model(&s, folder, e) ||
			bind_importance(&s, e)
		? -1
		: 0;
	if (!rc) {
		settle(&s);
		rc = measure(&s, d, e);
	}
	close_all(&s);
	return rc;
}
