/* SPDX-License-Identifier: MIT */
#include "formats/gguf/gguf.h"

#include "core/file.h"
#include "core/mem.h"
#include "formats/gguf/ggml_type.h"

#include <stdlib.h>
#include <string.h>

enum {
	WINDOW = 64 << 10,
	PAIR_MIN = 8 + 1 + 4 + 1,    /* a key of one byte, an U8 */
	INFO_MIN = 8 + 1 + 4 + 4 + 8 /* a name of one byte, no dimension */
};

static const struct {
	const char *name;
	unsigned bytes;
} types[GGUF_TYPE_COUNT] = {
	[GGUF_U8] = { "u8", 1 },
	[GGUF_I8] = { "i8", 1 },
	[GGUF_U16] = { "u16", 2 },
	[GGUF_I16] = { "i16", 2 },
	[GGUF_U32] = { "u32", 4 },
	[GGUF_I32] = { "i32", 4 },
	[GGUF_F32] = { "f32", 4 },
	[GGUF_BOOL] = { "bool", 1 },
	[GGUF_STRING] = { "string", 0 },
	[GGUF_ARRAY] = { "array", 0 },
	[GGUF_U64] = { "u64", 8 },
	[GGUF_I64] = { "i64", 8 },
	[GGUF_F64] = { "f64", 8 },
};

const char *gguf_type_name(unsigned type)
{
	return type < GGUF_TYPE_COUNT ? types[type].name : "?";
}

unsigned gguf_type_bytes(unsigned type)
{
	return type < GGUF_TYPE_COUNT ? types[type].bytes : 0;
}

bool gguf_value_u64(const struct gguf_value *v, uint64_t *u)
{
	switch (v->type) {
	case GGUF_U8:
	case GGUF_U16:
	case GGUF_U32:
	case GGUF_U64:
		*u = v->u;
		return true;
	case GGUF_I8:
	case GGUF_I16:
	case GGUF_I32:
	case GGUF_I64:
		*u = (uint64_t)v->i;
		return v->i >= 0;
	default:
		return false;
	}
}

bool gguf_bytes(uint32_t type, const uint64_t *dim, unsigned rank, uint64_t *bytes)
{
	const struct ggml_type_row *r = ggml_type_find(type);
	uint64_t n = 1;
	unsigned i;
	bool ok = r != NULL, zero = false;

	/* A zero does not excuse a product of the others that wraps. */
	for (i = 0; i < rank && ok; i++) {
		zero |= !dim[i];
		ok = !dim[i] || (mem_mul(n, dim[i], &n) && n <= INT64_MAX);
	}
	if (!ok || (rank ? dim[0] : 1) % r->items)
		return false;
	*bytes = 0;
	return zero || (mem_mul(n / r->items, r->bytes, bytes) && *bytes <= INT64_MAX);
}

uint64_t gguf_pos(const struct gguf *g)
{
	return g->win_pos + g->at;
}

static int fail(struct gguf *g)
{
	g->failed = true;
	return -1;
}

/* Where a reader may go: the end of the file, or of what is taken of a header. */
static uint64_t room(const struct gguf *g)
{
	uint64_t end = g->size < GGUF_HEADER_CAP ? g->size : GGUF_HEADER_CAP;

	return end - gguf_pos(g);
}

/* Reports what n more bytes would be needed for: the file lacks them, or it is longer than what is taken. */
static int beyond(struct gguf *g, enum rule_id rule, uint64_t pos, const char *what, uint64_t n)
{
	fail(g);
	if (n <= g->size - gguf_pos(g))
		return err_rule(g->e, RULE_GGUF_LIMIT, pos,
			"byte %llu: the header has more than %u bytes, which is all that is taken",
			(unsigned long long)pos, GGUF_HEADER_CAP);
	return err_rule(g->e, rule, pos, "byte %llu: %s needs %llu bytes, the file has %llu more",
		(unsigned long long)pos, what, (unsigned long long)n,
		(unsigned long long)(g->size - gguf_pos(g)));
}

