/* test_gguf.c -- GGUF headers: what the reader takes, what it refuses, by which rule and at which byte; parts; what it
 * costs on hostile files; and that the writer's bytes are those that were read.
 *
 * The second opinion on what was taken is in tests/fuzz/gguf_check.h; tests/oracle/runtime_gguf.py holds both reader and writer
 * against the Python package gguf.
 *
 * SPDX-License-Identifier: MIT */
#include "core/file.h"
#include "formats/gguf/gguf_set.h"
#include "tests/sanitized.h"
#include "tests/check.h"
#include "tests/dirs.h"
#include "tests/fuzz/gguf_check.h"
#include "tests/gguf_asm.h"

#include <sys/resource.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Tensor entries have this at the end: no tensor, then a tensor of 4 F32, with its data. */
#define A4 INFO1("a", 4, 0, 0)
#define B4 INFO1("b", 4, 0, 32)

struct outcome {
	struct gguf_file f;
	struct arena arena;
	struct err e;
	int rc;
};

static struct outcome read_mem(const void *p, size_t n, uint64_t size, size_t most)
{
	struct outcome o = { 0 };
	struct mem_io m = mem_io_of(p, n, 0, most);

	m.io.pread = gguf_check_pread;
	o.rc = gguf_file_read(&o.f, &m.io, 3, size, NULL, NULL, &o.arena, &o.e);
	return o;
}

static void outcome_free(struct outcome *o)
{
	gguf_file_free(&o->f);
	arena_free(&o->arena);
}

static bool seen[1024]; /* rules that some case was refused by */

static void refuse(const char *name, const struct text *t, uint64_t size, const char *rule,
	uint64_t pos)
{
	static const size_t most[] = { 0, 1, 7 };
	struct outcome o;
	const char *bad, *r2;
	uint64_t end;
	size_t i;

	for (i = 0; i < COUNT(most); i++) {
		o = read_mem(t->s, t->n, size, most[i]);
		if (o.rc == 0 || !o.e.rule || strcmp(o.e.rule, rule) ||
			(pos != SIZE_MAX && o.e.pos != pos))
			fprintf(stderr, "%s: %s at %llu, expected %s at %llu: %s\n", name,
				o.rc ? o.e.rule : "taken", (unsigned long long)o.e.pos, rule,
				(unsigned long long)pos, o.e.text);
		CHECK_IN(name, o.rc == -1 && o.e.rule && !strcmp(o.e.rule, rule));
		CHECK_IN(name, pos == SIZE_MAX || o.e.pos == pos);
		outcome_free(&o);
	}
	bad = gguf_check_read((const uint8_t *)t->s, t->n, size, 0, &end, &r2);
	CHECK_IN(bad ? bad : name, !bad);
	if (rule_find(rule))
		seen[rule_find(rule) - rules] = true;
}

