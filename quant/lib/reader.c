/* reader.c -- bytes of files into memory of the caller, and held to digests on the way.
 *
 *	by tensor    from its first byte to its last, by one thread: nothing is read that was not asked for
 *	by chunk     threads take the chunks of the file that the range touches, each of which has its own digest; what
 *	             is not wanted of the first and the last is read and digested only
 *
 * A piece is digested while it is still in the cache of the processor.
 *
 * SPDX-License-Identifier: MIT */
#include "core/file.h"
#include "core/par.h"
#include "core/text.h"
#include "quant/lib/handle.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
	BLOCK = 4096, /* what O_DIRECT asks of places, lengths and memory on all file systems of today */
	PIECE = 512 << 10,     /* stays in a second-level cache between reading and digesting */
	PIECE_DIRECT = 4 << 20 /* a disk wants more at a time, and nothing is in a cache anyway */
};

/* One thread's way of reading. */
struct reader {
	const struct dsv4 *d;
	const struct handle_file *f;
	bool direct;
	size_t piece;
	uint8_t *skip; /* owns; piece bytes, aligned to BLOCK: what is only digested */
	uint8_t *
		bounce; /* behind it, with direct: piece + 2 * BLOCK bytes that lie in the file where they should */
	struct xxh *xxh;    /* owns; NULL: nothing is digested */
	struct sha256 *sha; /* borrows; NULL: the same */
};

static int reader_begin(struct reader *r, const struct dsv4 *d, const struct handle_file *f,
	unsigned flags, struct err *e)
{
	*r = (struct reader){ .d = d, .f = f, .direct = (flags & DSV4_DIRECT) && f->direct >= 0 };
	r->piece = r->direct ? PIECE_DIRECT : PIECE;
	r->skip = aligned_alloc(BLOCK, r->direct ? 2 * (r->piece + (size_t)BLOCK) : r->piece);
	r->bounce = r->skip + r->piece;
	r->xxh = flags & DSV4_UNVERIFIED ? NULL : xxh_new();
	return !r->skip || (!r->xxh && !(flags & DSV4_UNVERIFIED)) ? err_nomem(e) : 0;
}

static void reader_end(struct reader *r)
{
	free(r->skip);
	xxh_free(r->xxh);
}

/* --- past the page cache --- */

/* Reads whole blocks from one on, of which the first need bytes must be there. Returns 1 where the file system has no
 * such reads. */
static int read_blocks(const struct reader *r, uint8_t *p, size_t n, uint64_t at, size_t need,
	struct err *e)
{
	const struct io *io = r->d->io;
	size_t have = 0;
	ssize_t got;

	while (have < need) {
		got = io->pread(io, r->f->direct, p + have, n - have, (off_t)(at + have));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EINVAL)
			return 1;
		if (got < 0)
			return err_sys(e, "cannot read at byte %llu",
				(unsigned long long)at + have);
		have += (size_t)got;
		if (have < need && (got == 0 || have % BLOCK))
			return err_rule(e, RULE_FILE_SHORT, at + have,
				"the file ends at byte %llu, %zu bytes more were expected",
				(unsigned long long)at + have, need - have);
	}
	return 0;
}

/* Reads the next bytes of a range; *done is how many. Whole blocks go where they belong if both sides are aligned, the
 * rest through bounce. */
static int read_some(const struct reader *r, uint8_t *dst, size_t n, uint64_t at, size_t *done,
	struct err *e)
{
	size_t skip = (size_t)(at % BLOCK), off = (uintptr_t)dst % BLOCK;
	int rc;

	if (!skip && !off && n >= BLOCK) {
		*done = n - n % BLOCK;
		return read_blocks(r, dst, *done, at, *done, e);
	}
	*done = n < r->piece ? n : r->piece;
	if (skip && skip == off && *done > BLOCK - skip)
		*done = BLOCK - skip; /* and from there on both are aligned */
	rc = read_blocks(r, r->bounce, (skip + *done + BLOCK - 1) / BLOCK * BLOCK, at - skip,
		skip + *done, e);
	if (!rc)
		memcpy(dst, r->bounce + skip, *done);
	return rc;
}

/* Reads n bytes from at on. */
static int get(struct reader *r, uint8_t *dst, size_t n, uint64_t at, struct err *e)
{
	size_t done;
	int rc;

	while (n && r->direct) {
		rc = read_some(r, dst, n, at, &done, e);
		if (rc < 0)
			return -1;
		r->direct = !rc;
		if (rc)
			break;
		dst += done;
		at += done;
		n -= done;
	}
	return n ? file_read(r->d->io, r->f->fd, dst, n, at, e) : 0;
}

/* --- digested --- */