/* Copies the next n bytes to p, or steps over them where p is NULL. */
static int take(struct gguf *g, void *p, uint64_t n, const char *what)
{
	size_t k;

	if (n > room(g))
		return beyond(g, RULE_GGUF_CUT, gguf_pos(g), what, n);
	if (!p && n > g->n - g->at) {
		g->win_pos = gguf_pos(g) + n;
		g->n = g->at = 0;
		return 0;
	}
	while (n) {
		if (g->at == g->n) {
			g->win_pos += g->n;
			g->at = 0;
			g->n = g->size - g->win_pos < WINDOW ? (size_t)(g->size - g->win_pos)
							     : WINDOW;
			if (file_read(g->io, g->fd, g->win, g->n, g->win_pos, g->e)) {
				g->n = 0;
				return fail(g);
			}
		}
		k = n < g->n - g->at ? (size_t)n : g->n - g->at;
		if (p) {
			memcpy(p, g->win + g->at, k);
			p = (unsigned char *)p + k;
		}
		g->at += k;
		n -= k;
	}
	return 0;
}

static int take_number(struct gguf *g, unsigned bytes, uint64_t *v)
{
	unsigned char b[8];
	unsigned i;

	if (take(g, b, bytes, "a number"))
		return -1;
	for (*v = 0, i = bytes; i-- > 0;)
		*v = *v << 8 | b[i];
	return 0;
}

static int bad_text(struct gguf *g, uint64_t pos, const char *what)
{
	fail(g);
	return err_rule(g->e, RULE_GGUF_TEXT, pos, "byte %llu: %s", (unsigned long long)pos, what);
}

/* Reads a string of at most max bytes into t. Memory grows with what was read, not with what is announced. */
static int take_string(struct gguf *g, struct text *t, size_t max, const char *what)
{
	uint64_t pos = gguf_pos(g), n = 0;
	unsigned char piece[4096];
	size_t i, k;

	t->n = 0;
	if (take_number(g, 8, &n))
		return -1;
	if (n > room(g))
		return beyond(g, RULE_GGUF_CUT, pos, what, n);
	if (n > max) {
		fail(g);
		return err_rule(g->e, RULE_GGUF_LIMIT, pos,
			"byte %llu: %s of %llu bytes, at most %zu are taken",
			(unsigned long long)pos, what, (unsigned long long)n, max);
	}
	for (; n; n -= k) {
		k = n < sizeof piece ? (size_t)n : sizeof piece;
		if (take(g, piece, k, what))
			return -1;
		text_put(t, piece, k);
	}
	text_put(t, "", 0);
	if (t->failed) {
		fail(g);
		return err_nomem(g->e);
	}
	for (i = 0; i < t->n; i += k) {
		k = text_utf8((const unsigned char *)t->s + i, t->n - i);
		if (!k)
			return bad_text(g, pos + 8 + i, "what stands there is no UTF-8");
	}
	return 0;
}

/* A name that is shown and compared: it has at least one byte and no control byte. */
static int take_name(struct gguf *g, struct text *t, size_t max, const char *what)
{
	uint64_t pos = gguf_pos(g);
	size_t i;

	if (take_string(g, t, max, what))
		return -1;
	for (i = 0; i < t->n; i++)
		if ((unsigned char)t->s[i] < 0x20 || t->s[i] == 0x7f)
			return bad_text(g, pos + 8 + i, "a key or name with a control byte");
	return t->n ? 0 : bad_text(g, pos, "a key or name of no bytes");
}

/* What the first bytes give away of a file that is no GGUF. */
static int no_gguf(struct gguf *g, const unsigned char *b)
{
	static const struct {
		const char *start, *what;
	} kind[] = {
		{ "vers", "this looks like a Git-LFS pointer, not the file that it stands for" },
		{ "<!DO", "this is an HTML page" },
		{ "<htm", "this is an HTML page" },
		{ "PK\003\004", "this is a zip archive" },
		{ "FUGG", "this is a GGUF file of a big-endian machine" },
		{ "ggjt", "this is a GGML file, older than GGUF" },
		{ "\0\0\0\0", "the file begins with zeros: the download did not finish" },
	};
	const char *what = "this is no GGUF file";
	size_t i;

	for (i = 0; i < sizeof kind / sizeof *kind; i++)
		if (!memcmp(b, kind[i].start, 4))
			what = kind[i].what;
	fail(g);
	return err_rule(g->e, RULE_GGUF_MAGIC, 0, "byte 0: the file does not begin with GGUF: %s",
		what);
}

