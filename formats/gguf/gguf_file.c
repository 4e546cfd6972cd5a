/* SPDX-License-Identifier: MIT */
#include "formats/gguf/gguf_file.h"

#include <stdlib.h>
#include <string.h>

struct key {
	const char *s;
	uint64_t pos;
};

struct reader {
	struct gguf g;
	struct gguf_file *f;
	gguf_look *look;
	void *ctx;
	struct arena keys_arena, *arena;
	struct key *keys;
	size_t n_keys, keys_cap, tensors_cap;
	struct err *e;
};

static int bad_value(struct reader *r, const struct gguf_value *v, const char *what)
{
	return err_rule(r->e, RULE_GGUF_VALUE, v->pos,
		"key %s, byte %llu: a value of type %s: %s is wanted", text_quote(r->g.key.s).s,
		(unsigned long long)v->pos, gguf_type_name(v->type), what);
}

static int get_alignment(struct reader *r, const struct gguf_value *v)
{
	if (v->type != GGUF_U32)
		return bad_value(r, v, "u32");
	if (v->u < 8 || v->u > GGUF_ALIGNMENT_MAX || (v->u & (v->u - 1)))
		return err_rule(r->e, RULE_GGUF_ALIGNMENT, v->pos,
			"byte %llu: an alignment of %llu, which is no power of two from 8 to %u",
			(unsigned long long)v->pos, (unsigned long long)v->u,
			(unsigned)GGUF_ALIGNMENT_MAX);
	r->f->alignment = v->u;
	return 0;
}

static int get_part(struct reader *r, const struct gguf_value *v)
{
	if (v->type != GGUF_U16)
		return bad_value(r, v, "u16");
	r->f->part = (uint32_t)v->u;
	return 0;
}

static int get_parts(struct reader *r, const struct gguf_value *v)
{
	if (v->type != GGUF_U16)
		return bad_value(r, v, "u16");
	r->f->parts = (uint32_t)v->u;
	return 0;
}

static int get_all(struct reader *r, const struct gguf_value *v)
{
	if (v->type != GGUF_I32 || v->i < 0)
		return bad_value(r, v, "i32, not negative,");
	r->f->all = (uint64_t)v->i;
	return 0;
}

static int get_run(struct reader *r, const struct gguf_value *v)
{
	if (v->type != GGUF_STRING || v->n > GGUF_RUN_MAX || memchr(v->s, 0, v->n))
		return bad_value(r, v, "a string of at most 64 bytes");
	memcpy(r->f->run, v->s, v->n);
	return 0;
}

/* The keys that decide where the tensors are and which file this is. */
static const struct {
	const char *key;
	int (*get)(struct reader *r, const struct gguf_value *v);
} structure[] = {
	{ "general.alignment", get_alignment },
	{ "split.no", get_part },
	{ "split.count", get_parts },
	{ "split.tensors.count", get_all },
	{ "dsv4.run", get_run },
};

static int read_pair(struct reader *r, const struct gguf_value *v)
{
	const char *key = r->g.key.s;
	size_t i;

	if (mem_grow(&r->keys, &r->keys_cap, r->n_keys + 1, sizeof *r->keys))
		return err_nomem(r->e);
	r->keys[r->n_keys].s = arena_strndup(&r->keys_arena, key, r->g.key.n);
	if (!r->keys[r->n_keys].s)
		return err_nomem(r->e);
	r->keys[r->n_keys++].pos = r->g.key_pos;
	for (i = 0; i < sizeof structure / sizeof *structure; i++)
		if (!strcmp(structure[i].key, key) && structure[i].get(r, v))
			return -1;
	return r->look ? r->look(r->ctx, &r->g, v, r->e) : 0;
}

static int by_key(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	int c = strcmp(x->s, y->s);

	return c ? c : (x->pos > y->pos) - (x->pos < y->pos);
}

/* Reports what comes first in the file as a repetition. */
static int check_twice(struct reader *r, enum rule_id rule, const char *what)
{
	const struct key *twice = NULL;
	size_t i;

	if (r->n_keys)
		qsort(r->keys, r->n_keys, sizeof *r->keys, by_key);
	for (i = 1; i < r->n_keys; i++)
		if (!strcmp(r->keys[i - 1].s, r->keys[i].s) &&
			(!twice || r->keys[i].pos < twice->pos))
			twice = &r->keys[i];
	return twice ? err_rule(r->e, rule, twice->pos, "byte %llu: the %s %s for the second time",
			       (unsigned long long)twice->pos, what, text_quote(twice->s).s)
		     : 0;
}

