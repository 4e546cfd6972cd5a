/* SPDX-License-Identifier: MIT */
#include "convert/follow/arriving.h"

#include "core/cpu.h"
#include "core/file.h"
#include "core/hash/sha256.h"
#include "core/hash/xxh.h"
#include "core/par.h"
#include "formats/blob.h"
#include "formats/st/safetensors.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	POINTER_CAP = 1024, /* bytes of a Git-LFS pointer, which has about 130 */
	AGAIN_MAX = 64      /* seconds */
};

/* --- one shard --- */

static struct link_dir links(const struct arriving *a)
{
	return (struct link_dir){ .io = a->io, .dir = a->dir, .follow = a->follow_links };
}

/* The name of a blob that the shard is a link to says what its SHA-256 is. */
static void take_blob(const struct arriving *a, struct coming *c)
{
	char text[LINK_PATH];
	ssize_t n = a->io->readlink(a->io, a->dir, c->name, text, sizeof text - 1);
	const char *hash;

	if (n < 0 || a->listed)
		return;
	text[n] = 0;
	hash = blob_of(text, 0);
	if (hash && blob_is_sha256(hash) && hex_to(hash, c->sha256, 32))
		c->known = true;
}

/* Whether something lies beside it that a download of it leaves until it ends. */
static bool has_part(const struct arriving *a, const char *name)
{
	char beside[LINK_NAME + 16];
	struct stat st;
	size_t i;

	for (i = 0; arriving_parts[i]; i++) {
		snprintf(beside, sizeof beside, "%s%s", name, arriving_parts[i]);
		if (!a->io->lstat(a->io, a->dir, beside, &st))
			return true;
	}
	return false;
}

/* Reads a pointer in place of the shard. */
static bool is_pointer(const struct arriving *a, struct coming *c, int fd)
{
	char text[POINTER_CAP + 1];
	uint8_t sha256[32];
	uint64_t bytes;

	if (c->st.st_size <= 0 || c->st.st_size > POINTER_CAP ||
		file_read(a->io, fd, text, (size_t)c->st.st_size, 0, NULL))
		return false;
	text[c->st.st_size] = 0;
	if (!sumlist_pointer(text, sha256, &bytes))
		return false;
	if (!a->listed)
		memcpy(c->sha256, sha256, 32);
	c->known = true;
	return true;
}

/* Whether the file has the size that its header says. */
static bool is_whole(const struct arriving *a, const struct coming *c, int fd)
{
	struct arena arena = { 0 };
	struct st_header h;
	bool yes = !st_read(&h, a->io, fd, (uint64_t)c->st.st_size, ST_HEADER_CAP, &arena, NULL);

	if (yes)
		st_free(&h);
	arena_free(&arena);
	return yes;
}

/* How far the open file is, whose stat is new. */
static enum arrival judge(const struct arriving *a, struct coming *c, int fd)
{
	if (is_pointer(a, c, fd))
		return ARRIVAL_POINTER;
	if (has_part(a, c->name) || !is_whole(a, c, fd))
		return ARRIVAL_GROWING;
	return ARRIVAL_WHOLE;
}

static int look(const struct arriving *a, struct coming *c, struct err *e)
{
	const struct link_dir d = links(a);
	char actual[LINK_PATH];
	const char *hash = NULL;
	struct err why = { 0 };
	bool there = false;
	struct stat st;
	int fd = -1;

	if (link_open(&d, c->name, &fd, &st, &there, actual, &hash, &why)) {
		if (why.rule == rules[RULE_FILE_SYMLINK].id ||
			why.rule == rules[RULE_FILE_NOT_REGULAR].id)
			return err_move(e, &why); /* no download makes a file of that */
		there = false;
	}
	if (!there) {
		c->is = ARRIVAL_ABSENT;
		return 0;
	}
	take_blob(a, c);
	if ((c->is != ARRIVAL_VERIFIED && c->is != ARRIVAL_FALSE) || !arriving_same(&st, &c->st)) {
		c->st = st;
		c->is = judge(a, c, fd);
	}
	(void)a->io->close(a->io, fd); /* read only */
	if (c->is == ARRIVAL_WHOLE && !c->known)
		return err_rule(e, RULE_FOLLOW_UNPUBLISHED, ERR_NOPOS,
			"%s: nobody says which SHA-256 it must have: --source-sha256 takes a list, or a folder of Git-LFS pointers",
			text_quote(c->name).s);
	return 0;
}