/* clang-format off */
static const struct {
	const char *name, *text, *rule;
} bad[] = {
	/* the first bytes */
	{ "no GGUF", "^ rNOPE z64", "gguf.magic" },
	{ "a web page", "^ r<!DOCTYPE_html> z64", "gguf.magic" },
	{ "a Git-LFS pointer", "^ rversion_https://git-lfs z64", "gguf.magic" },
	{ "an archive", "^ rPK x0304 z64", "gguf.magic" },
	{ "zeros", "^ z64", "gguf.magic" },
	{ "big endian", "rGGUF ^ x00000003 q0 q0", "gguf.version" },
	{ "version 2", "rGGUF ^ w2 q0 q0", "gguf.version" },
	{ "version 1", "rGGUF ^ w1 q0 q0", "gguf.version" },
	{ "version 4", "rGGUF ^ w4 q0 q0", "gguf.version" },
	{ "version 0", "rGGUF ^ w0 q0 q0", "gguf.version" },
	{ "nothing", "^", "gguf.cut" },
	{ "two bytes", "^ rGG", "gguf.cut" },
	{ "magic alone", "rGGUF ^", "gguf.cut" },
	{ "no counts", "G ^", "gguf.cut" },
	{ "one count", "G q0 ^ w0", "gguf.cut" },

	/* counts that the file has no room for */
	{ "one tensor in no bytes", "G ^ q1 q0", "gguf.count" },
	{ "one pair in no bytes", "G ^ q0 q1", "gguf.count" },
	{ "2^64-1 tensors", "G ^ q-1 q0 z100", "gguf.count" },
	{ "2^64-1 pairs", "G ^ q0 q-1 z100", "gguf.count" },
	{ "both 2^63", "G ^ q0x8000000000000000 q0x8000000000000000 z100", "gguf.count" },
	{ "sizes that wrap to little", "G ^ q0x0a3d70a3d70a3d71 q0 z100", "gguf.count" },
	{ "one pair more than there can be", "G ^ q0 q8 z98", "gguf.count" },
	{ "one tensor more than there can be", "G ^ q5 q0 z100", "gguf.count" },

	/* keys */
	{ "key of no bytes", GG(0, 1) "^ s w4 w1", "gguf.text" },
	{ "key with a newline", GG(0, 1) "q3 ra ^ x0a rb w4 w1", "gguf.text" },
	{ "key with NUL", GG(0, 1) "q3 ra ^ x00 rb w4 w1", "gguf.text" },
	{ "key with DEL", GG(0, 1) "q3 ra ^ x7f rb w4 w1", "gguf.text" },
	{ "key in Latin-1", GG(0, 1) "q3 ra ^ xe4 rb w4 w1", "gguf.text" },
	{ "key overlong", GG(0, 1) "q3 ra ^ xc0af w4 w1", "gguf.text" },
	{ "key a surrogate", GG(0, 1) "q3 ^ xeda080 w4 w1", "gguf.text" },
	{ "key beyond the file", GG(0, 1) "^ q20 rshort w4 w1", "gguf.cut" },
	{ "key of 2^64-1 bytes", GG(0, 1) "^ q-1 rshort w4 w1", "gguf.cut" },
	{ "key of 2^63 bytes", GG(0, 1) "^ q0x8000000000000000 rshort w4 w1", "gguf.cut" },
	{ "key twice", GG(0, 2) KEY("k", 4) "w1 ^ " KEY("k", 4) "w1", "gguf.key-twice" },
	{ "key twice, another type", GG(0, 2) KEY("k", 4) "w1 ^ " KEY("k", 0) "b1", "gguf.key-twice" },
	{ "key twice, not side by side", GG(0, 3) KEY("k", 4) "w1 " KEY("j", 4) "w1 ^ " KEY("k", 4) "w1", "gguf.key-twice" },
	{ "two pairs of keys: the first in the file is named", GG(0, 4) KEY("z", 0) "b1 " KEY("a", 0) "b1 ^ " KEY("z", 0) "b1 " KEY("a", 0) "b1", "gguf.key-twice" },
	{ "alignment twice, the same", GG(0, 2) ALIGN(32) "^ " ALIGN(32), "gguf.key-twice" },
	{ "zeros for a key", GG(0, 2) KEY("kkkkkkkkkkkkkkkk", 4) "w1 ^ z9", "gguf.text" },
	{ "cut behind a pair", GG(0, 2) KEY("kkkkkkkkkkkkkkkk", 4) "w1 ^", "gguf.cut" },

	/* values */
	{ "type 13", GG(0, 1) "sk ^ w13 q0", "gguf.type" },
	{ "type 2^32-1", GG(0, 1) "sk ^ w-1 q0", "gguf.type" },
	{ "bool 2", GG(0, 1) "sk w7 ^ b2", "gguf.value" },
	{ "bool 255", GG(0, 1) "sk w7 ^ b255", "gguf.value" },
	{ "bool 2 in an array", GG(0, 1) "sk w9 w7 q3 b1 b0 ^ b2", "gguf.value" },
	{ "u64 cut", GG(0, 1) "skkkk w10 ^ w1", "gguf.cut" },
	{ "string beyond the file", GG(0, 1) "sk w8 ^ q5 rabcd", "gguf.cut" },
	{ "string of 2^64-1 bytes", GG(0, 1) "sk w8 ^ q-1 rabcd", "gguf.cut" },
	{ "string in Latin-1", GG(0, 1) "sk w8 q2 ra ^ xe4", "gguf.text" },
	{ "string in an array in Latin-1", GG(0, 1) "sk w9 w8 q2 sab q2 ra ^ xff", "gguf.text" },
	{ "array of type 13", GG(0, 1) "sk w9 ^ w13 q0", "gguf.type" },
	{ "array of 2^64-1", GG(0, 1) "sk w9 ^ w0 q-1", "gguf.count" },
	{ "array of 2^61+1 u64: bytes wrap to 8", GG(0, 1) "sk w9 ^ w10 q0x2000000000000001 q0", "gguf.count" },
	{ "array of one too many", GG(0, 1) "sk w9 ^ w4 q3 w1 w2", "gguf.count" },
	{ "array of strings of one too many", GG(0, 1) "sk w9 ^ w8 q3 s s", "gguf.count" },
	{ "array of arrays of one too many", GG(0, 1) "sk w9 ^ w9 q2 w0 q0", "gguf.count" },
	{ "arrays five deep", GG(0, 1) "sk w9 w9 q1 w9 q1 w9 q1 w9 q1 ^ w9 q1 w0 q0", "gguf.limit" },
	{ "array in an array cut", GG(0, 1) "sk w9 w9 q1 ^ w0 q9 z8", "gguf.count" },

	/* the keys of the file itself */
	{ "alignment 0", GG(0, 1) KEY("general.alignment", 4) "^ w0", "gguf.alignment" },
	{ "alignment 33", GG(0, 1) KEY("general.alignment", 4) "^ w33", "gguf.alignment" },
	{ "alignment 4", GG(0, 1) KEY("general.alignment", 4) "^ w4", "gguf.alignment" },
	{ "alignment 24, a multiple of 8", GG(0, 1) KEY("general.alignment", 4) "^ w24", "gguf.alignment" },
	{ "alignment 2^21", GG(0, 1) KEY("general.alignment", 4) "^ w0x200000", "gguf.alignment" },
	{ "alignment 2^31", GG(0, 1) KEY("general.alignment", 4) "^ w0x80000000", "gguf.alignment" },
	{ "alignment as u64", GG(0, 1) KEY("general.alignment", 10) "^ q32", "gguf.value" },
	{ "alignment as i32", GG(0, 1) KEY("general.alignment", 5) "^ w32", "gguf.value" },
	{ "alignment as array", GG(0, 1) KEY("general.alignment", 9) "^ w4 q1 w32", "gguf.value" },
	{ "alignment as string", GG(0, 1) KEY("general.alignment", 8) "^ s32", "gguf.value" },
	{ "split.no as u32", GG(0, 1) KEY("split.no", 4) "^ w0", "gguf.value" },
	{ "split.count as i32", GG(0, 1) KEY("split.count", 5) "^ w1", "gguf.value" },
	{ "split.tensors.count as u16", GG(0, 1) KEY("split.tensors.count", 2) "^ h1", "gguf.value" },
	{ "split.tensors.count negative", GG(0, 1) KEY("split.tensors.count", 5) "^ w-1", "gguf.value" },
	{ "dsv4.run a number", GG(0, 1) KEY("dsv4.run", 4) "^ w1", "gguf.value" },
	{ "dsv4.run with NUL", GG(0, 1) KEY("dsv4.run", 8) "^ q2 ra x00", "gguf.value" },
	{ "dsv4.run of 65 bytes", GG(0, 1) KEY("dsv4.run", 8) "^ s01234567890123456789012345678901234567890123456789012345678901234", "gguf.value" },

	/* the list of tensors */
	{ "list cut", GG(2, 0) A4 "^ z7 p32 z70", "gguf.text" },
	{ "tensor name of no bytes", GG(1, 0) "^ s w1 q4 w0 q0 p32 z16", "gguf.text" },
	{ "tensor name with ESC", GG(1, 0) "q2 ra ^ x1b w1 q4 w0 q0 p32 z16", "gguf.text" },
	{ "tensor name of 64 bytes", GG(1, 0) "^ s0123456789012345678901234567890123456789012345678901234567890123 w1 q4 w0 q0 p32 z16", "gguf.limit" },
	{ "tensor name beyond the file", GG(1, 0) "^ q99 ra w1 q4 w0 q0 p32 z16", "gguf.cut" },
	{ "five dimensions", GG(1, 0) "^ sa w5 q1 q1 q1 q1 q4 w0 q0 p32 z16", "gguf.rank" },
	{ "2^32-1 dimensions", GG(1, 0) "^ sa w-1 q4 w0 q0 p32 z16", "gguf.rank" },
	{ "dimension 2^63", GG(1, 0) "^ sa w1 q0x8000000000000000 w0 q0 p32 z16", "gguf.shape" },
	{ "dimension -1", GG(1, 0) "^ sa w2 q-1 q-1 w0 q0 p32 z16", "gguf.shape" },
	{ "product wraps to 0", GG(1, 0) "^ " INFO2("a", 0x100000000, 0x100000000, 0, 0) "p32 z16", "gguf.shape" },
	{ "product wraps to 4", GG(1, 0) "^ " INFO3("a", 111620, 429509837, 384773, 0, 0) "p32 z16", "gguf.shape" },
	{ "product wraps before a zero", GG(1, 0) "^ " INFO3("a", 0x100000000, 0x100000000, 0, 0, 0) "p32", "gguf.shape" },
	{ "product wraps behind a zero", GG(1, 0) "^ " INFO3("a", 0, 0x100000000, 0x100000000, 0, 0) "p32", "gguf.shape" },
	{ "bytes wrap", GG(1, 0) "^ " INFO1("a", 0x4000000000000000, 0, 0) "p32 z16", "gguf.shape" },
	{ "row of MXFP4 of 31", GG(1, 0) "^ " INFO2("a", 31, 32, 39, 0) "p32 z999", "gguf.shape" },
	{ "row of MXFP4 of 1, 32 rows", GG(1, 0) "^ " INFO2("a", 1, 32, 39, 0) "p32 z17", "gguf.shape" },
	{ "row of Q4_K of 32", GG(1, 0) "^ " INFO1("a", 32, 12, 0) "p32 z144", "gguf.shape" },
	{ "row of NVFP4 of 32", GG(1, 0) "^ " INFO1("a", 32, 40, 0) "p32 z36", "gguf.shape" },
	{ "scalar of Q8_0", GG(1, 0) "^ sa w0 w8 q0 p32 z34", "gguf.shape" },
	{ "type 4, removed", GG(1, 0) "^ " INFO1("a", 32, 4, 0) "p32 z18", "gguf.tensor-type" },
	{ "type 31, removed", GG(1, 0) "^ " INFO1("a", 32, 31, 0) "p32 z18", "gguf.tensor-type" },
	{ "type 43", GG(1, 0) "^ " INFO1("a", 32, 43, 0) "p32 z18", "gguf.tensor-type" },
	{ "type -1", GG(1, 0) "^ " INFO1("a", 32, -1, 0) "p32 z18", "gguf.tensor-type" },
	{ "name twice", GG(2, 0) A4 "^ " INFO1("a", 4, 0, 32) "p32 z48", "gguf.name-twice" },
	{ "name twice, the first of no elements", GG(2, 0) INFO1("a", 0, 0, 0) "^ " A4 "p32 z16", "gguf.name-twice" },
	{ "first not at 0", GG(1, 0) "^ " INFO1("a", 4, 0, 32) "p32 z48", "gguf.offset-gap" },
	{ "hole", GG(2, 0) A4 "^ " INFO1("b", 4, 0, 64) "p32 z80", "gguf.offset-gap" },
	{ "hole that is not aligned", GG(2, 0) A4 "^ " INFO1("b", 4, 0, 33) "p32 z80", "gguf.offset-gap" },
	{ "not padded", GG(2, 0) A4 "^ " INFO1("b", 4, 0, 16) "p32 z32", "gguf.offset-overlap" },
	{ "same bytes", GG(2, 0) A4 "^ " INFO1("b", 4, 0, 0) "p32 z16", "gguf.offset-overlap" },
	{ "last in front of the first", GG(2, 0) "^ " INFO1("a", 4, 0, 32) INFO1("b", 4, 0, 0) "p32 z48", "gguf.offset-gap" },
	{ "offset 2^64-32", GG(1, 0) "^ " INFO1("a", 4, 0, -32) "p32 z48", "gguf.offset-gap" },
	{ "ends beyond 2^63", GG(1, 0) "^ " INFO1("a", 0x1ffffffffffffff0, 0, 0) "p32 z48", "gguf.shape" },
	{ "other alignment not kept", GG(2, 1) ALIGN(64) A4 "^ " B4 "p64 z80", "gguf.offset-overlap" },

	/* the end */
	{ "a byte too few", GG(1, 0) A4 "p32 z15 ^", "gguf.truncated" },
	{ "no data", GG(1, 0) A4 "p32 ^", "gguf.truncated" },
	{ "no padding and no data", GG(1, 0) A4 "^", "gguf.truncated" },
	{ "a byte behind the padding", GG(1, 0) A4 "p32 z32 ^ z1", "gguf.trailing" },
	{ "no tensor, a byte", GG(0, 0) "p32 ^ z1", "gguf.trailing" },
	{ "tensor of no elements, a byte", GG(1, 0) INFO1("a", 0, 0, 0) "p32 ^ z1", "gguf.trailing" },
};

