/* SPDX-License-Identifier: MIT */
#include "formats/tokenizer/bpe.h"

#include "core/text.h"

#include <stdlib.h>
#include <string.h>

enum { NO_ID = UINT32_MAX };

/* --- the tables --- */

struct bpe_merge {
	uint32_t left, right, id; /* id NO_ID: the place is free */
	uint32_t rank;
};

/* Ids of the vocabulary by their text. */
struct names {
	const struct tokenizer *t;
	uint32_t *table; /* owns; [size]; NO_ID: free */
	size_t size;
};

static uint64_t mix(uint64_t h)
{
	h ^= h >> 32; /* a 64-bit finalizer: multiply and fold (Steele et al., SplitMix) */
	h *= 0x9e3779b97f4a7c15u;
	return h ^ h >> 29;
}

static uint64_t hash_of(const char *s, size_t n)
{
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a, 64 bits */
	size_t i;

	for (i = 0; i < n; i++)
		h = (h ^ (unsigned char)s[i]) * 0x100000001b3u;
	return mix(h);
}

/* The smallest power of two that is twice n, so that half of the places stay free. */
static size_t table_size(size_t n)
{
	size_t size = 16;

	while (size < 2 * n)
		size *= 2;
	return size;
}

static uint32_t *place_of(const struct names *v, const char *s, size_t n)
{
	size_t i = (size_t)hash_of(s, n) & (v->size - 1);
	const struct tokenizer_token *t;

	for (; v->table[i] != NO_ID; i = (i + 1) & (v->size - 1)) {
		t = &v->t->tokens[v->table[i]];
		if (t->n == n && !memcmp(t->s, s, n))
			break;
	}
	return &v->table[i];
}

static int names_make(struct names *v, const struct tokenizer *t, struct err *e)
{
	size_t i;

	*v = (struct names){ .t = t, .size = table_size(t->n) };
	v->table = malloc(v->size * sizeof *v->table);
	if (!v->table)
		return err_nomem(e);
	memset(v->table, 0xff, v->size * sizeof *v->table);
	for (i = 0; i < t->n; i++)
		if (t->tokens[i].base)
			*place_of(v, t->tokens[i].s, t->tokens[i].n) = (uint32_t)i;
	return 0;
}

/* The character that stands for a byte, as UTF-8 in s. */
static size_t char_of(unsigned byte, char s[2])
{
	static const unsigned visible[][2] = { { 0x21, 0x7e }, { 0xa1, 0xac }, { 0xae, 0xff } };
	unsigned c = byte, other = 0x100, b, i;
	bool seen = false;

	for (b = 0; b <= byte; b++, other += !seen)
		for (seen = false, i = 0; i < 3; i++)
			seen = seen || (b >= visible[i][0] && b <= visible[i][1]);
	if (!seen)
		c = other - 1;
	if (c < 0x80) {
		s[0] = (char)c;
		return 1;
	}
	s[0] = (char)(0xc0 | c >> 6);
	s[1] = (char)(0x80 | (c & 0x3f));
	return 2;
}

static int take_bytes(struct bpe *b, const struct names *v, struct err *e)
{
	unsigned byte;
	char s[2];
	size_t n;

	for (byte = 0; byte < 256; byte++) {
		n = char_of(byte, s);
		b->byte[byte] = *place_of(v, s, n);
		if (b->byte[byte] == NO_ID)
			return err_rule(e, RULE_TOKENS_TOKENIZER, ERR_NOPOS,
				"no token stands for the byte 0x%02x", byte);
	}
	return 0;
}

static struct bpe_merge *merge_place(const struct bpe *b, uint32_t left, uint32_t right)
{
	size_t i = (size_t)mix((uint64_t)left << 32 | right) & (b->size - 1);

	while (b->table[i].id != NO_ID && (b->table[i].left != left || b->table[i].right != right))
		i = (i + 1) & (b->size - 1);
	return &b->table[i];
}

/* Of two merges of one pair the later one holds, as in tokenizers. */
static int take_merge(struct bpe *b, const struct names *v, const struct tokenizer_merge *m,
	uint32_t rank, struct text *both, struct err *e)
{
	const char *space = memchr(m->s, ' ', m->n);
	size_t left = (size_t)(space - m->s), right = m->n - left - 1;
	struct bpe_merge is = { .rank = rank };

	both->n = 0;
	text_put(both, m->s, left);
	text_put(both, space + 1, right);
	if (both->failed)
		return err_nomem(e);
	is.left = *place_of(v, m->s, left);
	is.right = *place_of(v, space + 1, right);
	is.id = *place_of(v, both->s, both->n);
	if (is.left == NO_ID || is.right == NO_ID || is.id == NO_ID)
		return err_rule(e, RULE_TOKENS_TOKENIZER, ERR_NOPOS,
			"merge %u, %s, is of tokens that the vocabulary has not", rank,
			text_quote_n(m->s, m->n).s);
	*merge_place(b, is.left, is.right) = is;
	return 0;
}

static int take_merges(struct bpe *b, const struct names *v, const struct tokenizer *t,
	struct err *e)
{
	struct text both = { 0 };
	size_t i;
	int rc = 0;