static int read_pairs(struct reader *r)
{
	struct gguf_value v;
	int more;

	while ((more = gguf_pair(&r->g, &v)) == 1)
		if (read_pair(r, &v))
			return -1;
	return more < 0 ? -1 : check_twice(r, RULE_GGUF_KEY_TWICE, "key");
}

/* Whether t lies where the one before it ends, which is byte at of the data. */
static int check_place(struct reader *r, const struct gguf_tensor *t, uint64_t at)
{
	if (t->at != at)
		return err_rule(r->e, t->at < at ? RULE_GGUF_OFFSET_OVERLAP : RULE_GGUF_OFFSET_GAP,
			t->pos,
			"tensor %s, byte %llu: it starts at %llu of the data, the one before and its padding end at %llu",
			text_quote(t->name).s, (unsigned long long)t->pos,
			(unsigned long long)t->at, (unsigned long long)at);
	if (t->bytes > INT64_MAX - GGUF_ALIGNMENT_MAX - at)
		return err_rule(r->e, RULE_GGUF_SHAPE, t->pos,
			"tensor %s, byte %llu: it ends beyond any file", text_quote(t->name).s,
			(unsigned long long)t->pos);
	return 0;
}

static int read_tensors(struct reader *r)
{
	struct gguf_file *f = r->f;
	struct gguf_tensor t;
	uint64_t at = 0, end = 0;
	int more;

	r->n_keys = 0;
	while ((more = gguf_tensor(&r->g, &t)) == 1) {
		if (mem_grow(&f->tensors, &r->tensors_cap, f->n + 1, sizeof *f->tensors) ||
			mem_grow(&r->keys, &r->keys_cap, f->n + 1, sizeof *r->keys))
			return err_nomem(r->e);
		t.name = arena_strndup(r->arena, t.name, strlen(t.name));
		if (!t.name)
			return err_nomem(r->e);
		r->keys[r->n_keys].s = t.name;
		r->keys[r->n_keys++].pos = t.pos;
		if (check_place(r, &t, at))
			return -1;
		f->tensors[f->n++] = t;
		end = at + t.bytes;
		at = gguf_pad(end, f->alignment);
	}
	if (more < 0)
		return -1;
	f->data_at = gguf_pad(gguf_pos(&r->g), f->alignment);
	f->end = f->n ? f->data_at + end : gguf_pos(&r->g);
	return check_twice(r, RULE_GGUF_NAME_TWICE, "tensor name");
}

static int check_end(struct reader *r, uint64_t size)
{
	const struct gguf_file *f = r->f;
	uint64_t padded = gguf_pad(f->end, f->alignment);

	if (f->end > size)
		return err_rule(r->e, RULE_GGUF_TRUNCATED, size,
			"the file is cut: its tensors end at byte %llu, the file has %llu, %llu are missing",
			(unsigned long long)f->end, (unsigned long long)size,
			(unsigned long long)(f->end - size));
	if (size > padded)
		return err_rule(r->e, RULE_GGUF_TRAILING, padded,
			"the file goes on for %llu bytes after its last tensor, which ends at byte %llu",
			(unsigned long long)(size - padded), (unsigned long long)f->end);
	return 0;
}

int gguf_file_read(struct gguf_file *f, const struct io *io, int fd, uint64_t size, gguf_look *look,
	void *ctx, struct arena *arena, struct err *e)
{
	struct reader r = { .f = f, .look = look, .ctx = ctx, .arena = arena, .e = e };
	int rc = -1;

	memset(f, 0, sizeof *f);
	f->alignment = GGUF_ALIGNMENT;
	if (!gguf_open(&r.g, io, fd, size, e) && !read_pairs(&r) && !read_tensors(&r) &&
		!check_end(&r, size))
		rc = 0;
	gguf_close(&r.g);
	free(r.keys);
	arena_free(&r.keys_arena);
	if (rc)
		gguf_file_free(f);
	return rc;
}

void gguf_file_free(struct gguf_file *f)
{
	free(f->tensors);
	memset(f, 0, sizeof *f);
}