/* Reads and digests n bytes; dst NULL: they are wanted for that alone. */
static int take(struct reader *r, uint8_t *dst, size_t n, uint64_t at, struct err *e)
{
	const void *p;
	size_t some;

	if (!r->xxh)
		return get(r, dst, n, at, e);
	for (; n; n -= some, at += some) {
		some = n < r->piece ? n : r->piece;
		p = dst ? dst : r->skip;
		if (get(r, dst ? dst : r->skip, some, at, e))
			return -1;
		xxh_update(r->xxh, p, some);
		if (r->sha && sha256_update(&r->sha, &p, some, 1, e))
			return -1;
		dst = dst ? dst + some : NULL;
	}
	return 0;
}

static int by_tensor(const struct dsv4 *d, const struct handle_file *f,
	const struct handle_tensor *t, uint64_t at, uint8_t *dst, size_t n, unsigned flags,
	struct err *e)
{
	struct xxh_digest is;
	struct reader r;
	int rc = reader_begin(&r, d, f, flags, e);

	if (!rc)
		rc = take(&r, dst, n, at, e);
	if (!rc) {
		is = xxh_final(r.xxh);
		if (memcmp(is.b, t->xxh, sizeof is.b))
			rc = err_rule(e, RULE_CHECK_TENSOR, at,
				"its XXH3-128 is another than the sidecar says");
	}
	reader_end(&r);
	return rc;
}

/* --- by chunk --- */

struct range {
	const struct dsv4 *d;
	const struct handle_file *f;
	uint8_t *dst; /* NULL: read for the digests alone */
	uint64_t at, end;
	unsigned flags;
	struct sha256 *sha; /* borrows; then there is one thread */
	atomic_size_t next; /* chunk */
};

