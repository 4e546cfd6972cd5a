/* st_check.h -- what must hold of every safetensors file that st_read takes, found out in another
 * way than st_read does (all pairs of tensors, 128-bit products, a table of types of its own); and
 * the properties that hold for any bytes at all, which the fuzzer and tests/test_st.c both check.
 *
 * Checks return NULL, or what is wrong. They are quadratic in the number of tensors.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TESTS_FUZZ_ST_CHECK_H
#define TESTS_FUZZ_ST_CHECK_H
#include "core/rule.h"
#include "formats/st/safetensors.h"
#include "tests/fuzz/mem_io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bits of an element by the type's name: the list of safetensors 0.8.0. */
static inline unsigned st_check_bits(const char *name)
{
	static const struct {
		unsigned bits;
		const char *names;
	} row[] = {
		{ 4, " F4 " },
		{ 6, " F6_E2M3 F6_E3M2 " },
		{ 8, " BOOL U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ " },
		{ 16, " I16 U16 F16 BF16 " },
		{ 32, " I32 U32 F32 " },
		{ 64, " C64 F64 I64 U64 " },
	};
	char key[32];
	size_t i;

	snprintf(key, sizeof key, " %s ", name);
	for (i = 0; i < sizeof row / sizeof *row; i++)
		if (strstr(row[i].names, key))
			return row[i].bits;
	return 0;
}

static inline const char *st_check_size(const struct tensor *t)
{
	unsigned __int128 all = 1, some = 1; /* some leaves the zeros out */
	unsigned i;

	for (i = 0; i < t->rank; i++) {
		if (t->dim[i] >> 48)
			return "a dimension beyond 2^48";
		all *= t->dim[i];
		some *= t->dim[i] ? t->dim[i] : 1;
		if (some >> 64)
			return "a shape that wraps";
	}
	all *= st_check_bits(dtypes[t->dtype].name);
	some *= st_check_bits(dtypes[t->dtype].name);
	if (some >> 64)
		return "a size that wraps";
	if (all % 8)
		return "no whole number of bytes";
	return t->begin <= t->end && all / 8 == t->end - t->begin ? NULL
								  : "offsets and shape differ";
}

static inline const char *st_check_name(const uint8_t *file, const struct tensor *t)
{
	size_t n = strlen(t->name), i;

	if (n < 1 || n > 1024)
		return "a name of no or too many bytes";
	for (i = 0; i < n; i += text_utf8((const unsigned char *)t->name + i, n - i))
		if ((unsigned char)t->name[i] < 0x20 || t->name[i] == 0x7f ||
			!text_utf8((const unsigned char *)t->name + i, n - i))
			return "a name with a control byte, or no UTF-8";
	if (!strcmp(t->name, "__metadata__"))
		return "__metadata__ as a tensor";
	if (t->pos < 9 || file[t->pos] != '"')
		return "pos is not where a name is";
	for (i = 0; i < n && file[t->pos + 1 + i] != '\\'; i++)
		if (file[t->pos + 1 + i] != (unsigned char)t->name[i])
			return "another name than at pos";
	return NULL;
}

/* Two tensors of one file. */
static inline const char *st_check_pair(const struct tensor *a, const struct tensor *b)
{
	if (!strcmp(a->name, b->name))
		return "a name twice";
	if (a->pos >= b->pos)
		return "not in header order";
	if (a->begin == a->end)
		return a->begin > b->begin && a->begin < b->end ? "an empty one inside another"
								: NULL;
	if (b->begin == b->end)
		return b->begin > a->begin && b->begin < a->end ? "an empty one inside another"
								: NULL;
	return a->begin < b->end && b->begin < a->end ? "two overlap" : NULL;
}

/* The rules, of a file of size bytes whose header was read as h; file has at least the header. */
static inline const char *st_check_rules(const uint8_t *file, uint64_t size,
	const struct st_header *h)
{
	uint64_t n = 0, sum = 0;
	const char *bad = NULL;
	size_t i, k;

	for (i = 8; i-- > 0;)
		n = n << 8 | file[i];
	if (size < 10 || n > size - 8 || h->data_at != n + 8 || file[8] != '{')
		return "the header is not where it should be";
	for (i = (size_t)h->data_at; file[i - 1] == ' '; i--)
		;
	if (file[i - 1] != '}')
		return "the header does not end with a brace";
	for (i = 0; i < h->n && !bad; i++) {
		bad = st_check_size(&h->tensors[i]);
		bad = bad ? bad : st_check_name(file, &h->tensors[i]);
		if (h->tensors[i].end > size - h->data_at)
			bad = "a tensor outside of the file";
		sum += h->tensors[i].end - h->tensors[i].begin;
		for (k = 0; k < i && !bad; k++)
			bad = st_check_pair(&h->tensors[k], &h->tensors[i]);
	}
	return bad ? bad : sum == size - h->data_at ? NULL : "bytes that belong to no tensor";
}

