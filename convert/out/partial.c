/* SPDX-License-Identifier: MIT */
#include "convert/out/partial.h"

#include "core/text.h"
#include "formats/conversion/sidecar.h"
#include "formats/format_id.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- names --- */

/* The temporary name of the record of part, "" if it can have none. */
static void record_of(const char *part, char out[300])
{
	char name[256], side[300];

	out[0] = 0;
	if (file_is_part(part, name) &&
		snprintf(side, sizeof side, "%s%s", name, MAN_SIDECAR) < 250)
		file_part_beside(part, side, out);
}

/* The other way round. */
static void part_of(const char *record, char out[300])
{
	size_t n;
	char name[256];

	out[0] = 0;
	if (!file_is_part(record, name))
		return;
	n = text_stem(name, MAN_SIDECAR);
	if (!n)
		return;
	name[n] = 0;
	file_part_beside(record, name, out);
}

static bool is_there(const struct io *io, int dir, const char *name)
{
	struct stat st;

	return name[0] && !io->lstat(io, dir, name, &st) && S_ISREG(st.st_mode);
}

bool partial_paired(const struct io *io, int dir, const char *name)
{
	char other[300];

	part_of(name, other);
	if (!other[0])
		record_of(name, other);
	return is_there(io, dir, name) && is_there(io, dir, other);
}

int partial_forget(const struct io *io, int dir, const char *part, struct err *e)
{
	char record[300];

	record_of(part, record);
	return record[0] ? file_remove(io, dir, record, e) : 0;
}

int partial_remove(const struct io *io, int dir, const char *part, struct err *e)
{
	return partial_forget(io, dir, part, e) ? -1 : file_remove(io, dir, part, e);
}

/* --- the line at the end --- */

enum { LINE = sizeof FORMAT_PARTIAL + 64 + 1 + 64 + 1 };