static const char *const good[] = {
	GG(0, 0),
	GG(0, 0) "p32",
	GG(0, 1) KEY("k", 0) "b255",
	GG(0, 13) KEY("a", 0) "b255 " KEY("b", 1) "b-128 " KEY("c", 2) "h65535 " KEY("d", 3) "h-32768 " KEY("e", 4) "w-1 "
		KEY("f", 5) "w0x80000000 " KEY("g", 6) "f1.5 " KEY("h", 7) "b1 " KEY("i", 8) "stext " KEY("j", 9) "w0 q0 "
		KEY("k", 10) "q-1 " KEY("l", 11) "q0x8000000000000000 " KEY("m", 12) "d1e300",
	GG(0, 1) KEY("k", 9) "w9 q2 w9 q1 w9 q2 w8 q1 sdeep w0 q3 b1 b2 b3 w7 q2 b0 b1",
	GG(0, 1) KEY("k", 8) "q7 x00 rx x0a r\xf0\x9f\x98\x80",
	GG(0, 1) KEY("k.\xe4\xbd\xa0", 8) "s",
	GG(1, 0) A4 "p32 z16",
	GG(1, 0) A4 "p32 z32",
	GG(1, 0) A4 "p32 z17",
	GG(2, 0) A4 B4 "p32 z48",
	GG(2, 1) ALIGN(8) A4 INFO1("b", 4, 0, 16) "p8 z32",
	GG(2, 1) ALIGN(1024) A4 INFO1("b", 4, 0, 1024) "p1024 z1040",
	GG(1, 0) "sa w0 w0 q0 p32 z4",
	GG(1, 0) "sa w4 q2 q2 q2 q2 w1 q0 p32 z32",
	GG(2, 0) INFO1("a", 0, 0, 0) "sb w1 q4 w0 q0 p32 z16",
	GG(1, 0) INFO3("blk.0.ffn_gate_exps.weight", 64, 2, 3, 39, 0) "p32 z204",
	GG(1, 4) KEY("split.no", 2) "h1 " KEY("split.count", 2) "h3 " KEY("split.tensors.count", 5) "w9 " KEY("dsv4.run", 8) "sabc "
		A4 "p32 z16",
	GG(1, 0) "s012345678901234567890123456789012345678901234567890123456789012 w1 q4 w0 q0 p32 z16",
};
/* clang-format on */

