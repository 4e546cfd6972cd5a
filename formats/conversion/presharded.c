/* SPDX-License-Identifier: MIT */
#include "formats/conversion/presharded.h"

#include "core/file.h"
#include "core/hash/xxh.h"
#include "formats/conversion/head.h"
#include "formats/dtype.h"
#include "formats/model/sglang_name.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 1 << 20 };

static const char *const names[DT_COUNT] = {
	[DT_U8] = "uint8",
	[DT_I8] = "int8",
	[DT_I32] = "int32",
	[DT_I64] = "int64",
	[DT_BF16] = "bfloat16",
	[DT_F32] = "float32",
	[DT_F8_E4M3] = "float8_e4m3fn",
	[DT_F8_E8M0] = "float8_e8m0fnu",
};

const char *presharded_dtype(unsigned dtype)
{
	return dtype < DT_COUNT && names[dtype] ? names[dtype] : "";
}

bool presharded_folder(const struct io *io, const char *path)
{
	struct head h;
	int dir, rc;

	if (file_open_dir(io, path, &dir, NULL))
		return false;
	rc = head_read(&h, io, dir, NULL);
	(void)io->close(io, dir); /* a folder has nothing to flush */
	return !rc && !strcmp(h.target, SGLANG_TARGET);
}

struct maker {
	struct text *out;
	const struct io *io;
	int dir;
	uint64_t ranks;
	const struct presharded_file *files;
	size_t n;
	struct xxh *xxh; /* owns */
	uint8_t *room;   /* owns; ROOM bytes */
	uint64_t *sums;  /* owns; [ranks] */
};

/* What Python prints of shape and type. */
static int put_prefix(struct maker *m, const struct presharded_tensor *t, struct err *e)
{
	struct text s = { 0 };
	unsigned i;
	int rc;

	text_str(&s, "(");
	for (i = 0; i < t->rank; i++)
		text_fmt(&s, i ? ", %llu" : "%llu", (unsigned long long)t->dim[i]);
	text_fmt(&s, "%s)torch.%s", t->rank == 1 ? "," : "", presharded_dtype(t->dtype));
	rc = s.failed ? err_nomem(e) : 0;
	xxh_reset(m->xxh);
	if (!rc)
		xxh_update(m->xxh, s.s, s.n);
	text_free(&s);
	return rc;
}

/* Adds a tensor to the sum of its rank. */
static int add(struct maker *m, int fd, uint64_t rank, const struct presharded_tensor *t,
	struct err *e)
{
	struct xxh_digest d;
	uint64_t done, n, half = 0;
	char hex[33];
	unsigned i;

	if (put_prefix(m, t, e))
		return -1;
	for (done = 0; done < t->bytes; done += n) {
		n = t->bytes - done < ROOM ? t->bytes - done : ROOM;
		if (file_read(m->io, fd, m->room, (size_t)n, t->at + done, e))
			return -1;
		xxh_update(m->xxh, m->room, (size_t)n);
	}
	d = xxh_final(m->xxh);
	hex_of(d.b, sizeof d.b, hex);
	xxh_reset(m->xxh);
	xxh_update(m->xxh, t->name, strlen(t->name));
	xxh_update(m->xxh, ":", 1);
	xxh_update(m->xxh, hex, 32);
	d = xxh_final(m->xxh);
	for (i = 0; i < 8; i++)
		half = half << 8 | d.b[i];
	m->sums[rank] += half; /* wraps */
	return 0;
}

static int add_file(struct maker *m, const struct presharded_file *f, struct err *e)
{
	int fd = m->io->open(m->io, m->dir, f->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0), rc = 0;
	size_t i;

	if (fd < 0)
		return err_sys(e, "cannot open %s", f->name);
	for (i = 0; !rc && i < f->n; i++)
		rc = add(m, fd, f->rank, &f->v[i], e);
	(void)m->io->close(m->io, fd); /* read only */
	return rc ? err_at(e, "%s", f->name) : 0;
}

static void put_files(const struct maker *m)
{
	const struct presharded_file *f = m->files;
	const struct presharded_tensor *t;
	size_t i, k;

	for (i = 0; i < m->n; i++, f++) {
		text_fmt(m->out,
			"%s\n    {\"filename\": \"%s\", \"writer_rank\": %llu, \"rank_list\": [%llu], \"is_common\": false, \"tensors\": [",
			i ? "," : "", f->name, (unsigned long long)f->rank,
			(unsigned long long)f->rank);
		for (k = 0; k < f->n; k++) {
			t = &f->v[k];
			text_fmt(m->out,
				"%s\n      {\"stored_key\": \"%s\", \"size\": %llu, \"rank_to_names\": {\"%llu\": [\"%s\"]}}",
				k ? "," : "", t->name, (unsigned long long)t->bytes,
				(unsigned long long)f->rank, t->name);
		}
		text_str(m->out, "\n    ]}");
	}
}

static void put_reads(const struct maker *m, uint64_t rank)
{
	const struct presharded_file *f = m->files;
	bool first = true;
	size_t i, k;

	for (i = 0; i < m->n; i++, f++)
		for (k = 0; f->rank == rank && k < f->n; k++, first = false)
			text_fmt(m->out,
				"%s\n      {\"filename\": \"%s\", \"stored_key\": \"%s\", \"name\": \"%s\", \"is_extra\": false}",
				first ? "" : ",", f->name, f->v[k].name, f->v[k].name);
}

static void put_all(const struct maker *m, const char *shard_config)
{
	uint64_t r;

	text_fmt(m->out, "{\n  \"version\": 1,\n  \"world_size\": %llu,\n  \"files\": [",
		(unsigned long long)m->ranks);
	put_files(m);
	text_str(m->out, "\n  ],\n  \"rank_to_reads\": {");
	for (r = 0; r < m->ranks; r++) {
		text_fmt(m->out, "%s\n    \"%llu\": [", r ? "," : "", (unsigned long long)r);
		put_reads(m, r);
		text_str(m->out, "\n    ]");
	}
	text_str(m->out, "\n  },\n  \"rank_checksums\": {");
	for (r = 0; r < m->ranks; r++)
		text_fmt(m->out, "%s\n    \"%llu\": \"%016llx\"", r ? "," : "",
			(unsigned long long)r, (unsigned long long)m->sums[r]);
	text_fmt(m->out, "\n  },\n  \"shard_config\": %s\n}\n", shard_config);
}

void presharded_ready(struct text *out, uint64_t ranks)
{
	text_fmt(out, "{\"plan_version\": 1, \"world_size\": %llu, \"created_at\": 0}",
		(unsigned long long)ranks);
}

int presharded_put(struct text *out, const struct io *io, int dir, const char *shard_config,
	uint64_t ranks, const struct presharded_file *files, size_t n, struct err *e)
{
	struct maker m = { .out = out,
		.io = io,
		.dir = dir,
		.ranks = ranks,
		.files = files,
		.n = n,
		.xxh = xxh_new(),
		.room = malloc(ROOM),
		.sums = calloc(ranks + 1, sizeof *m.sums) };
	int rc = m.xxh && m.room && m.sums ? 0 : err_nomem(e);
	size_t i;

	for (i = 0; !rc && i < n; i++)
		rc = files[i].rank < ranks
			? add_file(&m, &files[i], e)
			: err_set(e, ERR_DATA, "%s is of no rank", files[i].name);
	if (!rc)
		put_all(&m, shard_config);
	xxh_free(m.xxh);
	free(m.room);
	free(m.sums);
	return rc ? -1 : out->failed ? err_nomem(e) : 0;
}
