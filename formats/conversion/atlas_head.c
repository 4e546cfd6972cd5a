/* SPDX-License-Identifier: MIT */
#include "formats/conversion/atlas_head.h"

#include "core/file.h"
#include "formats/format_id.h"
#include "formats/json/jread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 16, TEXT_CAP = 512 };

static int wrong(struct err *e, const char *what)
{
	return err_rule(e, RULE_ATLAS_FILE, ERR_NOPOS, "%s", what);
}

int atlas_file_err(struct err *e)
{
	struct err was = *e;

	if (was.kind == ERR_SYSTEM || (was.rule && !strcmp(was.rule, rules[RULE_ATLAS_FILE].id)))
		return -1;
	*e = (struct err){ 0 };
	return err_rule(e, RULE_ATLAS_FILE, ERR_NOPOS, "%s", was.text);
}

/* --- the first line --- */

/* A digest in hex; may be null, where has says whether it is there. */
static int read_digest(struct jread *j, struct xxh_digest *d, bool *has)
{
	if (has && jread_peek(j) == 'n')
		return jread_skip(j);
	if (jread_string(j, TEXT_CAP))
		return -1;
	if (j->str.n != 2 * sizeof d->b || !hex_to(j->str.s, d->b, sizeof d->b))
		return wrong(j->e, "a digest is none");
	if (has)
		*has = true;
	return 0;
}

static int read_imatrix(struct jread *j, char hex[65])
{
	uint8_t sha[32];

	if (jread_peek(j) == 'n')
		return jread_skip(j);
	if (jread_string(j, TEXT_CAP))
		return -1;
	if (j->str.n != 64 || !hex_to(j->str.s, sha, sizeof sha))
		return wrong(j->e, "a digest is none");
	memcpy(hex, j->str.s, 65);
	return 0;
}

static int read_format(struct jread *j)
{
	if (jread_string(j, TEXT_CAP))
		return -1;
	return strcmp(j->str.s, FORMAT_ATLAS) != 0
		? wrong(j->e, "it is of another version: this program reads " FORMAT_ATLAS)
		: 0;
}

static int read_member(struct atlas_head *h, struct jread *j, unsigned i)
{
	switch (i) {
	case 0:
		return read_format(j);
	case 1:
		return jread_string(j, TEXT_CAP); /* the program that made it */
	case 2:
		return jread_u64(j, 1 << 24, &h->tensors);
	case 3:
		return read_imatrix(j, h->imatrix);
	case 4:
		return read_digest(j, &h->source, NULL);
	case 5:
		return read_digest(j, &h->out, NULL);
	default:
		return read_digest(j, &h->files, &h->has_files);
	}
}

static int read_head(struct atlas_head *h, struct jread *j)
{
	static const char *const keys[] = { "format", "made_by", "tensors", "imatrix_sha256",
		"source_xxh3_128", "out_xxh3_128", "files_xxh3_128" };
	unsigned i;

	if (jread_object(j))
		return wrong(j->e, "its first line is no head");
	for (i = 0; i < sizeof keys / sizeof *keys; i++) {
		if (jread_key(j) != 1 || strcmp(j->str.s, keys[i]) != 0)
			return wrong(j->e, "its first line is no head");
		if (read_member(h, j, i))
			return -1;
	}
	return jread_key(j) || jread_end(j, false) ? wrong(j->e, "its first line is no head") : 0;
}

int atlas_head_line(struct atlas_head *h, const char *line, size_t n, struct err *e)
{
	struct jread j;
	int rc;

	*h = (struct atlas_head){ 0 };
	jread_open_mem(&j, line, n, 1, e);
	rc = read_head(h, &j);
	jread_close(&j);
	return rc ? atlas_file_err(e) : 0;
}

/* --- the last one --- */

void atlas_last_line(char line[ATLAS_LAST_LINE], uint64_t lines, struct xxh_digest d)
{
	char hex[33];

	hex_of(d.b, sizeof d.b, hex);
	snprintf(line, ATLAS_LAST_LINE, "{\"lines\": %llu, \"xxh3_128\": \"%s\"}\n",
		(unsigned long long)lines, hex);
}

