/* SPDX-License-Identifier: MIT */
#include "formats/tokenizer/encoder.h"

#include "core/text.h"
#include "formats/tokenizer/pretoken.h"

#include <stdlib.h>
#include <string.h>

/* --- added tokens --- */

static int by_bytes(const void *a, const void *b)
{
	const struct tokenizer_token *x = *(const struct tokenizer_token *const *)a,
				     *y = *(const struct tokenizer_token *const *)b;
	int is = memcmp(x->s, y->s, x->n < y->n ? x->n : y->n);

	return is ? is : (x->n > y->n) - (x->n < y->n);
}

static int take_added(struct encoder_added *a, const struct tokenizer *t, bool normalized,
	struct err *e)
{
	const struct tokenizer_token *k, *end = t->tokens + t->n;

	a->v = malloc((t->n + 1) * sizeof *a->v);
	if (!a->v)
		return err_nomem(e);
	for (k = t->tokens; k < end; k++) {
		if (!k->added || k->normalized != normalized)
			continue;
		if (k->odd)
			return err_rule(e, RULE_TOKENS_TOKENIZER, ERR_NOPOS,
				"added token %s takes white space or asks for whole words, which "
				"this program does not do",
				text_quote_n(k->s, k->n).s);
		a->v[a->n++] = k;
		a->first[(unsigned char)k->s[0]] = true;
	}
	if (a->n)
		qsort(a->v, a->n, sizeof *a->v, by_bytes);
	return 0;
}

/* The longest of the tokens that the bytes from s to end begin with; NULL: none. The tokens that agree with the first
 * depth bytes are always v[low .. high). */
static const struct tokenizer_token *longest_at(const struct encoder_added *a, const char *s,
	const char *end)
{
	const struct tokenizer_token *best = NULL;
	size_t low = 0, high = a->n, depth, from, to, mid;

	for (depth = 0; low < high; depth++) {
		if (a->v[low]->n == depth) /* the shortest comes first */
			best = a->v[low++];
		if (s + depth == end)
			break;
		for (from = low, to = high; from < to;) {
			mid = from + (to - from) / 2;
			if ((unsigned char)a->v[mid]->s[depth] < (unsigned char)s[depth])
				from = mid + 1;
			else
				to = mid;
		}
		low = from;
		for (to = high; from < to;) {
			mid = from + (to - from) / 2;
			if ((unsigned char)a->v[mid]->s[depth] <= (unsigned char)s[depth])
				from = mid + 1;
			else
				to = mid;
		}
		high = from;
	}
	return best;
}

/* --- the whole --- */

struct job {
	const struct encoder *c;
	struct bpe_work work;
	struct token_ids *out;
	struct err *e;
};

static int pieces(struct job *j, const char *s, const char *end)
{
	struct pretoken p = { .s = s, .n = (size_t)(end - s) };
	const char *piece;
	size_t n;

	while (pretoken_next(&p, &piece, &n))
		if (bpe_encode(&j->c->bpe, &j->work, piece, n, j->out, j->e))
			return -1;
	return 0;
}

/* Appends the ids of s..end, where added tokens of this kind and of those after it are looked for. */
static int between(struct job *j, const char *s, const char *end, unsigned kind)
{
	const struct encoder_added *a = &j->c->added[kind];
	const struct tokenizer_token *t = NULL;
	const char *p;

	if (kind == 2)
		return pieces(j, s, end);
	for (p = s; p < end; p++) {
		t = a->first[(unsigned char)*p] ? longest_at(a, p, end) : NULL;
		if (!t)
			continue;
		if (between(j, s, p, kind + 1))
			return -1;
		if (mem_grow(&j->out->v, &j->out->cap, j->out->n + 1, sizeof *j->out->v))
			return err_nomem(j->e);
		j->out->v[j->out->n++] = (uint32_t)(t - j->c->t->tokens);
		s = p + t->n;
		p = s - 1;
	}
	return between(j, s, end, kind + 1);
}

static int check_utf8(const char *s, size_t n, struct err *e)
{
	size_t at;
	unsigned k;

	for (at = 0; at < n; at += k) {
		k = text_utf8((const unsigned char *)s + at, n - at);
		if (!k)
			return err_rule(e, RULE_TOKENS_UTF8, at, "byte %zu: this is no UTF-8", at);
	}
	return 0;
}

int encoder_make(struct encoder *c, const struct tokenizer *t, struct err *e)
{
	memset(c, 0, sizeof *c);
	c->t = t;
	if (!bpe_make(&c->bpe, t, e) && !take_added(&c->added[0], t, false, e) &&
		!take_added(&c->added[1], t, true, e))
		return 0;
	encoder_free(c);
	return -1;
}

void encoder_free(struct encoder *c)
{
	bpe_free(&c->bpe);
	free(c->added[0].v);
	free(c->added[1].v);
	memset(c, 0, sizeof *c);
}

int encoder_text(const struct encoder *c, const char *s, size_t n, struct token_ids *out,
	struct err *e)
{
	struct job j = { .c = c, .out = out, .e = e };
	int rc;

	if (check_utf8(s, n, e))
		return -1;
	rc = between(&j, s, s + n, 0);
	bpe_work_free(&j.work);
	return rc;
}

void token_ids_free(struct token_ids *ids)
{
	free(ids->v);
	memset(ids, 0, sizeof *ids);
}