static void refused(void)
{
	struct text t = { 0 };
	size_t i, mark;

	for (i = 0; i < COUNT(bad); i++) {
		mark = gguf_asm(&t, bad[i].text);
		refuse(bad[i].name, &t, t.n, bad[i].rule, mark);
	}
	text_free(&t);
}

static void taken(void)
{
	struct text t = { 0 };
	const char *wrong, *rule;
	uint64_t end;
	size_t i;

	for (i = 0; i < COUNT(good); i++) {
		gguf_asm(&t, good[i]);
		wrong = gguf_check_read((const uint8_t *)t.s, t.n, t.n, 0, &end, &rule);
		CHECK_IN(good[i], !wrong && !rule && end == t.n);
		if (wrong || rule)
			fprintf(stderr, "%s %s\n", wrong ? wrong : "", rule ? rule : "");
		wrong = gguf_check_read((const uint8_t *)t.s, t.n, t.n, 1, &end, &rule);
		CHECK_IN(good[i], !wrong && !rule);
	}
	text_free(&t);
}

/* Every type, one value each, at the ends of its range. */
static int look_values(void *ctx, struct gguf *g, const struct gguf_value *v, struct err *e)
{
	unsigned *n = ctx;

	(void)e;
	CHECK(v->type == (*n)++ && g->key.n == 1 && g->key.s[0] == 'a' + v->type);
	switch (v->type) {
	case GGUF_U8:
		CHECK(v->u == 255);
		break;
	case GGUF_I8:
		CHECK(v->i == -128);
		break;
	case GGUF_U16:
		CHECK(v->u == 65535);
		break;
	case GGUF_I16:
		CHECK(v->i == -32768);
		break;
	case GGUF_U32:
		CHECK(v->u == UINT32_MAX);
		break;
	case GGUF_I32:
		CHECK(v->i == INT32_MIN);
		break;
	case GGUF_F32:
		CHECK(v->f > 1.4 && v->f < 1.6);
		break;
	case GGUF_BOOL:
		CHECK(v->u == 1);
		break;
	case GGUF_STRING:
		CHECK(v->n == 4 && !memcmp(v->s, "text", 4));
		break;
	case GGUF_ARRAY:
		CHECK(v->item == GGUF_U8 && v->count == 0);
		break;
	case GGUF_U64:
		CHECK(v->u == UINT64_MAX);
		break;
	case GGUF_I64:
		CHECK(v->i == INT64_MIN);
		break;
	default:
		CHECK(v->f > 0.9e300 && v->f < 1.1e300);
		break;
	}
	return 0;
}