/* --- the folder --- */

/* Takes names, sizes and times of what lies in the folder at path into x. A folder that is not there says nothing. */
static void take_folder(struct arriving *a, const char *path, struct xxh *x)
{
	char *names, *s;
	struct stat st;
	size_t n;
	int dir;

	dir = a->io->open(a->io, a->dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (dir < 0)
		return;
	if (!a->io->list(a->io, dir, &names, &n)) {
		for (s = names; n--; s += strlen(s) + 1) {
			if (a->io->lstat(a->io, dir, s, &st))
				continue;
			xxh_update(x, s, strlen(s) + 1);
			xxh_update(x, &st.st_size, sizeof st.st_size);
			xxh_update(x, &st.st_mtim, sizeof st.st_mtim);
			a->in_progress = a->in_progress || arriving_is_part(s);
		}
		free(names);
	}
	(void)a->io->close(a->io, dir); /* a folder has nothing to flush */
}

/* A listed file that lies in the folder itself and is not there. */
static bool lacks_listed(const struct arriving *a)
{
	struct stat st;
	size_t i;

	for (i = 0; i < a->sums.n; i++)
		if (!strchr(a->sums.v[i].name, '/') &&
			a->io->lstat(a->io, a->dir, a->sums.v[i].name, &st))
			return true;
	return false;
}

static int look_at_folder(struct arriving *a, struct err *e)
{
	struct xxh *x = xxh_new();
	struct xxh_digest d;
	struct stat st;
	uint64_t print;

	if (!x)
		return err_nomem(e);
	a->in_progress = lacks_listed(a);
	take_folder(a, ".", x);
	if (!a->io->lstat(a->io, a->dir, "../../snapshots", &st))
		take_folder(a, "../../blobs", x);
	take_folder(a, ".cache/huggingface/download", x);
	d = xxh_final(x);
	xxh_free(x);
	memcpy(&print, &d, sizeof print);
	if (print != a->print)
		a->quiet = progress_now();
	a->print = print;
	return 0;
}

int arriving_look(struct arriving *a, struct err *e)
{
	size_t i;

	if (look_at_folder(a, e))
		return -1;
	arriving_recheck(a);
	if (arriving_begin(a, e))
		return -1;
	for (i = 0; i < a->n; i++)
		if (look(a, &a->v[i], e))
			return -1;
	return 0;
}

/* --- digesting --- */

enum { PIECE = 1 << 20 }; /* bytes between two looks whether to stop */

struct digesting {
	struct arriving *a;
	struct sha256_kit kit;
	struct progress *progress;
	const volatile sig_atomic_t *stop;
	pthread_mutex_t lock; /* guards what follows */
	size_t next, left, verified;
};

static bool is_due(const struct coming *c)
{
	return c->is == ARRIVAL_WHOLE && progress_now() >= c->again;
}

/* The next shard that is to be digested, or NULL. Any thread. */
static struct coming *take(struct digesting *g)
{
	struct coming *c = NULL;

	pthread_mutex_lock(&g->lock);
	while (g->left && !c && g->next < g->a->n) {
		c = &g->a->v[g->next++];
		c = is_due(c) ? c : NULL;
	}
	g->left -= c != NULL;
	pthread_mutex_unlock(&g->lock);
	return c;
}

/* Digests bytes of an open file. Returns 1, or 0 where it was told to stop or the file has become shorter. */
static int digest(struct digesting *g, int fd, uint64_t bytes, uint8_t *buf, uint8_t sha[32],
	struct err *e)
{
	struct sha256 s = { 0 }, *one = &s;
	const void *p = buf;
	struct err why = { 0 };
	uint64_t at;
	size_t n;
	int rc = sha256_init(&s, &g->kit, e) ? -1 : 1;

	for (at = 0; rc > 0 && at < bytes; at += n) {
		n = bytes - at < PIECE ? (size_t)(bytes - at) : PIECE;
		if (g->stop && *g->stop)
			rc = 0;
		else if (file_read(g->a->io, fd, buf, n, at, &why))
			rc = why.kind == ERR_SYSTEM ? err_move(e, &why) : 0;
		else if (sha256_update(&one, &p, n, 1, e))
			rc = -1;
		progress_add(g->progress, n);
	}
	if (rc > 0 && sha256_final(&s, sha, e))
		rc = -1;
	sha256_free(&s);
	return rc;
}

/* What the digest of the shard says of it; now is what the file was after it was read. */
static void settle(struct digesting *g, struct coming *c, const struct stat *now,
	const uint8_t sha[32])
{
	double rest;

	if (!arriving_same(&c->st, now)) {
		c->is = ARRIVAL_GROWING;
		return;
	}
	if (memcmp(sha, c->sha256, 32) == 0) {
		c->is = ARRIVAL_VERIFIED;
		pthread_mutex_lock(&g->lock);
		g->verified++;
		pthread_mutex_unlock(&g->lock);
		return;
	}
	c->is = ARRIVAL_FALSE;
	rest = c->tries < 6 ? (double)(1u << c->tries) : AGAIN_MAX;
	c->tries++;
	c->again = progress_now() + rest;
}

static int digest_one(struct digesting *g, struct coming *c, uint8_t *buf, struct err *e)
{
	const struct link_dir d = links(g->a);
	char actual[LINK_PATH];
	const char *hash = NULL;
	struct stat st, now;
	uint8_t sha[32];
	bool there = false;
	int fd = -1, rc;

	if (link_open(&d, c->name, &fd, &st, &there, actual, &hash, NULL) || !there ||
		!arriving_same(&st, &c->st)) {
		c->is = ARRIVAL_GROWING;
		rc = 0;
	} else {
		rc = digest(g, fd, (uint64_t)st.st_size, buf, sha, e);
		if (rc > 0 && g->a->io->fstat(g->a->io, fd, &now))
			rc = err_sys(e, "cannot stat %s", c->name);
		if (rc > 0)
			settle(g, c, &now, sha);
	}
	if (fd >= 0)
		(void)g->a->io->close(g->a->io, fd); /* read only */
	return rc < 0 ? err_at(e, "%s", c->name) : 0;
}

static int work(struct par *par, unsigned me, struct err *e)
{
	struct digesting *g = par_ctx(par);
	uint8_t *buf = malloc(PIECE);
	struct coming *c;
	int rc = buf ? 0 : err_nomem(e);

	(void)me;
	while (!rc && !par_stopping(par) && !(g->stop && *g->stop) && (c = take(g)))
		rc = digest_one(g, c, buf, e);
	free(buf);
	return rc;
}

int arriving_verify(struct arriving *a, unsigned threads, struct progress *p,
	const volatile sig_atomic_t *stop, size_t *n, struct err *e)
{
	struct digesting g = { .a = a, .progress = p, .stop = stop, .left = threads };
	size_t i, due = 0;
	int rc;

	*n = 0;
	for (i = 0; i < a->n; i++)
		due += is_due(&a->v[i]);
	if (!due)
		return 0;
	pthread_mutex_init(&g.lock, NULL);
	sha256_kit_best(&g.kit, cpu_features());
	rc = par_run(due < threads ? (unsigned)due : threads, work, &g, e);
	pthread_mutex_destroy(&g.lock);
	*n = g.verified;
	return rc;
}