/* The name of the first tensor that has bytes from at on; "its header" where the chunk has none. */
static const char *tensor_at(const struct dsv4 *d, const struct handle_file *f, uint64_t at)
{
	const struct handle_tensor *t = d->tensors + f->is.first_tensor;
	size_t low = 0, high = f->is.tensors, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (t[mid].is.offset + t[mid].is.bytes <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low < f->is.tensors ? t[low].is.name : "its header";
}

static int chunk(const struct range *g, struct reader *r, size_t i, struct err *e)
{
	uint64_t from = (uint64_t)i * DSV4_CHUNK, to = from + DSV4_CHUNK, low, high;
	struct xxh_digest is;

	to = to < g->f->is.bytes ? to : g->f->is.bytes;
	low = g->at > from ? g->at : from;
	high = g->end < to ? g->end : to;
	if (!r->xxh)
		return take(r, g->dst + (low - g->at), (size_t)(high - low), low, e);
	xxh_reset(r->xxh);
	if (take(r, NULL, (size_t)(low - from), from, e) ||
		take(r, g->dst ? g->dst + (low - g->at) : NULL, (size_t)(high - low), low, e) ||
		take(r, NULL, (size_t)(to - high), high, e))
		return -1;
	is = xxh_final(r->xxh);
	return memcmp(is.b, g->f->chunks[i].b, sizeof is.b)
		? err_rule(e, RULE_CHECK_CHUNK, from,
			  "bytes %llu to %llu have another XXH3-128 than the sidecar says; the first "
			  "tensor there is %s",
			  (unsigned long long)from, (unsigned long long)to,
			  text_quote(tensor_at(g->d, g->f, from)).s)
		: 0;
}

static int work(struct par *p, unsigned me, struct err *e)
{
	struct range *g = par_ctx(p);
	size_t last = (size_t)((g->end - 1) / DSV4_CHUNK), i;
	struct reader r;
	int rc = reader_begin(&r, g->d, g->f, g->flags, e);

	(void)me;
	r.sha = g->sha;
	while (!rc && !par_stopping(p) && (i = atomic_fetch_add(&g->next, 1)) <= last)
		rc = chunk(g, &r, i, e);
	reader_end(&r);
	return rc;
}

static int by_chunk(struct range *g, unsigned threads, struct err *e)
{
	uint64_t first = g->at / DSV4_CHUNK, n = (g->end - 1) / DSV4_CHUNK - first + 1;

	atomic_init(&g->next, (size_t)first);
	return par_run(n < threads ? (unsigned)n : threads, work, g, e);
}

/* --- calls --- */

static int at_file(const struct dsv4 *d, const struct handle_file *f, struct err *e)
{
	const char *folder = d->folders[f->is.folder].name;

	return err_at(e, "%s%s%s", folder, *folder ? "/" : "", f->is.name);
}

int handle_read(const struct dsv4 *d, const struct handle_file *f, const struct handle_tensor *t,
	uint64_t at, uint8_t *dst, size_t n, const struct handle_call *c, struct err *e)
{
	bool verified = !(c->flags & DSV4_UNVERIFIED);
	struct range g = { .d = d, .f = f, .dst = dst, .at = at, .end = at + n, .flags = c->flags };

	if (verified && t && (c->threads == 1 || n < 2 * (size_t)DSV4_CHUNK)) {
		if (!by_tensor(d, f, t, at, dst, n, c->flags, e))
			return 0;
		err_at(e, "tensor %s", text_quote(t->is.name).s);
		return at_file(d, f, e);
	}
	return by_chunk(&g, c->threads, e) ? at_file(d, f, e) : 0;
}

/* Bytes offset .. offset + n of something of so many bytes. */
static int check_range(uint64_t bytes, uint64_t offset, const void *dst, size_t n, const char *what,
	struct err *e)
{
	if (offset > bytes || n > bytes - offset)
		return err_rule(e, RULE_LIB_RANGE, ERR_NOPOS,
			"bytes %llu to %llu + %zu of %s, which has %llu",
			(unsigned long long)offset, (unsigned long long)offset, n,
			text_quote(what).s, (unsigned long long)bytes);
	if (n && !dst)
		return err_rule(e, RULE_LIB_CALL, ERR_NOPOS, "no memory to read to");
	return 0;
}

int dsv4_read(const struct dsv4 *d, size_t i, uint64_t offset, void *dst, size_t n,
	const struct dsv4_read_options *o, struct dsv4_error *e)
{
	const struct handle_tensor *t = d && i < d->info.tensors ? &d->tensors[i] : NULL;
	struct err why = { 0 };
	struct handle_call c;

	if (handle_needs(d, "d", &why))
		return handle_fails(e, &why);
	if (!t)
		err_rule(&why, RULE_LIB_RANGE, ERR_NOPOS, "tensor %zu of %zu", i, d->info.tensors);
	else if (!handle_call(&c, o, DSV4_UNVERIFIED | DSV4_DIRECT, &why) &&
		!check_range(t->is.bytes, offset, dst, n, t->is.name, &why) && n)
		(void)handle_read(d, &d->files[t->is.file], n == t->is.bytes ? t : NULL,
			t->is.offset + offset, dst, n, &c, &why); /* why says it */
	return handle_fails(e, &why);
}

int dsv4_read_file(const struct dsv4 *d, uint32_t i, uint64_t offset, void *dst, size_t n,
	const struct dsv4_read_options *o, struct dsv4_error *e)
{
	const struct handle_file *f = d && i < d->info.files ? &d->files[i] : NULL;
	struct err why = { 0 };
	struct handle_call c;

	if (handle_needs(d, "d", &why))
		return handle_fails(e, &why);
	if (!f)
		err_rule(&why, RULE_LIB_RANGE, ERR_NOPOS, "file %u of %u", i, d->info.files);
	else if (!handle_call(&c, o, DSV4_UNVERIFIED | DSV4_DIRECT, &why) &&
		!check_range(f->is.bytes, offset, dst, n, f->is.name, &why) && n)
		(void)handle_read(d, f, NULL, offset, dst, n, &c, &why); /* why says it */
	return handle_fails(e, &why);
}

/* SHA-256 and the digests of the chunks in one pass. */
static int check_both(const struct dsv4 *d, const struct handle_file *f, struct range *g,
	struct err *e)
{
	struct sha256 s = { 0 };
	uint8_t is[32];
	int rc = -1;

	if (!f->is.sha256)
		return err_rule(e, RULE_LIB_CALL, ERR_NOPOS,
			"nobody says its SHA-256: the conversion was made with --no-sha256");
	if (sha256_init(&s, &d->kit, e))
		return -1;
	g->sha = &s;
	if (!by_chunk(g, 1, e) && !sha256_final(&s, is, e))
		rc = memcmp(is, f->sha256, sizeof is)
			? err_rule(e, RULE_CHECK_SHA256, ERR_NOPOS,
				  "its SHA-256 is another than manifest.json says")
			: 0;
	sha256_free(&s);
	return rc;
}

static int check_file(const struct dsv4 *d, const struct handle_file *f,
	const struct handle_call *c, struct err *e)
{
	struct range g = { .d = d, .f = f, .end = f->is.bytes, .flags = c->flags };

	if (c->flags & DSV4_SHA256 ? check_both(d, f, &g, e) : by_chunk(&g, c->threads, e))
		return at_file(d, f, e);
	return 0;
}

int dsv4_check(const struct dsv4 *d, uint32_t i, const struct dsv4_read_options *o,
	struct dsv4_error *e)
{
	struct err why = { 0 };
	struct handle_call c;

	if (handle_needs(d, "d", &why))
		return handle_fails(e, &why);
	if (i >= d->info.files)
		err_rule(&why, RULE_LIB_RANGE, ERR_NOPOS, "file %u of %u", i, d->info.files);
	else if (!handle_call(&c, o, DSV4_DIRECT | DSV4_SHA256, &why))
		(void)check_file(d, &d->files[i], &c, &why); /* why says it */
	return handle_fails(e, &why);
}