/* Reads the last line of the open file into line; *at becomes where it begins: behind the newline before it. */
static int find_last(const struct io *io, int fd, uint64_t size, char line[ATLAS_LAST_LINE],
	uint64_t *at, struct err *e)
{
	size_t n = size < ATLAS_LAST_LINE - 1 ? (size_t)size : ATLAS_LAST_LINE - 1, i;

	memset(line, 0, ATLAS_LAST_LINE);
	if (file_read(io, fd, line, n, size - n, e))
		return -1;
	for (i = n ? n - 1 : 0; i && line[i - 1] != '\n'; i--)
		;
	if (!i)
		return wrong(e, "it is no error atlas of dsv4-verify");
	*at = size - n + i;
	memmove(line, line + i, n - i + 1);
	return 0;
}

/* --- the file --- */

struct lines {
	char first[ATLAS_HEAD_LINE];
	size_t first_n; /* bytes of the first line so far */
	uint64_t n;     /* newlines */
	struct xxh *x;  /* owns */
};

static void add(struct lines *l, const char *p, size_t n)
{
	size_t i;

	xxh_update(l->x, p, n);
	for (i = 0; i < n; i++) {
		if (!l->n && p[i] != '\n' && l->first_n < sizeof l->first)
			l->first[l->first_n++] = p[i];
		l->n += p[i] == '\n';
	}
}

/* Reads n bytes from the start of the open file. */
static int read_lines(struct lines *l, const struct io *io, int fd, uint64_t n, struct err *e)
{
	char *room = malloc(PIECE);
	uint64_t at;
	size_t k;
	int rc = 0;

	l->x = xxh_new();
	if (!room || !l->x)
		rc = err_nomem(e);
	for (at = 0; !rc && at < n; at += k) {
		k = n - at < PIECE ? (size_t)(n - at) : PIECE;
		rc = file_read(io, fd, room, k, at, e);
		if (!rc)
			add(l, room, k);
	}
	free(room);
	return rc;
}

static int read_open(struct atlas_head *h, const struct io *io, int fd, uint64_t size,
	struct err *e)
{
	char last[ATLAS_LAST_LINE], want[ATLAS_LAST_LINE];
	struct lines l = { .n = 0 };
	uint64_t at = 0;
	int rc = find_last(io, fd, size, last, &at, e);

	rc = rc ? rc : read_lines(&l, io, fd, at, e);
	if (!rc) {
		atlas_last_line(want, l.n, xxh_final(l.x));
		if (strcmp(last, want))
			rc = wrong(e,
				"it is not as it was written: its last line is not the digest of the others");
		else if (l.first_n == sizeof l.first)
			rc = wrong(e, "its first line is no head");
	}
	rc = rc ? rc : atlas_head_line(h, l.first, l.first_n, e);
	xxh_free(l.x);
	return rc;
}

int atlas_head_read(struct atlas_head *h, const struct io *io, int dir, const char *name,
	struct err *e)
{
	struct stat st;
	int fd, rc;

	*h = (struct atlas_head){ 0 };
	if (file_open(io, dir, name, &fd, &st, e))
		return -1;
	rc = read_open(h, io, fd, (uint64_t)st.st_size, e);
	(void)io->close(io, fd); /* read only */
	return rc;
}

/* --- of which files --- */

static void add_file(struct xxh *x, const struct manifest_file *f)
{
	uint8_t bytes[8];
	unsigned i;

	for (i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(f->bytes >> 8 * i);
	xxh_update(x, f->name, strlen(f->name) + 1);
	xxh_update(x, bytes, sizeof bytes);
	xxh_update(x, f->has_sha256 ? f->sha256 : f->side_sha256, 32);
}

int atlas_head_files(struct xxh_digest *to, const struct manifest *m, struct err *e)
{
	struct xxh *x = xxh_new();
	size_t i;

	if (!x)
		return err_nomem(e);
	for (i = 0; i < m->files.n; i++)
		if (m->files.v[i].side)
			add_file(x, &m->files.v[i]);
	*to = xxh_final(x);
	xxh_free(x);
	return 0;
}
