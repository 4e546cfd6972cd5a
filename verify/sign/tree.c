/* SPDX-License-Identifier: MIT */
#include "verify/sign/tree.h"

#include "core/file.h"
#include "formats/conversion/bystander.h"
#include "core/par.h"
#include "core/hash/hash_file.h"
#include "formats/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tree_free(struct tree *t)
{
	free(t->v);
	arena_free(&t->arena);
	memset(t, 0, sizeof *t);
}

/* --- names --- */

static bool plain_component(const char *s, size_t n)
{
	return n > 0 && !(n == 1 && s[0] == '.') && !(n == 2 && s[0] == '.' && s[1] == '.');
}

bool tree_plain(const char *s, size_t n)
{
	size_t i, from = 0;
	unsigned len;

	if (!n || n > TREE_PATH)
		return false;
	for (i = 0; i < n; i += len) {
		len = text_utf8((const unsigned char *)s + i, n - i);
		if (!len || (unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return false;
		if (s[i] == '/') {
			if (!plain_component(s + from, i - from))
				return false;
			from = i + 1;
		}
	}
	return plain_component(s + from, n - from);
}

int tree_add(struct tree *t, const char *name, size_t n, const struct tree_file *f, struct err *e)
{
	struct tree_file *to;

	if (t->n == TREE_FILES)
		return err_rule(e, RULE_SIG_TREE, ERR_NOPOS, "more than %d files", TREE_FILES);
	if (mem_grow(&t->v, &t->cap, t->n + 1, sizeof *t->v))
		return err_nomem(e);
	to = &t->v[t->n];
	*to = *f;
	to->name = arena_strndup(&t->arena, name, n);
	if (!to->name)
		return err_nomem(e);
	t->n++;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct tree_file *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int by_folded_name(const void *a, const void *b)
{
	const struct tree_file *x = *(const struct tree_file *const *)a;
	const struct tree_file *y = *(const struct tree_file *const *)b;

	return strcasecmp(x->name, y->name);
}

void tree_sort(struct tree *t, const char *who, struct report *r, struct err *e)
{
	const struct tree_file **at = malloc((t->n + 1) * sizeof *at);
	size_t i;

	if (!at) {
		err_nomem(e);
		return;
	}
	if (t->n)
		qsort(t->v, t->n, sizeof *t->v, by_name);
	for (i = 0; i < t->n; i++)
		at[i] = &t->v[i];
	qsort(at, t->n, sizeof *at, by_folded_name);
	for (i = 1; i < t->n; i++) {
		if (!strcmp(at[i - 1]->name, at[i]->name))
			report_add(r, RULE_SIG_NAME_TWICE,
				&(struct report_place){ .file = at[i]->name }, "%s: %s twice", who,
				text_quote(at[i]->name).s);
		else if (!strcasecmp(at[i - 1]->name, at[i]->name))
			report_add(r, RULE_SIG_CASE_TWIN,
				&(struct report_place){ .file = at[i]->name },
				"%s: %s and %s differ in upper and lower case only", who,
				text_quote(at[i - 1]->name).s, text_quote(at[i]->name).s);
	}
	free(at);
}

const struct tree_file *tree_find_in(const struct tree *t, size_t n, const char *name)
{
	struct tree_file key = { .name = name };

	return n ? bsearch(&key, t->v, n, sizeof *t->v, by_name) : NULL;
}

const struct tree_file *tree_find(const struct tree *t, const char *name)
{
	return tree_find_in(t, t->n, name);
}

/* --- what is there --- */

struct scan {
	struct tree *t;
	const struct io *io;
	const char *const *skip;
	unsigned n_quiet;
	struct report *r;
};

static bool skipped(struct scan *s, const char *name)
{
	unsigned i;

	for (i = 0; s->skip[i]; i++) {
		if (strcmp(s->skip[i], name) != 0)
			continue;
		if (i >= s->n_quiet)
			report_add(s->r, RULE_SIG_IGNORED, &(struct report_place){ .file = name },
				"%s is there and belongs to no signature", text_quote(name).s);
		return true;
	}
	return false;
}

static int scan_folder(struct scan *s, int dir, const char *prefix, unsigned depth, struct err *e);

static int scan_below(struct scan *s, int dir, const char *name, const char *path, unsigned depth,
	struct err *e)
{
	int fd, rc;

	if (depth == TREE_DEPTH)
		return err_rule(e, RULE_SIG_TREE, ERR_NOPOS, "%s: folders nested more than %d deep",
			text_quote(path).s, TREE_DEPTH);
	fd = s->io->open(s->io, dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, "cannot open folder %s", text_quote(path).s);
	rc = scan_folder(s, fd, path, depth, e);
	(void)s->io->close(s->io, fd);
	return rc;
}

/* What to open for name in the folder at, which lies depth folders below the top: name itself, or the blob of the hub's
 * cache that it is a link to. */
static const char *through_blob(const struct io *io, int at, const char *name, unsigned depth,
	char link[TREE_LINK])
{
	ssize_t n = io->readlink(io, at, name, link, TREE_LINK - 1);

	if (n < 0)
		return name;
	link[n] = 0;
	return blob_of(link, depth) ? link : name;
}

static int scan_entry(struct scan *s, int dir, const char *name, const char *prefix, unsigned depth,
	struct err *e)
{
	char path[TREE_PATH + 2], link[TREE_LINK];
	struct report_place at = { .file = path };
	struct tree_file f = { .sized = true };
	struct stat st;
	int n = snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "/" : "", name);

	if (n > TREE_PATH || !tree_plain(path, (size_t)n)) {
		report_add(s->r, RULE_SIG_NAME, NULL, "%s: a name that no signature can have",
			text_quote(path).s);
		return 0;
	}
	if (s->io->lstat(s->io, dir, through_blob(s->io, dir, name, depth, link), &st))
		return err_sys(e, "cannot look at %s", text_quote(path).s);
	if (S_ISDIR(st.st_mode) && bystander_is_litter(name, st.st_mode)) {
		report_add(s->r, RULE_SIG_IGNORED, &at, "%s is there and belongs to no signature",
			text_quote(path).s);
		return 0;
	}
	if (S_ISDIR(st.st_mode))
		return scan_below(s, dir, name, path, depth + 1, e);
	if (S_ISLNK(st.st_mode))
		report_add(s->r, RULE_FILE_SYMLINK, &at, "%s is a symbolic link",
			text_quote(path).s);
	else if (!S_ISREG(st.st_mode))
		report_add(s->r, RULE_FILE_NOT_REGULAR, &at, "%s is not a regular file",
			text_quote(path).s);
	if (!S_ISREG(st.st_mode))
		return 0;
	f.bytes = (uint64_t)st.st_size;
	return tree_add(s->t, path, (size_t)n, &f, e);
}

static int scan_folder(struct scan *s, int dir, const char *prefix, unsigned depth, struct err *e)
{
	char *names, *p;
	size_t n;
	int rc = 0;

	if (s->io->list(s->io, dir, &names, &n))
		return err_sys(e, "cannot list %s", *prefix ? text_quote(prefix).s : "the folder");
	for (p = names; n-- && !rc; p += strlen(p) + 1)
		if (*prefix || !skipped(s, p))
			rc = scan_entry(s, dir, p, prefix, depth, e);
	free(names);
	return rc;
}

int tree_scan(struct tree *t, const struct io *io, int dir, const char *const *skip,
	unsigned n_quiet, struct report *r, struct err *e)
{
	struct scan s = { t, io, skip, n_quiet, r };

	return scan_folder(&s, dir, "", 0, e);
}

int tree_open_dir(const struct io *io, int dir, const char *path, int *at, struct err *e)
{
	char name[TREE_PATH + 1];
	const char *end;
	int next;

	*at = dir;
	while ((end = strchr(path, '/'))) {
		snprintf(name, sizeof name, "%.*s", (int)(end - path), path);
		next = io->open(io, *at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
		if (next < 0)
			err_sys(e, "cannot open folder %s", text_quote(name).s);
		if (*at != dir)
			(void)io->close(io, *at);
		if (next < 0)
			return -1;
		*at = next;
		path = end + 1;
	}
	return 0;
}

int tree_open(const struct io *io, int dir, const char *path, int *fd, struct stat *st,
	struct err *e)
{
	const char *slash = strrchr(path, '/'), *p;
	char link[TREE_LINK];
	unsigned depth = 0;
	int at, rc;

	if (tree_open_dir(io, dir, path, &at, e))
		return -1;
	for (p = path; (p = strchr(p, '/')); p++)
		depth++;
	rc = file_open(io, at, through_blob(io, at, slash ? slash + 1 : path, depth, link), fd, st,
		e);
	if (at != dir)
		(void)io->close(io, at);
	return rc;
}

int tree_load(const struct io *io, int dir, const char *path, uint64_t cap, struct text *out,
	struct err *e)
{
	struct stat st;
	int fd, rc = -1;

	if (tree_open(io, dir, path, &fd, &st, e))
		return -1;
	if ((uint64_t)st.st_size > cap)
		err_rule(e, RULE_FILE_TOO_BIG, ERR_NOPOS,
			"%s has %lld bytes, at most %llu are taken", text_quote(path).s,
			(long long)st.st_size, (unsigned long long)cap);
	else if (mem_grow(&out->s, &out->cap, (size_t)st.st_size + 1, 1))
		err_nomem(e);
	else
		rc = file_read(io, fd, out->s, (size_t)st.st_size, 0, e);
	(void)io->close(io, fd);
	if (rc)
		return err_at(e, "%s", text_quote(path).s);
	out->n = (size_t)st.st_size;
	out->s[out->n] = 0;
	return 0;
}

/* --- digests --- */

struct hashing {
	struct tree *t;
	const struct io *io;
	int dir;
	struct sha256_kit kit;
	pthread_mutex_t lock; /* guards next and r */
	size_t next;
	struct report *r;
};

static int hash_open(struct hashing *h, struct tree_file *f, int fd, const struct stat *st,
	struct err *e)
{
	struct stat now;

	if (hash_file(h->io, fd, (uint64_t)st->st_size, &h->kit, f->sha256, e))
		return -1;
	if (h->io->fstat(h->io, fd, &now))
		return err_sys(e, "cannot stat it");
	if (now.st_size != st->st_size || now.st_mtim.tv_sec != st->st_mtim.tv_sec ||
		now.st_mtim.tv_nsec != st->st_mtim.tv_nsec)
		return err_rule(e, RULE_CKPT_CHANGED, ERR_NOPOS, "was changed while it was read");
	f->bytes = (uint64_t)st->st_size;
	f->sized = f->hashed = true;
	return 0;
}

static void hash_one(struct hashing *h, struct tree_file *f)
{
	struct err e = { 0 };
	struct stat st;
	int fd;

	if (!tree_open(h->io, h->dir, f->name, &fd, &st, &e)) {
		if (hash_open(h, f, fd, &st, &e))
			err_at(&e, "%s", text_quote(f->name).s);
		(void)h->io->close(h->io, fd);
	}
	if (e.kind == ERR_NONE)
		return;
	pthread_mutex_lock(&h->lock);
	report_take(h->r, &(struct report_place){ .file = f->name }, &e);
	pthread_mutex_unlock(&h->lock);
}

static int hash_some(struct par *p, unsigned me, struct err *e)
{
	struct hashing *h = par_ctx(p);
	size_t i;

	(void)me, (void)e;
	for (;;) {
		pthread_mutex_lock(&h->lock);
		while (h->next < h->t->n && !h->t->v[h->next].want)
			h->next++;
		i = h->next++;
		pthread_mutex_unlock(&h->lock);
		if (i >= h->t->n || par_stopping(p))
			break;
		hash_one(h, &h->t->v[i]);
	}
	return 0;
}

int tree_hash(struct tree *t, const struct io *io, int dir, unsigned threads, unsigned features,
	struct report *r, struct err *e)
{
	struct hashing h = { .t = t, .io = io, .dir = dir, .r = r };
	int rc;

	sha256_kit_best(&h.kit, features);
	pthread_mutex_init(&h.lock, NULL);
	rc = par_run(threads, hash_some, &h, e);
	pthread_mutex_destroy(&h.lock);
	return rc;
}

/* --- both --- */

static void compare_one(const struct tree_file *is, const struct tree_file *must, struct report *r)
{
	struct report_place at = { .file = must->name };

	if (must->sized && is->bytes != must->bytes)
		report_add(r, RULE_SIG_CHANGED, &at, "%s has %llu bytes, signed were %llu",
			text_quote(must->name).s, (unsigned long long)is->bytes,
			(unsigned long long)must->bytes);
	else if (is->hashed && memcmp(is->sha256, must->sha256, 32) != 0)
		report_add(r, RULE_SIG_CHANGED, &at, "%s has another SHA-256 than was signed",
			text_quote(must->name).s);
}

void tree_say_extra(const char *path, bool strict, struct report *r)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	bool extra = strict ? !bystander_is_litter(name, S_IFREG)
			    : bystander_of(name, S_IFREG) == BYSTANDER_MODEL;

	report_add(r, extra ? RULE_SIG_EXTRA : RULE_SIG_IGNORED,
		&(struct report_place){ .file = path },
		strict ? "%s is there and was not signed" : "%s is there and in no manifest",
		text_quote(path).s);
}

int tree_compare(struct tree *there, const struct tree *should, bool strict, const struct io *io,
	int dir, unsigned threads, unsigned features, struct report *r, struct err *e)
{
	const struct tree_file *is, *must;
	size_t i;

	for (i = 0; i < there->n; i++) {
		must = tree_find(should, there->v[i].name);
		there->v[i].want = must && !there->v[i].hashed &&
			(!must->sized || must->bytes == there->v[i].bytes);
		if (!must)
			tree_say_extra(there->v[i].name, strict, r);
	}
	if (tree_hash(there, io, dir, threads, features, r, e))
		return -1;
	for (i = 0; i < should->n; i++) {
		is = tree_find(there, should->v[i].name);
		if (is)
			compare_one(is, &should->v[i], r);
		else
			report_add(r, RULE_SIG_GONE,
				&(struct report_place){ .file = should->v[i].name },
				"%s was signed and is not there", text_quote(should->v[i].name).s);
	}
	return 0;
}