static void values(void)
{
	struct arena arena = { 0 };
	struct gguf_file f;
	struct text t = { 0 };
	struct err e = { 0 };
	struct mem_io m;
	unsigned n = 0;

	gguf_asm(&t, good[3]);
	m = mem_io_of(t.s, t.n, 0, 0);
	CHECK(!gguf_file_read(&f, &m.io, 3, t.n, look_values, &n, &arena, &e));
	CHECK(n == GGUF_TYPE_COUNT && f.n == 0);
	gguf_file_free(&f);
	arena_free(&arena);
	text_free(&t);
}

/* Every beginning of a good file is refused, and so is what a caller leaves unread. */
static void cut(void)
{
	struct text t = { 0 };
	struct outcome o;
	size_t i, n;

	for (i = 0; i < COUNT(good); i++) {
		gguf_asm(&t, good[i]);
		o = read_mem(t.s, t.n, t.n, 0);
		CHECK_IN(good[i], !o.rc);
		n = (size_t)o.f.end;
		outcome_free(&o);
		while (n-- > 0) {
			o = read_mem(t.s, n, n, 0);
			CHECK_IN(good[i], o.rc && o.e.kind == ERR_DATA);
			outcome_free(&o);
		}
	}
	text_free(&t);
}

/* Random damage: whatever comes of it holds what gguf_check.h says. */
static void damaged(void)
{
	struct text t = { 0 };
	const char *wrong, *rule;
	uint8_t *p;
	uint64_t end;
	unsigned i, k;
	size_t at;

	for (i = 0; i < 20000; i++) {
		gguf_asm(&t, good[rnd(COUNT(good))]);
		p = (uint8_t *)t.s;
		for (k = rnd(3) + 1; k--;) {
			at = rnd((uint32_t)t.n);
			p[at] = (uint8_t)(rnd(2) ? (uint32_t)p[at] ^ (1u << rnd(8)) : rnd(256));
		}
		wrong = gguf_check_read(p, t.n, t.n, 0, &end, &rule);
		CHECK_IN(wrong, !wrong);
		if (wrong)
			break;
	}
	text_free(&t);
}

/* --- limits --- */

static void long_key(struct text *t, size_t n)
{
	gguf_asm(t, GG(0, 1));
	gguf_asm_le(t, n, 8);
	while (n--)
		text_str(t, "k");
	gguf_asm_token(t, "w0", 2);
	gguf_asm_token(t, "b0", 2);
}

static void long_string(struct text *t, size_t n)
{
	gguf_asm(t, GG(0, 1) KEY("k", 8));
	gguf_asm_le(t, n, 8);
	while (n--)
		text_str(t, "s");
}

static void many_pairs(struct text *t, size_t n)
{
	size_t i;

	gguf_asm(t, "G q0");
	gguf_asm_le(t, n, 8);
	for (i = 0; i < n; i++) {
		gguf_asm_le(t, 8, 8);
		text_fmt(t, "%08zu", i);
		gguf_asm_token(t, "w0", 2);
		gguf_asm_token(t, "b0", 2);
	}
}

static void many_tensors(struct text *t, size_t n)
{
	size_t i;

	gguf_asm(t, "G");
	gguf_asm_le(t, n, 8);
	gguf_asm_le(t, 0, 8);
	for (i = 0; i < n; i++) {
		gguf_asm_le(t, 8, 8);
		text_fmt(t, "%08zu", i);
		gguf_asm_le(t, 1, 4);
		gguf_asm_le(t, 0, 8);
		gguf_asm_le(t, 0, 4);
		gguf_asm_le(t, 0, 8);
	}
	gguf_asm_token(t, "p32", 3);
}

static void many_strings(struct text *t, size_t n)
{
	gguf_asm(t, GG(0, 1) KEY("k", 9) "w8");
	gguf_asm_le(t, n, 8);
	while (n--)
		gguf_asm_le(t, 0, 8);
}