/* The counts are only believed as far as the file has room for them. */
static int check_counts(struct gguf *g)
{
	uint64_t left = g->size - 24;

	if (g->tensors <= left / INFO_MIN &&
		g->pairs <= (left - g->tensors * INFO_MIN) / PAIR_MIN) {
		if (g->tensors <= GGUF_TENSORS_MAX && g->pairs <= GGUF_PAIRS_MAX)
			return 0;
		fail(g);
		return err_rule(g->e, RULE_GGUF_LIMIT, 8,
			"byte 8: the file has %llu tensors and %llu pairs of metadata, at most %u and %u are taken",
			(unsigned long long)g->tensors, (unsigned long long)g->pairs,
			(unsigned)GGUF_TENSORS_MAX, (unsigned)GGUF_PAIRS_MAX);
	}
	fail(g);
	return err_rule(g->e, RULE_GGUF_COUNT, 8,
		"byte 8: %llu tensors and %llu pairs of metadata are announced, for which a file of %llu bytes has no room",
		(unsigned long long)g->tensors, (unsigned long long)g->pairs,
		(unsigned long long)g->size);
}

int gguf_open(struct gguf *g, const struct io *io, int fd, uint64_t size, struct err *e)
{
	unsigned char magic[4];
	uint64_t version;

	memset(g, 0, sizeof *g);
	g->io = io;
	g->fd = fd;
	g->size = size;
	g->e = e;
	g->win = malloc(WINDOW);
	if (!g->win) {
		fail(g);
		return err_nomem(e);
	}
	if (take(g, magic, 4, "a header"))
		return -1;
	if (memcmp(magic, "GGUF", 4))
		return no_gguf(g, magic);
	if (take_number(g, 4, &version))
		return -1;
	if (version != GGUF_VERSION) {
		fail(g);
		return err_rule(e, RULE_GGUF_VERSION, 4,
			"byte 4: GGUF of version %llu%s, this program reads %d",
			(unsigned long long)version,
			version & 0xffff ? "" : " (the file of a big-endian machine)",
			GGUF_VERSION);
	}
	if (take_number(g, 8, &g->tensors) || take_number(g, 8, &g->pairs))
		return -1;
	g->tensors_left = g->tensors;
	g->pairs_left = g->pairs;
	return check_counts(g);
}

void gguf_close(struct gguf *g)
{
	free(g->win);
	text_free(&g->key);
	text_free(&g->str);
	memset(g, 0, sizeof *g);
}

static int take_type(struct gguf *g, unsigned *type)
{
	uint64_t pos = gguf_pos(g), v;

	if (take_number(g, 4, &v))
		return -1;
	if (v >= GGUF_TYPE_COUNT) {
		fail(g);
		return err_rule(g->e, RULE_GGUF_TYPE, pos,
			"key %s, byte %llu: a value of type %llu, which GGUF %d does not have",
			text_quote_n(g->key.s, g->key.n).s, (unsigned long long)pos,
			(unsigned long long)v, GGUF_VERSION);
	}
	*type = (unsigned)v;
	return 0;
}

/* Opens an array; v gets what its items are. */
static int take_array(struct gguf *g, struct gguf_value *v)
{
	unsigned type, least;
	uint64_t bytes;

	if (take_type(g, &type) || take_number(g, 8, &v->count))
		return -1;
	v->item = (uint8_t)type;
	least = type == GGUF_STRING ? 8 : type == GGUF_ARRAY ? 12 : types[type].bytes;
	if (v->count > room(g) / least)
		return beyond(g, RULE_GGUF_COUNT, v->pos, "an array",
			mem_mul(v->count, least, &bytes) ? bytes : UINT64_MAX);
	if (g->depth == GGUF_DEPTH_MAX) {
		fail(g);
		return err_rule(g->e, RULE_GGUF_LIMIT, v->pos,
			"key %s, byte %llu: arrays lie in arrays deeper than %d",
			text_quote_n(g->key.s, g->key.n).s, (unsigned long long)v->pos,
			GGUF_DEPTH_MAX);
	}
	g->level[g->depth].left = v->count;
	g->level[g->depth].type = type;
	g->depth++;
	return 0;
}

static int take_scalar(struct gguf *g, struct gguf_value *v)
{
	unsigned bits = types[v->type].bytes * 8;
	uint64_t u;
	uint32_t half;
	float f;

	if (take_number(g, bits / 8, &u))
		return -1;
	switch (v->type) {
	case GGUF_F32:
		half = (uint32_t)u;
		memcpy(&f, &half, sizeof f);
		v->f = (double)f;
		return 0;
	case GGUF_F64:
		memcpy(&v->f, &u, sizeof u);
		return 0;
	case GGUF_I8:
	case GGUF_I16:
	case GGUF_I32:
	case GGUF_I64:
		/* the sign bit is worth -2^(bits-1) */
		v->i = (int64_t)(u & ((1ull << (bits - 1)) - 1));
		if (u >> (bits - 1))
			v->i += bits == 64 ? INT64_MIN : -(int64_t)(1ull << (bits - 1));
		return 0;
	case GGUF_BOOL:
		if (u > 1) {
			fail(g);
			return err_rule(g->e, RULE_GGUF_VALUE, v->pos,
				"key %s, byte %llu: a bool that is neither 0 nor 1",
				text_quote_n(g->key.s, g->key.n).s, (unsigned long long)v->pos);
		}
		break;
	default:
		break;
	}
	v->u = u;
	return 0;
}

