/* gguf_check.h -- what must hold of every GGUF header that gguf_file_read takes, found out in another way than it
 * does (all pairs of tensors, 128-bit products, blocks of types from their parts); and the properties that hold for
 * any bytes at all, which the fuzzer and tests/test_gguf.c both check.
 *
 * Checks return NULL, or what is wrong. They are quadratic in the number of tensors.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_GGUF_CHECK_H
#define TESTS_FUZZ_GGUF_CHECK_H
#include "core/rule.h"
#include "formats/gguf/ggml_type.h"
#include "formats/gguf/gguf_file.h"
#include "formats/gguf/gguf_write.h"
#include "tests/fuzz/mem_io.h"

#include <stdlib.h>
#include <string.h>

/* A file in memory with zeros behind it, as far as one reads. */
static inline ssize_t gguf_check_pread(const struct io *io, int fd, void *buf, size_t n, off_t at)
{
	const struct mem_io *m = (const struct mem_io *)(const void *)io;

	if ((size_t)at >= m->n) {
		memset(buf, 0, n);
		return (ssize_t)n;
	}
	return mem_io_pread(io, fd, buf, n, at);
}

static inline const char *gguf_check_tensor(const struct gguf_file *f, const struct gguf_tensor *t,
	uint64_t size)
{
	const struct ggml_type_row *r = ggml_type_find(t->type);
	unsigned __int128 n = 1;
	unsigned i;

	if (!r || t->rank > 4)
		return "a type or rank that there is not";
	for (i = 0; i < 4; i++) {
		if (i >= t->rank && t->dim[i] != 1)
			return "a dimension beyond the rank is not 1";
		n *= t->dim[i];
		if (n >> 64)
			return "a shape that wraps";
	}
	if (t->dim[0] % r->items || n / r->items * r->bytes != t->bytes)
		return "bytes that are not those of the shape";
	if (t->at % f->alignment || f->data_at % f->alignment)
		return "a tensor that is not aligned";
	if (f->data_at + t->at + t->bytes > size)
		return "a tensor outside of the file";
	return *t->name && strlen(t->name) < 64 ? NULL : "a name of no or too many bytes";
}

static inline const char *gguf_check_pair(const struct gguf_tensor *a, const struct gguf_tensor *b)
{
	if (!strcmp(a->name, b->name))
		return "a name twice";
	if (a->pos >= b->pos)
		return "not in the order of the file";
	return a->at + a->bytes > b->at ? "two overlap" : NULL;
}

static inline const char *gguf_check_rules(const struct gguf_file *f, uint64_t size)
{
	const char *bad = NULL;
	uint64_t used = 0;
	size_t i, k;

	for (i = 0; i < f->n && !bad; i++) {
		bad = gguf_check_tensor(f, &f->tensors[i], size);
		for (k = 0; k < i && !bad; k++)
			bad = gguf_check_pair(&f->tensors[k], &f->tensors[i]);
		used += f->tensors[i].bytes + f->alignment - 1;
	}
	if (!bad && f->n && size - f->data_at > used)
		bad = "bytes that belong to no tensor";
	return bad;
}