static void limits(void)
{
	static const struct {
		const char *name;
		void (*make)(struct text *t, size_t n);
		size_t n;
		const char *rule; /* NULL: taken */
	} row[] = {
		{ "key of 1024 bytes", long_key, GGUF_KEY_MAX, NULL },
		{ "key of 1025 bytes", long_key, GGUF_KEY_MAX + 1, "gguf.limit" },
		{ "string of 16 MiB", long_string, GGUF_STRING_MAX, NULL },
		{ "string of 16 MiB and a byte", long_string, GGUF_STRING_MAX + 1, "gguf.limit" },
		{ "65536 pairs", many_pairs, GGUF_PAIRS_MAX, NULL },
		{ "65537 pairs", many_pairs, GGUF_PAIRS_MAX + 1, "gguf.limit" },
		{ "131072 tensors", many_tensors, GGUF_TENSORS_MAX, NULL },
		{ "131073 tensors", many_tensors, GGUF_TENSORS_MAX + 1, "gguf.limit" },
		{ "a million strings of nothing", many_strings, 1000000, NULL },
	};
	struct text t = { 0 };
	struct outcome o;
	size_t i;

	for (i = 0; i < COUNT(row); i++) {
		row[i].make(&t, row[i].n);
		o = read_mem(t.s, t.n, t.n, 0);
		CHECK_IN(row[i].name, row[i].rule ? o.rc && !strcmp(o.e.rule, row[i].rule) : !o.rc);
		outcome_free(&o);
	}
	text_free(&t);
}

/* A header as long as an attacker likes, at no cost to him: the file is sparse. It is read up to the cap. */
static void endless(void)
{
	static const struct {
		const char *text, *rule;
	} row[] = {
		{ GG(0, 1) KEY("k", 9) "w10 q0x0100000000000000", "gguf.limit" },
		{ GG(0, 1) KEY("k", 9) "w8 q0x0100000000000000", "gguf.limit" },
		{ GG(0, 1) KEY("k", 8) "q0x0100000000000000", "gguf.limit" },
		{ GG(0, 1) KEY("k", 9) "w8 q12000000", "gguf.trailing" },
		{ GG(0, 1) KEY("k", 9) "w0 q90000000", "gguf.trailing" },
		{ GG(0, 1) KEY("k", 9) "w9 q8000000", "gguf.trailing" },
		{ "G q0x10000000000 q0", "gguf.limit" },
	};
	struct rusage before, after;
	struct text t = { 0 };
	struct outcome o;
	size_t i;

	getrusage(RUSAGE_SELF, &before);
	for (i = 0; i < COUNT(row); i++) {
		gguf_asm(&t, row[i].text);
		o = read_mem(t.s, t.n, 1ull << 62, 0);
		CHECK_IN(row[i].text, o.rc && !strcmp(o.e.rule, row[i].rule));
		if (o.rc && strcmp(o.e.rule, row[i].rule))
			fprintf(stderr, "%s\n", o.e.text);
		outcome_free(&o);
	}
	getrusage(RUSAGE_SELF, &after);
	CHECK(SANITIZED || after.ru_maxrss - before.ru_maxrss < 64 << 10);
	text_free(&t);
}

/* The machine says no. */
static void io_fails(void)
{
	struct text t = { 0 };
	struct arena arena = { 0 };
	struct gguf_file f;
	struct mem_io m;
	size_t at;

	gguf_asm(&t, good[COUNT(good) - 2]);
	for (at = 0; at < t.n - 16; at++) {
		struct err e = { 0 };

		m = mem_io_of(t.s, t.n, 0, 1);
		m.bad_at = at;
		CHECK(gguf_file_read(&f, &m.io, 3, t.n, NULL, NULL, &arena, &e) &&
			e.kind == ERR_SYSTEM);
	}
	arena_free(&arena);
	text_free(&t);
}

/* --- parts --- */

#define PART(no, count, all, run)                                                   \
	KEY("split.no", 2)                                                          \
	"h" #no " " KEY("split.count", 2) "h" #count " " KEY("split.tensors.count", \
		5) "w" #all " " KEY("dsv4.run", 8) "s" run " "
#define PART_A(no, count, all, run) GG(1, 4) PART(no, count, all, run) A4 "p32 z16"
#define PART_B(no, count, all, run) GG(1, 4) PART(no, count, all, run) INFO1("b", 4, 0, 0) "p32 z16"
#define ALONE GG(1, 0) A4 "p32 z16"