static inline const char *st_check_same(const struct tensor *a, const struct tensor *b)
{
	if (strcmp(a->name, b->name) || a->dtype != b->dtype || a->rank != b->rank)
		return "written and read again: another name, type or rank";
	if (memcmp(a->dim, b->dim, a->rank * sizeof *a->dim))
		return "written and read again: another shape";
	return a->begin == b->begin && a->end == b->end ? NULL
							: "written and read again: other offsets";
}

/* h, written with st_put_header and read again, is the same. */
static inline const char *st_check_again(const struct st_header *h, uint64_t payload)
{
	struct text t = { 0 };
	struct arena arena = { 0 };
	struct st_header g;
	struct mem_io m;
	struct err e = { 0 };
	const char *bad = NULL;
	size_t i;

	st_put_header(&t, h->tensors, h->n, sizeof *h->tensors);
	m = mem_io_of(t.s, t.n, 0, 0);
	if (t.n % 8)
		bad = "written: no multiple of 8";
	else if (st_read(&g, &m.io, 3, t.n + payload, UINT32_MAX, &arena, &e))
		bad = "written and read again: refused";
	else if (g.n != h->n || g.metadata || g.data_at != t.n)
		bad = "written and read again: another header";
	for (i = 0; i < g.n && !bad; i++)
		bad = st_check_same(&h->tensors[i], &g.tensors[i]);
	st_free(&g);
	arena_free(&arena);
	text_free(&t);
	return bad;
}

/* A report of a refusal: a rule from the table, with its kind and a place in the file. */
static inline const char *st_check_refusal(const struct err *e, const struct st_header *h,
	uint64_t size)
{
	static const struct st_header none;
	const struct rule *r;
	const char *c;

	if (memcmp(h, &none, sizeof none))
		return "refused, and the header is not zeroed";
	if (!e->rule || !e->text[0])
		return "refused without a rule or a text";
	for (r = rules; r->id && strcmp(r->id, e->rule); r++)
		;
	if (!r->id || r->kind != e->kind)
		return "refused by a rule that the table does not have so";
	for (c = e->text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return "a control byte in the report";
	return e->pos <= size ? NULL : "refused at a byte that the file does not have";
}

/* Reads a file of size bytes whose first n are at p. *end gets the size that the file should have
 * where only that is wrong (st.trailing says), else 0. */
static inline const char *st_check_read(const uint8_t *p, size_t n, uint64_t size, size_t most,
	uint64_t *end)
{
	struct arena arena = { 0 };
	struct st_header h;
	struct mem_io m = mem_io_of(p, n, 0, most);
	struct err e = { 0 };
	const char *bad;

	*end = 0;
	if (st_read(&h, &m.io, 3, size, ST_HEADER_CAP, &arena, &e)) {
		bad = st_check_refusal(&e, &h, size);
		if (!bad && !strcmp(e.rule, "st.trailing"))
			*end = e.pos;
	} else {
		bad = e.kind ? "accepted with an error" : st_check_rules(p, size, &h);
		if (!bad)
			bad = st_check_again(&h, size - h.data_at);
		*end = size;
	}
	st_free(&h);
	arena_free(&arena);
	return bad;
}

/* Everything above for one input: a first byte, and a file (the byte is even) or a header without
 * its length (odd). A header is tried before an endless payload; if that is all that is wrong, the
 * report says where the file should end: then it must be taken, and refused a byte shorter. */
static inline const char *st_check_input(const uint8_t *p, size_t n)
{
	enum { TAIL = 32 }; /* of the payload; readers look at 32 bytes for a hint */
	uint64_t end, shorter = 0;
	uint8_t *file;
	const char *bad;
	size_t i, most = n ? p[0] >> 1 : 0, data_at = 8 + n - 1;

	if (n == 0)
		return NULL;
	if (p[0] % 2 == 0)
		return st_check_read(p + 1, n - 1, n - 1, most, &end);
	file = calloc(1, data_at + TAIL);
	if (!file)
		return NULL;
	for (i = 0; i < 8; i++)
		file[i] = (uint8_t)((uint64_t)(n - 1) >> 8 * i);
	memcpy(file + 8, p + 1, n - 1);
	bad = st_check_read(file, data_at + TAIL, 1ull << 62, most, &end);
	if (!bad && end) {
		bad = st_check_read(file, data_at + TAIL, end, most, &shorter);
		if (!bad && shorter != end)
			bad = "st.trailing names the end, but there the file is refused";
		if (!bad && end > data_at)
			bad = st_check_read(file, data_at + TAIL, end - 1, most, &shorter);
		if (!bad && shorter == end - 1)
			bad = "a byte too short and taken";
	}
	free(file);
	return bad;
}
#endif
