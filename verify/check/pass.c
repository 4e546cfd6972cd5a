/* SPDX-License-Identifier: MIT */
#include "verify/check/pass.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/par.h"
#include "core/hash/sha256.h"
#include "formats/conversion/manifest.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 64 << 10 }; /* of 8 files together: half a MiB, which stays in a core's cache */

struct shared {
	struct pass_job **order; /* owns; largest first */
	size_t n;
	const struct pass_opts *o;
	unsigned lanes; /* of each thread */
	struct sha256_kit kit;
	pthread_mutex_t lock; /* guards next */
	size_t next;
};

/* One file on its way. */
struct lane {
	struct pass_job *j; /* NULL: idle */
	int fd;
	bool owns_fd;
	uint64_t at;
	size_t n; /* bytes in buf, which begin at byte at */
	uint8_t *buf;
	struct sha256 sha;
	struct xxh *chunk, *span;
	size_t span_i;
};

static uint64_t chunks_of(const struct pass_job *j)
{
	return mem_ceil_div(j->bytes, MAN_CHUNK);
}

bool pass_samples(const struct pass_job *j, uint64_t i, uint64_t n)
{
	return i == 0 || i + 1 == n || i == 1 + j->seed % (n - 1);
}

uint64_t pass_bytes(const struct pass_job *jobs, size_t n)
{
	uint64_t sum = 0, i, chunks;
	const struct pass_job *j;

	for (j = jobs; j < jobs + n; j++) {
		chunks = chunks_of(j);
		if (!j->sampled)
			sum += j->bytes;
		for (i = 0; j->sampled && i < chunks; i++)
			if (pass_samples(j, i, chunks))
				sum += i + 1 < chunks ? MAN_CHUNK : j->bytes - i * MAN_CHUNK;
	}
	return sum;
}

/* --- digests of a piece --- */

static void add_chunks(struct lane *l)
{
	struct pass_job *j = l->j;
	uint64_t i = l->at / MAN_CHUNK, end = l->at + l->n;

	xxh_chunks(l->chunk, j->bytes, MAN_CHUNK, l->at, l->buf, l->n, j->got);
	for (; i * MAN_CHUNK < end && ((i + 1) * MAN_CHUNK <= end || end == j->bytes); i++) {
		j->looked[i] = 1;
		if (memcmp(&j->got[i], &j->chunks[i], sizeof *j->chunks)) {
			j->looked[i] = 2;
			j->n_bad++;
		}
	}
}

static void add_spans(struct lane *l)
{
	const struct pass_span *s;
	struct xxh_digest d;
	uint64_t from, to, end = l->at + l->n;

	for (; l->span_i < l->j->n_spans; l->span_i++) {
		s = &l->j->spans[l->span_i];
		from = s->begin > l->at ? s->begin : l->at;
		to = s->end < end ? s->end : end;
		if (from < to)
			xxh_update(l->span, l->buf + (from - l->at), (size_t)(to - from));
		if (s->end > end)
			return;
		d = xxh_final(l->span);
		xxh_reset(l->span);
		l->j->bad_span[l->span_i] = memcmp(&d, &s->xxh, sizeof d) != 0;
	}
}

/* --- a file --- */

static int open_file(struct lane *l, const struct io *io, struct err *e)
{
	struct stat st;
	int dir, rc;

	l->owns_fd = l->j->fd < 0;
	l->fd = l->j->fd;
	if (!l->owns_fd)
		return 0;
	if (file_open_below(io, l->j->dir, l->j->folder, &dir, e))
		return -1;
	rc = file_open(io, dir, l->j->name, &l->fd, &st, e);
	(void)io->close(io, dir); /* a folder has nothing to flush */
	return rc;
}

static void end_file(struct lane *l, const struct io *io)
{
	if (l->owns_fd && l->fd >= 0)
		(void)io->close(io, l->fd); /* read only */
	sha256_free(&l->sha);
	l->j = NULL;
	l->fd = -1;
}

/* What is wrong with the file itself goes to its job. -1 only without memory. */
static int begin_file(struct lane *l, struct pass_job *j, const struct shared *s, struct err *e)
{
	size_t chunks = j->chunks ? (size_t)chunks_of(j) : 0;

	l->j = j;
	l->fd = -1;
	l->owns_fd = false;
	l->at = 0;
	l->span_i = 0;
	memset(&l->sha, 0, sizeof l->sha);
	xxh_reset(l->chunk);
	xxh_reset(l->span);
	j->got = calloc(chunks + 1, sizeof *j->got);
	j->looked = calloc(chunks + 1, 1);
	j->bad_span = calloc(j->n_spans + 1, 1);
	if (!j->got || !j->looked || !j->bad_span)
		return err_nomem(e);
	if (j->sha && !j->sampled && sha256_init(&l->sha, &s->kit, e))
		return -1;
	if (open_file(l, s->o->io, &j->err))
		end_file(l, s->o->io);
	return 0;
}

/* Steps over chunks that are not sampled. */
static void step_over(struct lane *l)
{
	uint64_t n = chunks_of(l->j);

	while (l->j->sampled && l->at < l->j->bytes && l->at % MAN_CHUNK == 0 &&
		!pass_samples(l->j, l->at / MAN_CHUNK, n))
		l->at += MAN_CHUNK;
}