/* clang-format off */
static const struct {
	const char *name;   /* what is asked for */
	struct {
		const char *name, *text;
	} file[3];
	const char *rule;   /* NULL: taken */
} sets[] = {
	{ "m.gguf", { { "m.gguf", ALONE } }, NULL },
	{ "m-00001-of-00001.gguf", { { "m-00001-of-00001.gguf", ALONE } }, NULL },
	{ "m-00001-of-00001.gguf", { { "m-00001-of-00001.gguf", PART_A(0, 1, 1, "r") } }, NULL },
	{ "m-00001-of-00002.gguf", { { "m-00001-of-00002.gguf", PART_A(0, 2, 2, "r") }, { "m-00002-of-00002.gguf", PART_B(1, 2, 2, "r") } }, NULL },
	{ "m-00002-of-00002.gguf", { { "m-00001-of-00002.gguf", PART_A(0, 2, 2, "r") }, { "m-00002-of-00002.gguf", PART_B(1, 2, 2, "r") } }, NULL },
	{ "m-00001-of-00002.gguf", { { "m-00001-of-00002.gguf", PART_A(0, 2, 2, "r") } }, "gguf.part-missing" },
	{ "m-00001-of-00002.gguf", { { "m-00002-of-00002.gguf", PART_B(1, 2, 2, "r") } }, "gguf.part-missing" },
	{ "m.gguf", { { "n.gguf", ALONE } }, "gguf.part-missing" },
	{ "m-00001-of-00002.gguf", { { "m-00001-of-00002.gguf", PART_A(0, 2, 2, "r") }, { "m-00002-of-00002.gguf", PART_B(1, 2, 2, "s") } }, "gguf.part-run" },
	{ "m-00001-of-00002.gguf", { { "m-00001-of-00002.gguf", PART_A(0, 2, 2, "r") }, { "m-00002-of-00002.gguf", PART_A(1, 2, 2, "r") } }, "gguf.part-run" },
	{ "m-00001-of-00002.gguf", { { "m-00001-of-00002.gguf", PART_A(0, 2, 2, "r") }, { "m-00002-of-00002.gguf", PART_B(1, 2, 3, "r") } }, "gguf.part-run" },
	{ "m-00001-of-00002.gguf", { { "m-00001-of-00002.gguf", PART_A(0, 2, 1, "r") }, { "m-00002-of-00002.gguf", PART_B(1, 2, 1, "r") } }, "gguf.part-run" },
	{ "m-00001-of-00002.gguf", { { "m-00001-of-00002.gguf", PART_A(0, 3, 2, "r") }, { "m-00002-of-00002.gguf", PART_B(1, 2, 2, "r") } }, "gguf.part-count" },
	{ "m-00001-of-00002.gguf", { { "m-00001-of-00002.gguf", PART_A(0, 2, 2, "r") }, { "m-00002-of-00002.gguf", PART_B(1, 3, 2, "r") } }, "gguf.part-count" },
	{ "m-00001-of-00002.gguf", { { "m-00001-of-00002.gguf", ALONE }, { "m-00002-of-00002.gguf", PART_B(1, 2, 2, "r") } }, "gguf.part-count" },
	{ "m-00001-of-00002.gguf", { { "m-00001-of-00002.gguf", PART_A(1, 2, 2, "r") }, { "m-00002-of-00002.gguf", PART_B(0, 2, 2, "r") } }, "gguf.part-number" },
	{ "m-00001-of-00002.gguf", { { "m-00001-of-00002.gguf", PART_A(0, 2, 2, "r") }, { "m-00002-of-00002.gguf", PART_B(0, 2, 2, "r") } }, "gguf.part-number" },
	{ "m.gguf", { { "m.gguf", PART_A(0, 2, 2, "r") } }, "gguf.part-count" },
	{ "m.gguf", { { "m.gguf", PART_A(1, 1, 2, "r") } }, "gguf.part-number" },
	{ "m-00000-of-00002.gguf", { { "m-00001-of-00002.gguf", ALONE } }, "gguf.part-number" },
	{ "m-00003-of-00002.gguf", { { "m-00001-of-00002.gguf", ALONE } }, "gguf.part-number" },
	{ "m-00001-of-99999.gguf", { { "m-00001-of-99999.gguf", ALONE } }, "gguf.part-number" },
	{ "m.bin", { { "m.bin", ALONE } }, "gguf.part-number" },
	{ "m-00001-of-00002.gguf", { { "m-00001-of-00002.gguf", PART_A(0, 2, 2, "r") }, { "m-00002-of-00002.gguf", "rNOPE z64" } }, "gguf.magic" },
};
/* clang-format on */

static void parts(void)
{
	const struct io *io = io_posix();
	struct text t = { 0 };
	struct gguf_set s;
	char name[32];
	struct path p;
	size_t i, k;
	int dir;

	for (i = 0; i < COUNT(sets); i++) {
		struct err e = { 0 };
		int rc;

		snprintf(name, sizeof name, "set%zu", i);
		p = dirs_path(name);
		CHECK(!mkdir(p.s, 0777) && !file_open_dir(io, p.s, &dir, &e));
		for (k = 0; k < COUNT(sets[i].file) && sets[i].file[k].name; k++) {
			gguf_asm(&t, sets[i].file[k].text);
			CHECK(!file_put(io, dir, sets[i].file[k].name, t.s, t.n, &e));
		}
		rc = gguf_set_read(&s, io, dir, sets[i].name, NULL, NULL, &e);
		CHECK_IN(sets[i].name,
			sets[i].rule ? rc && e.rule && !strcmp(e.rule, sets[i].rule) : !rc);
		if (rc ? !sets[i].rule || !e.rule || strcmp(e.rule, sets[i].rule)
		       : sets[i].rule != NULL)
			fprintf(stderr, "set %zu: %s %s\n", i,
				sets[i].rule ? sets[i].rule : "taken", e.text);
		if (!rc)
			CHECK(s.n == k && s.tensors == k);
		gguf_set_free(&s);
		close(dir);
		if (sets[i].rule && rule_find(sets[i].rule))
			seen[rule_find(sets[i].rule) - rules] = true;
	}
	text_free(&t);
}