	b->size = table_size(t->n_merges);
	b->table = malloc(b->size * sizeof *b->table);
	if (!b->table)
		return err_nomem(e);
	for (i = 0; i < b->size; i++)
		b->table[i] = (struct bpe_merge){ .id = NO_ID };
	for (i = 0; !rc && i < t->n_merges; i++)
		rc = take_merge(b, v, &t->merges[i], (uint32_t)i, &both, e);
	text_free(&both);
	return rc;
}

int bpe_make(struct bpe *b, const struct tokenizer *t, struct err *e)
{
	struct names v;
	int rc;

	memset(b, 0, sizeof *b);
	rc = names_make(&v, t, e);
	rc = rc || take_bytes(b, &v, e) || take_merges(b, &v, t, e) ? -1 : 0;
	free(v.table);
	if (rc)
		bpe_free(b);
	return rc;
}

void bpe_free(struct bpe *b)
{
	free(b->table);
	memset(b, 0, sizeof *b);
}

/* --- merging --- */

/* A token of the piece, in a list in the order of the text. */
struct bpe_symbol {
	uint32_t id;           /* NO_ID: it has become a part of the one before */
	uint32_t next, before; /* NO_ID: none */
};

/* A merge that may be done. */
struct bpe_step {
	uint32_t rank, at, id; /* at: the left symbol; id: what both become */
};

void bpe_work_free(struct bpe_work *w)
{
	free(w->symbols);
	free(w->heap);
	memset(w, 0, sizeof *w);
}

static bool comes_first(const struct bpe_step *a, const struct bpe_step *b)
{
	return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static int push(struct bpe_work *w, struct bpe_step s, struct err *e)
{
	size_t i = w->n, up;

	if (mem_grow(&w->heap, &w->heap_cap, w->n + 1, sizeof *w->heap))
		return err_nomem(e);
	for (w->n++; i && (up = (i - 1) / 2, comes_first(&s, &w->heap[up])); i = up)
		w->heap[i] = w->heap[up];
	w->heap[i] = s;
	return 0;
}

static struct bpe_step pop(struct bpe_work *w)
{
	struct bpe_step first = w->heap[0], last = w->heap[--w->n];
	size_t i = 0, down;

	while ((down = 2 * i + 1) < w->n) {
		down += down + 1 < w->n && comes_first(&w->heap[down + 1], &w->heap[down]);
		if (!comes_first(&w->heap[down], &last))
			break;
		w->heap[i] = w->heap[down];
		i = down;
	}
	w->heap[i] = last;
	return first;
}

/* Puts the merge of symbol at with the next one on the heap, if there is one. */
static int offer(const struct bpe *b, struct bpe_work *w, uint32_t at, struct err *e)
{
	const struct bpe_symbol *s = &w->symbols[at];
	const struct bpe_merge *m;

	if (s->next == NO_ID)
		return 0;
	m = merge_place(b, s->id, w->symbols[s->next].id);
	return m->id == NO_ID ? 0 : push(w, (struct bpe_step){ m->rank, at, m->id }, e);
}

/* Does a step, unless other steps have changed what it was of. */
static int merge(const struct bpe *b, struct bpe_work *w, const struct bpe_step *step,
	struct err *e)
{
	struct bpe_symbol *s = &w->symbols[step->at], *right;

	if (s->id == NO_ID || s->next == NO_ID)
		return 0;
	right = &w->symbols[s->next];
	if (merge_place(b, s->id, right->id)->id != step->id)
		return 0;
	s->id = step->id;
	right->id = NO_ID;
	s->next = right->next;
	if (s->next != NO_ID)
		w->symbols[s->next].before = step->at;
	if (s->before != NO_ID && offer(b, w, s->before, e))
		return -1;
	return offer(b, w, step->at, e);
}

static int append(struct token_ids *out, uint32_t id, struct err *e)
{
	if (mem_grow(&out->v, &out->cap, out->n + 1, sizeof *out->v))
		return err_nomem(e);
	out->v[out->n++] = id;
	return 0;
}

int bpe_encode(const struct bpe *b, struct bpe_work *w, const char *s, size_t n,
	struct token_ids *out, struct err *e)
{
	struct bpe_step step;
	uint32_t i;

	if (n >= NO_ID || mem_grow(&w->symbols, &w->symbols_cap, n, sizeof *w->symbols))
		return err_nomem(e);
	for (i = 0; i < n; i++)
		w->symbols[i] = (struct bpe_symbol){ .id = b->byte[(unsigned char)s[i]],
			.next = i + 1 < n ? i + 1 : NO_ID,
			.before = i ? i - 1 : NO_ID };
	w->n = 0;
	for (i = 0; i < n; i++)
		if (offer(b, w, i, e))
			return -1;
	while (w->n) {
		step = pop(w);
		if (merge(b, w, &step, e))
			return -1;
	}
	for (i = n ? 0 : NO_ID; i != NO_ID; i = w->symbols[i].next)
		if (append(out, w->symbols[i].id, e))
			return -1;
	return 0;
}