static void next_piece(struct lane *l, const struct shared *s)
{
	uint64_t left;

	step_over(l);
	left = l->j->bytes - l->at;
	l->n = left < PIECE ? (size_t)left : PIECE;
	if (file_read(s->o->io, l->fd, l->buf, l->n, l->at, &l->j->err)) {
		end_file(l, s->o->io);
		return;
	}
	l->j->read += l->n;
	if (l->j->chunks)
		add_chunks(l);
	if (!l->j->sampled)
		add_spans(l);
}

static int add_sha(struct lane *lanes, unsigned n, struct err *e)
{
	struct sha256_piece pieces[SHA256_LANES];
	unsigned i, m = 0;

	for (i = 0; i < n; i++)
		if (lanes[i].j && lanes[i].sha.kit)
			pieces[m++] =
				(struct sha256_piece){ &lanes[i].sha, lanes[i].buf, lanes[i].n };
	return sha256_pieces(pieces, m, e);
}

static int advance(struct lane *l, const struct shared *s, struct err *e)
{
	progress_add(s->o->progress, l->n);
	l->at += l->n;
	step_over(l);
	if (l->at < l->j->bytes)
		return 0;
	if (l->sha.kit && sha256_final(&l->sha, l->j->sha256, e))
		return -1;
	end_file(l, s->o->io);
	return 0;
}

static struct pass_job *take(struct shared *s)
{
	struct pass_job *j = NULL;

	pthread_mutex_lock(&s->lock);
	if (s->next < s->n)
		j = s->order[s->next++];
	pthread_mutex_unlock(&s->lock);
	return j;
}

/* Gives idle lanes something to do. False when there is nothing any more. */
static int fill(struct lane *lanes, struct shared *s, bool *busy, struct err *e)
{
	struct pass_job *j;
	unsigned i;

	*busy = false;
	for (i = 0; i < s->lanes; i++) {
		while (!lanes[i].j && (j = take(s)))
			if (begin_file(&lanes[i], j, s, e))
				return -1;
		*busy = *busy || lanes[i].j;
	}
	return 0;
}

static int work_on(struct par *p, struct lane *lanes, struct shared *s, struct err *e)
{
	unsigned i;
	bool busy;

	while (!par_stopping(p)) {
		if (fill(lanes, s, &busy, e))
			return -1;
		if (!busy)
			return 0;
		for (i = 0; i < s->lanes; i++)
			if (lanes[i].j)
				next_piece(&lanes[i], s);
		if (add_sha(lanes, s->lanes, e))
			return -1;
		for (i = 0; i < s->lanes; i++)
			if (lanes[i].j && advance(&lanes[i], s, e))
				return -1;
	}
	return 0;
}

static int work(struct par *p, unsigned me, struct err *e)
{
	struct shared *s = par_ctx(p);
	struct lane lanes[SHA256_LANES] = { { .j = NULL } };
	unsigned i;
	int rc = 0;

	(void)me;
	for (i = 0; i < s->lanes; i++) {
		lanes[i].fd = -1;
		lanes[i].buf = malloc(PIECE);
		lanes[i].chunk = xxh_new();
		lanes[i].span = xxh_new();
		if (!lanes[i].buf || !lanes[i].chunk || !lanes[i].span)
			rc = err_nomem(e);
	}
	rc = rc ? rc : work_on(p, lanes, s, e);
	for (i = 0; i < s->lanes; i++) {
		if (lanes[i].j)
			end_file(&lanes[i], s->o->io);
		free(lanes[i].buf);
		xxh_free(lanes[i].chunk);
		xxh_free(lanes[i].span);
	}
	return rc;
}

/* --- */

static int larger_first(const void *a, const void *b)
{
	const struct pass_job *x = *(struct pass_job *const *)a, *y = *(struct pass_job *const *)b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return (x > y) - (x < y);
}

int pass_run(struct pass_job *jobs, size_t n, const struct pass_opts *o, struct err *e)
{
	struct shared s = { .n = n, .o = o, .lock = PTHREAD_MUTEX_INITIALIZER };
	unsigned threads = o->threads ? o->threads : 1;
	uint64_t each, room;
	size_t i;
	int rc;

	if (!n)
		return 0;
	s.order = malloc(n * sizeof *s.order);
	if (!s.order)
		return err_nomem(e);
	for (i = 0; i < n; i++)
		s.order[i] = &jobs[i];
	qsort(s.order, n, sizeof *s.order, larger_first);
	threads = threads < n ? threads : (unsigned)n;
	each = mem_ceil_div(n, threads);
	room = o->max_memory / threads / PIECE;
	each = each < room ? each : room;
	s.lanes = each > SHA256_LANES ? SHA256_LANES : each ? (unsigned)each : 1;
	sha256_kit_best(&s.kit, o->features);
	rc = par_run(threads, work, &s, e);
	pthread_mutex_destroy(&s.lock);
	free(s.order);
	return rc;
}

void pass_free(struct pass_job *jobs, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		free(jobs[i].got);
		free(jobs[i].looked);
		free(jobs[i].bad_span);
		jobs[i].got = NULL;
		jobs[i].looked = jobs[i].bad_span = NULL;
	}
}