/* SHA-256 of what the shards are known by. A device has another number after a new start, so it is not among it. */
static int source_of(const struct ckpt *c, char hex[65], struct err *e)
{
	struct text t = { 0 };
	uint8_t sha[32];
	const struct stat *st;
	size_t i;
	int rc;

	for (i = 0; i < c->n_shards; i++) {
		st = &c->shards[i].st;
		text_fmt(&t, "%s %lld %llu %lld.%09ld %lld.%09ld\n", c->shards[i].name,
			(long long)st->st_size, (unsigned long long)st->st_ino,
			(long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
			(long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
	}
	rc = t.failed ? err_nomem(e) : sha256_of(t.s ? t.s : "", t.n, sha, e);
	text_free(&t);
	if (!rc)
		hex_of(sha, sizeof sha, hex);
	return rc;
}

/* --- saving --- */

/* Ops whose results partial_step takes from a record, and which keep nothing from one step to the next. A new one is not
 * among them until it is looked at. */
static const bool recorded[OP_COUNT] = {
	[OP_COPY] = true,
	[OP_ROWS] = true,
	[OP_COLS] = true,
	[OP_REMAP] = true,
	[OP_DEQUANT] = true,
	[OP_CAST] = true,
	[OP_CAST_SCALE] = true,
	[OP_WIDEN] = true,
	[OP_TILE] = true,
	[OP_GGML] = true,
	[OP_JOIN] = true,
	[OP_NARROW] = true,
	[OP_JOIN_F32] = true,
	[OP_RECORD] = true,
	[OP_HALVES] = true,
	[OP_FIRSTS] = true,
	[OP_LEVELS] = true,
};

bool partial_has(const struct plan_file *f, size_t n)
{
	size_t i;

	for (i = 0; i < n && recorded[f->steps[i].op]; i++)
		;
	return i == n;
}

/* *bytes: those of the record. */
static int put_record(struct account_sink *k, const struct account *a, uint64_t *bytes,
	struct err *e)
{
	char source[65], line[LINE + 1], seal[65];
	uint8_t sha[32];
	int n;

	if (source_of(a->p->ckpt, source, e) || account_put(a, k, e))
		return -1;
	n = snprintf(line, sizeof line, FORMAT_PARTIAL " %s ", source);
	if (account_take(k, line, (size_t)n, e)) {
		sha256_free(&k->sha);
		return -1;
	}
	if (sha256_final(&k->sha, sha, e))
		return -1;
	hex_of(sha, sizeof sha, seal);
	n = snprintf(line, sizeof line, "%s\n", seal);
	*bytes = k->at + (uint64_t)n;
	return file_write(k->io, k->fd, line, (size_t)n, k->at, e);
}

/* Begins a temporary file that is to get the name of the record of part: the record that is there, of fewer bytes,
 * stays until this one can take its place. */
static int begin_record(struct file_out *r, const struct file_out *out, struct err *e)
{
	char record[300], side[300];

	record_of(out->part, record);
	if (!record[0] || strlen(record) >= sizeof r->name)
		return err_set(e, ERR_SYSTEM, "%s has no record", out->part);
	snprintf(side, sizeof side, "%s%s", out->name, MAN_SIDECAR);
	if (file_out_begin(r, out->io, out->dir, side, 0, e))
		return -1;
	snprintf(r->name, sizeof r->name, "%s", record);
	return 0;
}

int partial_save(const struct file_out *out, const struct account *a, struct err *e)
{
	struct account_sink k = { .io = out->io };
	struct file_out r = { 0 };

	if (begin_record(&r, out, e))
		return -1;
	k.fd = r.fd;
	if (put_record(&k, a, &r.size, e) || file_out_close(&r, e) || file_out_replace(&r, e)) {
		file_out_abandon(&r);
		return -1;
	}
	return 0;
}

/* --- loading --- */

/* Looks at the seal of the open record of size bytes. *why: what is wrong with it. */
static int look_at_seal(const struct io *io, int fd, uint64_t size, const struct ckpt *c,
	const char **why, struct err *e)
{
	static const char id[] = FORMAT_PARTIAL " ";
	char line[LINE + 1] = "", source[65], seal[65];
	struct sha256 s, *one = &s;
	uint8_t sha[32], buf[16 << 10];
	const void *p = buf;
	uint64_t at, end = size - 65;
	size_t n;

	*why = "its record is damaged";
	if (size <= LINE || size > (uint64_t)1 << 30)
		return 0;
	if (sha256_init(&s, NULL, e))
		return -1;
	for (at = 0; at < end; at += n) {
		n = end - at < sizeof buf ? (size_t)(end - at) : sizeof buf;
		if (file_read(io, fd, buf, n, at, e) || sha256_update(&one, &p, n, 1, e)) {
			sha256_free(&s);
			return -1;
		}
	}
	if (sha256_final(&s, sha, e) || file_read(io, fd, line, LINE, size - LINE, e) ||
		source_of(c, source, e))
		return -1;
	hex_of(sha, sizeof sha, seal);
	if (memcmp(line, id, sizeof id - 1) != 0 || memcmp(line + LINE - 65, seal, 64) != 0 ||
		line[LINE - 1] != '\n')
		return 0;
	*why = "the source has been touched since";
	if (!memcmp(line + sizeof id - 1, source, 64))
		*why = NULL;
	return 0;
}

bool partial_step(const struct sidecar *a, size_t i, const struct step *s, struct step_result *res)
{
	const struct sidecar_tensor *t = &a->tensors[i];
	const struct sidecar_source *src;
	uint32_t k;

	if (!recorded[s->op] || t->begin != s->out.begin || t->end != s->out.end ||
		t->op != s->op || t->n != step_sources(s) || strcmp(t->name, s->out.name) != 0 ||
		(t->inexact && (s->op != OP_GGML || t->n_lost)) || t->dropped[1])
		return false;
	res->out = t->xxh;
	res->blocks = t->blocks;
	res->inexact = t->inexact;
	for (k = 0; k < 3 && t->scaled; k++)
		res->scales[k] = t->e8m0[k];
	for (k = 0; k < t->n; k++) {
		src = &a->sources[t->first + k];
		if (src->has_xxh != step_records(s, k))
			return false;
		if (src->has_xxh)
			*(step_many(s) ? &res->many[k] : &res->src[k]) = src->xxh;
	}
	return true;
}

static bool take_record(struct partial *k, struct sidecar *a, const struct plan *p,
	const struct plan_file *f, struct stream *s)
{
	size_t i;

	if (strcmp(a->plan, p->hash) != 0 || strcmp(a->name, f->name) != 0 || !a->n ||
		a->n > f->n || a->header_bytes != f->header_bytes ||
		a->bytes != stream_bytes(f, a->n) ||
		a->n_chunks != mem_ceil_div(a->bytes, MAN_CHUNK))
		return false;
	for (i = 0; i < a->n; i++)
		if (!partial_step(a, i, &f->steps[i], &s->res[i]))
			return false;
	k->bytes = a->bytes;
	k->steps = a->n;
	k->chunks = a->chunks;
	a->chunks = NULL;
	return true;
}

int partial_load(struct partial *k, const struct io *io, int dir, const char *part,
	const struct plan *p, const struct plan_file *f, const char *tool, struct stream *s,
	const char **why, struct err *e)
{
	struct err wrong = { 0 };
	struct sidecar a;
	struct stat st;
	char record[300];
	int fd, rc;

	*k = (struct partial){ 0 };
	*why = "its record is damaged";
	record_of(part, record);
	if (!record[0] || file_open(io, dir, record, &fd, &st, &wrong))
		return wrong.kind == ERR_SYSTEM && errno != ENOENT ? err_move(e, &wrong) : 0;
	rc = look_at_seal(io, fd, (uint64_t)st.st_size, p->ckpt, why, &wrong);
	if (!rc && !*why) {
		rc = sidecar_read(&a, io, fd, (uint64_t)st.st_size - LINE, &wrong);
		if (!rc && strcmp(a.tool, tool) != 0)
			*why = "another version of this program has made it";
		else if (!rc && !take_record(k, &a, p, f, s))
			*why = "its record is of another plan";
		if (!rc)
			sidecar_free(&a);
	}
	(void)io->close(io, fd); /* read only */
	if (rc && wrong.kind == ERR_SYSTEM)
		return err_move(e, &wrong);
	if (rc)
		*why = "its record is damaged";
	if (!k->bytes)
		stream_forget(s);
	return 0;
}

void partial_free(struct partial *k)
{
	free(k->chunks);
	*k = (struct partial){ 0 };
}
