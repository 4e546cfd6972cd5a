/* signed.h -- what the tests of bad signatures share: texts that are changed in one place, keys, what a check
 * must say, and what it opens.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_SIGNED_H
#define TESTS_SIGNED_H
#include "tests/faultio.h"
#include "tests/sign.h"

/* The first from becomes to; FAILED if there is none. NULL from: to stands behind the whole. */
static inline void replace(struct text *t, const char *from, const char *to)
{
	struct text out = { 0 };
	const char *at = from ? strstr(t->s, from) : t->s + t->n;

	if (!at) {
		FAILED(from);
		return;
	}
	text_put(&out, t->s, (size_t)(at - t->s));
	text_str(&out, to);
	text_str(&out, at + (from ? strlen(from) : 0));
	text_free(t);
	*t = out;
}

static inline struct text file_text(const char *path)
{
	struct text t = { 0 };
	size_t n;
	uint8_t *p = file_get_all(path, &n);

	text_put(&t, p ? (char *)p : "", n);
	free(p);
	return t;
}

static inline void text_file(const char *path, const struct text *t)
{
	unlink(path);
	file_put_all(path, t->s, t->n);
}

static inline void ec_key(struct eckey *k, const char *name)
{
	struct path p = key_path(name);
	struct keyfile f;
	struct keyfile_at at = { p.s, -1 };
	struct err e = { 0 };

	if (keyfile_read(&f, io_posix(), &at, true, &e) || eckey_private(k, &f, NULL, &e))
		FAILED(e.text);
	keyfile_free(&f);
}

static inline struct path model_sig(const char *dir)
{
	struct path p;

	if (snprintf(p.s, sizeof p.s, "%.300s/" SIGN_BUNDLE, dir) >= (int)sizeof p.s)
		exit(2);
	return p;
}

static inline bool check_is(const char *dir, const char *key, const char *name, const char *rule)
{
	struct sig_call c = { .verb = SIG_CHECK, .dir = dir, .key = key };
	struct sig_out o = sig_run(&c);

	char word[80];

	snprintf(word, sizeof word, " %s ", rule);
	if (o.status != 0 && strstr(o.rules, word))
		return true;
	fprintf(stderr, "%s: expected %s, got %d%s: %s\n", name, rule, o.status, o.rules, o.text);
	return false;
}

struct bad {
	const char *name, *rule, *from, *to;
};

static inline void public_key(struct eckey *k, const char *name)
{
	struct path p = key_path(name);
	struct keyfile f;
	struct keyfile_at at = { p.s, -1 };
	struct err e = { 0 };

	if (keyfile_read(&f, io_posix(), &at, false, &e) || eckey_public(k, &f, &e))
		FAILED(e.text);
	keyfile_free(&f);
}

/* --- what is opened --- */

/* Watches that every file is opened through the table, name by name below the folder: never by a path, whatever a signed
 * statement or manifest says. */
struct watch {
	const char *given[3]; /* what the user named */
	unsigned opened, strange;
};

static inline void watch_open(struct faultio *f, enum io_op op, const char *name)
{
	struct watch *w = f->ctx;
	int i;

	if (op != IO_OPEN && op != IO_LSTAT && op != IO_READLINK)
		return;
	w->opened++;
	for (i = 0; i < 3; i++)
		if (w->given[i] && !strcmp(name, w->given[i]))
			return;
	if (strchr(name, '/') || !strcmp(name, "..")) {
		w->strange++;
		fprintf(stderr, "opens %s\n", name);
	}
}

/* Checks the signature of dir while w watches. */
static inline void check_watched(struct watch *w, const char *dir, const char *key)
{
	struct faultio io;
	struct sign_opts o = {
		.io = &io.io, .dir = dir, .key = { key, -1 }, .password.fd = -1, .threads = 1
	};
	struct report r;
	struct err e = { 0 };

	faultio_make(&io);
	io.hook = watch_open;
	io.ctx = w;
	w->given[0] = dir;
	w->given[1] = key;
	report_begin(&r, "test 0", "signature", dir, NULL);
	(void)sign_check(&o, &r, &e);
	report_free(&r);
	CHECK(!io.n_open);
}
#endif
