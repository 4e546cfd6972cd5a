/* SPDX-License-Identifier: MIT */
#include "formats/archive/seek.h"

#include "core/file.h"
#include "formats/archive/le32.h"

#include <stdlib.h>
#include <string.h>

enum {
	FOOTER = 9,
	ENTRY = 12,
	SKIP_HEAD = 8,
	SUMS = 0x80,
	ENTRIES = 4096 /* are read at a time */
};
#define MAGIC_SKIP 0x184D2A5Eu
#define MAGIC_TABLE 0x8F92EAB1u

void seek_free(struct seek *s)
{
	free(s->v);
	memset(s, 0, sizeof *s);
}

/* Takes the entry at p as frame i of n. All frames lie one after the other before byte end. */
static int take_entry(struct seek *s, size_t i, size_t n, const uint8_t *p, uint64_t end,
	struct err *e)
{
	struct seek_frame f = { s->packed, s->bytes, le32_get(p), le32_get(p + 4),
		le32_get(p + 8) };

	if (!f.bytes || f.bytes > FRAME_MOST || !f.packed || f.packed > frame_bound(f.bytes) ||
		f.packed > end - s->packed)
		return err_rule(e, RULE_ARCHIVE_TABLE, ERR_NOPOS,
			"its seek table says that frame %zu of %zu has %u bytes of %u, which no frame "
			"has that pack writes",
			i, n, f.packed, f.bytes);
	s->v[i] = f;
	s->packed += f.packed;
	s->bytes += f.bytes;
	return 0;
}

/* Reads n entries from byte at on. Together their frames must fill the file up to byte end. */
static int take_entries(struct seek *s, const struct io *io, int fd, uint64_t at, size_t n,
	uint64_t end, struct err *e)
{
	uint8_t *p = malloc(ENTRIES * ENTRY);
	size_t i, k = 0, j;

	s->v = malloc((n + 1) * sizeof *s->v);
	if (!p || !s->v) {
		free(p);
		return err_nomem(e);
	}
	for (i = 0; i < n; i += k, at += k * ENTRY) {
		k = n - i < ENTRIES ? n - i : ENTRIES;
		if (file_read(io, fd, p, k * ENTRY, at, e))
			break;
		for (j = 0; j < k && !take_entry(s, i + j, n, p + j * ENTRY, end, e); j++)
			;
		if (j < k)
			break;
	}
	free(p);
	s->n = n;
	if (i < n)
		return -1;
	return s->packed == end ? 0
				: err_rule(e, RULE_ARCHIVE_TABLE, ERR_NOPOS,
					  "the frames of its seek table have %llu bytes, and %llu "
					  "lie before the table",
					  (unsigned long long)s->packed, (unsigned long long)end);
}

static int no_table(struct err *e)
{
	return err_rule(e, RULE_ARCHIVE_TABLE, ERR_NOPOS,
		"it does not end with a seek table of at most %d frames with their sums: it is cut off, "
		"or another program has written it",
		SEEK_MOST);
}

int seek_read(struct seek *s, const struct io *io, int fd, uint64_t size, struct err *e)
{
	uint8_t foot[FOOTER], head[SKIP_HEAD];
	uint64_t table;
	size_t n;

	memset(s, 0, sizeof *s);
	if (size < SKIP_HEAD + FOOTER)
		return no_table(e);
	if (file_read(io, fd, foot, FOOTER, size - FOOTER, e))
		return -1;
	n = le32_get(foot);
	table = SKIP_HEAD + (uint64_t)n * ENTRY + FOOTER;
	if (le32_get(foot + 5) != MAGIC_TABLE || foot[4] != SUMS || n > SEEK_MOST || table > size)
		return no_table(e);
	if (file_read(io, fd, head, SKIP_HEAD, size - table, e))
		return -1;
	if (le32_get(head) != MAGIC_SKIP || le32_get(head + 4) != table - SKIP_HEAD)
		return err_rule(e, RULE_ARCHIVE_TABLE, ERR_NOPOS,
			"its seek table does not begin where it should");
	if (!take_entries(s, io, fd, size - table + SKIP_HEAD, n, size - table, e))
		return 0;
	seek_free(s);
	return -1;
}

size_t seek_find(const struct seek *s, uint64_t at)
{
	size_t lo = 0, hi = s->n;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->v[mid].from <= at)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

int seek_load(const struct seek *s, size_t i, const struct io *io, int fd, struct frame_coder *c,
	uint8_t *room, uint8_t *out, struct err *e)
{
	const struct seek_frame *f = &s->v[i];
	int rc;

	if (file_read(io, fd, room, f->packed, f->at, e))
		return -1;
	rc = frame_unpack(c, s->filter, room, f->packed, out, f->bytes, e);
	if (rc < 0)
		return -1;
	if (rc && frame_sum(out, f->bytes) == f->sum)
		return 0;
	return err_rule(e, RULE_ARCHIVE_FRAME, f->at,
		"frame %zu of %zu, bytes %llu to %llu of what it restores, is damaged", i, s->n,
		(unsigned long long)f->from, (unsigned long long)(f->from + f->bytes));
}

void seek_put(struct text *out, const struct seek_frame *v, size_t n)
{
	uint8_t b[ENTRY];
	size_t i;

	le32_set(b, MAGIC_SKIP);
	le32_set(b + 4, (uint32_t)(n * ENTRY + FOOTER));
	text_put(out, b, SKIP_HEAD);
	for (i = 0; i < n; i++) {
		le32_set(b, v[i].packed);
		le32_set(b + 4, v[i].bytes);
		le32_set(b + 8, v[i].sum);
		text_put(out, b, ENTRY);
	}
	le32_set(b, (uint32_t)n);
	b[4] = SUMS;
	le32_set(b + 5, MAGIC_TABLE);
	text_put(out, b, FOOTER);
}