static void part_names(void)
{
	static const struct {
		const char *name;
		bool ok;
		size_t stem;
		unsigned no, parts;
	} row[] = {
		{ "a.gguf", true, 1, 0, 1 },
		{ ".gguf", false, 0, 0, 0 },
		{ "a-00002-of-00003.gguf", true, 1, 1, 3 },
		{ "a-00004-of-00003.gguf", false, 0, 0, 0 },
		{ "a-0002-of-00003.gguf", true, 15, 0, 1 },
		{ "a-00002-of-00003", false, 0, 0, 0 },
		{ "-00002-of-00003.gguf", true, 15, 0, 1 },
		{ "a-0000x-of-00003.gguf", true, 16, 0, 1 },
		{ "a-00000-of-00000.gguf", false, 0, 0, 0 },
	};
	char out[256], again[256];
	unsigned no, n;
	size_t i, stem;

	for (i = 0; i < COUNT(row); i++) {
		CHECK_IN(row[i].name, gguf_part_parse(row[i].name, &stem, &no, &n) == row[i].ok);
		if (!row[i].ok)
			continue;
		CHECK_IN(row[i].name, stem == row[i].stem && no == row[i].no && n == row[i].parts);
		CHECK(gguf_part_name(out, row[i].name, stem, no, n) && !strcmp(out, row[i].name));
	}
	memset(again, 'a', sizeof again);
	CHECK(gguf_part_name(out, again, 235, 0, 2) && strlen(out) == 255);
	CHECK(!gguf_part_name(out, again, 236, 0, 2));
}

/* --- types and the writer --- */

static void bytes(void)
{
	static const struct {
		uint32_t type;
		uint64_t d0, d1;
		uint64_t bytes; /* 0: none */
	} row[] = {
		{ GGML_F32, 3, 5, 60 },
		{ GGML_BF16, 3, 5, 30 },
		{ GGML_I32, 3, 5, 60 },
		{ GGML_Q8_0, 64, 3, 204 },
		{ GGML_Q8_0, 48, 2, 0 },
		{ GGML_MXFP4, 4096, 2048, 4096 / 32 * 17 * 2048 },
		{ GGML_MXFP4, 16, 2, 0 },
		{ 5, 32, 1, 0 },
		{ 12, 256, 2, 288 },
	};
	const struct ggml_type_row *r;
	uint64_t n;
	size_t i;

	for (i = 0; i < COUNT(row); i++) {
		uint64_t dim[2] = { row[i].d0, row[i].d1 };
		bool ok = gguf_bytes(row[i].type, dim, 2, &n);

		CHECK(ok == (row[i].bytes != 0));
		CHECK(!ok || n == row[i].bytes);
	}
	for (r = ggml_types; r->name; r++)
		CHECK(ggml_type_find(r->type) == r && r->items && r->bytes &&
			!strcmp(ggml_type_name(r->type), r->name));
	CHECK(!ggml_type_find(43) && !strcmp(ggml_type_name(43), "?"));
}

static void written(void)
{
	static const uint64_t dim[2][3] = { { 4, 1, 1 }, { 64, 2, 3 } };
	struct gguf_out o = { .alignment = 64 };
	struct text head = { 0 }, want = { 0 };

	gguf_put_u32(&o, "general.alignment", 64);
	gguf_put_string(&o, "s", "ab c", 4);
	gguf_put_array(&o, "t", GGUF_STRING, 2);
	gguf_put_item_string(&o, "x", 1);
	gguf_put_item_string(&o, "", 0);
	gguf_put_bool(&o, "b", true);
	gguf_put_f32(&o, "f", 1.5f);
	gguf_put_array(&o, "i", GGUF_I32, 2);
	gguf_put_item_i32(&o, -1);
	gguf_put_item_i32(&o, 7);
	gguf_put_array(&o, "g", GGUF_F32, 1);
	gguf_put_item_f32(&o, 10.0f);
	gguf_put_u16(&o, "h", 3);
	gguf_put_i32(&o, "j", -2);
	CHECK(gguf_put_tensor(&o, "a", GGML_F32, dim[0], 1) == 0);
	CHECK(gguf_put_tensor(&o, "b", GGML_MXFP4, dim[1], 3) == 64);
	CHECK(o.end == 64 + 204 && o.at == 320);
	gguf_write_head(&o, &head);
	gguf_asm(&want,
		GG(2, 9) ALIGN(64) KEY("s", 8) "sab_c " KEY("t", 9) "w8 q2 sx s " KEY("b",
			7) "b1 " KEY("f", 6) "f1.5 " KEY("i", 9) "w5 q2 w-1 w7 " KEY("g",
			9) "w6 q1 f10 " KEY("h", 2) "h3 " KEY("j", 5) "w-2 " A4 INFO3("b", 64, 2, 3,
			39, 64) "p64");
	CHECK(head.n == want.n && gguf_write_head_bytes(&o) == head.n);
	CHECK(head.n != want.n || same_bytes("header", head.s, want.s, want.n));
	gguf_out_free(&o);
	text_free(&head);
	text_free(&want);
}

/* Every rule of this room, but that of test_vocab.c, was reported by some case above. */
static void rules_all(void)
{
	const struct rule *r;

	refused();
	parts();
	for (r = rules; r->id; r++)
		if (!strncmp(r->id, "gguf.", 5) && strcmp(r->id, "gguf.keys") && !seen[r - rules])
			FAILED(r->id);
}

static const struct test tests[] = {
	{ "taken", taken },
	{ "values", values },
	{ "cut", cut },
	{ "damaged", damaged },
	{ "limits", limits },
	{ "endless", endless },
	{ "io_fails", io_fails },
	{ "part_names", part_names },
	{ "bytes", bytes },
	{ "written", written },
	{ "refused_by_every_rule", rules_all },
	{ NULL, NULL },
};
TEST_MAIN(tests)