/* A report of a refusal: a rule from the table, with its kind and a place in the file. */
static inline const char *gguf_check_refusal(const struct err *e, const struct gguf_file *f,
	uint64_t size)
{
	static const struct gguf_file none;
	const struct rule *r;
	const char *c;

	if (memcmp(f, &none, sizeof none))
		return "refused, and the struct is not zeroed";
	if (!e->rule || !e->text[0])
		return "refused without a rule or a text";
	r = rule_find(e->rule);
	if (!r || r->kind != e->kind)
		return "refused by a rule that the table does not have so";
	for (c = e->text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return "a control byte in the report";
	return e->pos <= size ? NULL : "refused at a byte that the file does not have";
}

/* Copies metadata, items and all, to a writer. */
static inline int gguf_check_copy(void *ctx, struct gguf *g, const struct gguf_value *v,
	struct err *e)
{
	struct gguf_out *o = ctx;
	struct gguf_value item;
	int more;

	(void)e;
	gguf_put_value(o, g->key.s, v);
	while (g->depth) {
		more = gguf_item(g, &item);
		if (more < 0)
			return -1;
		if (more)
			gguf_put_item(o, &item);
	}
	return 0;
}

/* Whether some F32 of the metadata may be a NaN, whose bits a conversion to double does not keep. */
static inline bool gguf_check_nan(const uint8_t *p, size_t n)
{
	size_t i;

	for (i = 0; i + 4 <= n; i++)
		if ((p[i + 3] & 0x7f) == 0x7f && p[i + 2] >= 0x80)
			return true;
	return false;
}

/* What was read, written again, is what was there. */
static inline const char *gguf_check_again(const struct gguf_file *f, struct gguf_out *o,
	const uint8_t *p, size_t n)
{
	const struct gguf_tensor *t;
	struct text head = { 0 };
	const char *bad = NULL;
	size_t i;

	o->alignment = f->alignment;
	for (i = 0; i < f->n && !bad; i++) {
		t = &f->tensors[i];
		if (gguf_put_tensor(o, t->name, t->type, t->dim, t->rank) != t->at)
			bad = "written again: another offset";
	}
	gguf_write_head(o, &head);
	if (!bad && (head.failed || head.n != f->data_at || head.n != gguf_write_head_bytes(o)))
		bad = "written again: a header of another length";
	n = n < 24 + o->pairs.n + o->infos.n ? n : 24 + o->pairs.n + o->infos.n;
	if (!bad && memcmp(head.s, p, n) && !gguf_check_nan(p, n))
		bad = "written again: other bytes";
	text_free(&head);
	return bad;
}

/* Reads a file of size bytes whose first n are at p, the rest zeros. *end gets the size that it should have where only
 * that is wrong, *rule the rule by which it was refused. */
static inline const char *gguf_check_read(const uint8_t *p, size_t n, uint64_t size, size_t most,
	uint64_t *end, const char **rule)
{
	struct arena arena = { 0 };
	struct gguf_out o = { 0 };
	struct gguf_file f;
	struct mem_io m = mem_io_of(p, n, 0, most);
	struct err e = { 0 }, e2 = { 0 };
	const char *bad;
	int rc;

	*end = 0;
	*rule = NULL;
	m.io.pread = gguf_check_pread;
	if (gguf_file_read(&f, &m.io, 3, size, gguf_check_copy, &o, &arena, &e)) {
		bad = gguf_check_refusal(&e, &f, size);
		*rule = e.rule;
		if (!bad && e.rule && !strcmp(e.rule, "gguf.trailing"))
			*end = e.pos;
	} else {
		*end = size;
		bad = e.kind ? "accepted with an error" : gguf_check_rules(&f, size);
		bad = bad ? bad : gguf_check_again(&f, &o, p, n);
		gguf_file_free(&f);
	}
	/* whoever looks at nothing comes to the same end */
	rc = gguf_file_read(&f, &m.io, 3, size, NULL, NULL, &arena, &e2);
	if (!bad &&
		(e.rule ? !rc || !e2.rule || strcmp(e.rule, e2.rule) || e.pos != e2.pos : rc != 0))
		bad = "stepping over values and reading them differ";
	gguf_file_free(&f);
	gguf_out_free(&o);
	arena_free(&arena);
	return bad;
}

/* Everything above for one input: a first byte, and a file (the byte is even) or what follows magic and version (odd).
 * The second is tried with some zeros behind it; if that is all that is wrong, the report says where the file should end:
 * then it must be taken, and refused where it is cut. */
static inline const char *gguf_check_input(const uint8_t *p, size_t n)
{
	enum { ZEROS = 4096 }; /* little, so that arrays in them cost little */
	uint64_t end, cut = 0;
	uint8_t *file;
	const char *bad, *rule;
	size_t most = n ? p[0] >> 1 : 0;

	if (n == 0)
		return NULL;
	if (p[0] % 2 == 0)
		return gguf_check_read(p + 1, n - 1, n - 1, most, &end, &rule);
	file = malloc(8 + n - 1);
	if (!file)
		return NULL;
	memcpy(file, "GGUF\3\0\0", 8);
	memcpy(file + 8, p + 1, n - 1);
	bad = gguf_check_read(file, 8 + n - 1, 8 + n - 1 + ZEROS, most, &end, &rule);
	if (!bad && rule && end) {
		bad = gguf_check_read(file, 8 + n - 1, end, most, &cut, &rule);
		if (!bad && cut != end)
			bad = "gguf.trailing names the end, but there the file is refused";
		if (!bad)
			bad = gguf_check_read(file, 8 + n - 1, end + 1, most, &cut, &rule);
		if (!bad && (!rule || strcmp(rule, "gguf.trailing")))
			bad = "a byte too long and not refused for it";
	}
	free(file);
	return bad;
}
#endif