static int take_value(struct gguf *g, unsigned type, struct gguf_value *v)
{
	memset(v, 0, sizeof *v);
	v->pos = gguf_pos(g);
	v->type = (uint8_t)type;
	if (type == GGUF_ARRAY)
		return take_array(g, v);
	if (type != GGUF_STRING)
		return take_scalar(g, v);
	if (take_string(g, &g->str, GGUF_STRING_MAX, "a string"))
		return -1;
	v->s = g->str.s ? g->str.s : "";
	v->n = g->str.n;
	return 0;
}

int gguf_item(struct gguf *g, struct gguf_value *v)
{
	if (g->failed)
		return -1;
	if (!g->depth)
		return 0;
	if (!g->level[g->depth - 1].left) {
		g->depth--;
		return 0;
	}
	g->level[g->depth - 1].left--;
	return take_value(g, g->level[g->depth - 1].type, v) ? -1 : 1;
}

/* Steps over what is left of the open arrays. Numbers are passed in one step, but bools, which are looked at. */
static int drop_value(struct gguf *g)
{
	struct gguf_value v;
	unsigned bytes, type;

	while (g->depth) {
		type = g->level[g->depth - 1].type;
		bytes = type == GGUF_BOOL ? 0 : types[type].bytes;
		if (bytes) {
			if (take(g, NULL, g->level[g->depth - 1].left * bytes, "an array"))
				return -1;
			g->depth--;
		} else if (gguf_item(g, &v) < 0) {
			return -1;
		}
	}
	return 0;
}

int gguf_pair(struct gguf *g, struct gguf_value *v)
{
	unsigned type;

	if (g->failed || drop_value(g))
		return -1;
	if (!g->pairs_left)
		return 0;
	g->pairs_left--;
	g->key_pos = gguf_pos(g);
	if (take_name(g, &g->key, GGUF_KEY_MAX, "a key") || take_type(g, &type))
		return -1;
	return take_value(g, type, v) ? -1 : 1;
}

static int bad_tensor(struct gguf *g, enum rule_id rule, const struct gguf_tensor *t,
	const char *what)
{
	fail(g);
	return err_rule(g->e, rule, t->pos, "tensor %s, byte %llu: %s", text_quote(t->name).s,
		(unsigned long long)t->pos, what);
}

static int take_shape(struct gguf *g, struct gguf_tensor *t)
{
	uint64_t rank;
	unsigned i;

	if (take_number(g, 4, &rank))
		return -1;
	if (rank > GGUF_RANK_MAX)
		return bad_tensor(g, RULE_GGUF_RANK, t, "it has more than 4 dimensions");
	t->rank = (uint8_t)rank;
	for (i = 0; i < GGUF_RANK_MAX; i++) {
		t->dim[i] = 1;
		if (i < rank && take_number(g, 8, &t->dim[i]))
			return -1;
	}
	return 0;
}

int gguf_tensor(struct gguf *g, struct gguf_tensor *t)
{
	struct gguf_value v;
	uint64_t type;
	int more;

	while ((more = gguf_pair(g, &v)) == 1)
		;
	if (more < 0)
		return -1;
	if (!g->tensors_left)
		return 0;
	g->tensors_left--;
	memset(t, 0, sizeof *t);
	t->pos = gguf_pos(g);
	if (take_name(g, &g->str, GGUF_NAME_MAX, "a tensor name"))
		return -1;
	t->name = g->str.s;
	if (take_shape(g, t) || take_number(g, 4, &type) || take_number(g, 8, &t->at))
		return -1;
	t->type = (uint32_t)type;
	if (!ggml_type_find(t->type))
		return bad_tensor(g, RULE_GGUF_TENSOR_TYPE, t,
			"its type is none that this program knows; that does not mean that the file is damaged");
	if (!gguf_bytes(t->type, t->dim, t->rank, &t->bytes))
		return bad_tensor(g, RULE_GGUF_SHAPE, t,
			"its shape is too big, or a row of it is no whole number of blocks of its type");
	return 1;
}
