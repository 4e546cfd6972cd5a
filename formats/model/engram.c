/* SPDX-License-Identifier: MIT */
#include "formats/model/engram.h"

#include "core/text.h"
#include "formats/json/jmember.h"
#include "formats/model/role.h"

#include <stdio.h>
#include <string.h>

const char *const engram_names[ENGRAM_COUNT] = {
	[ENGRAM_KEEP] = "keep", [ENGRAM_DROP] = "drop", [ENGRAM_SEPARATE] = "separate"
};

bool engram_find(enum engram *g, const char *word)
{
	unsigned i;

	for (i = 0; i < ENGRAM_COUNT && strcmp(engram_names[i], word) != 0; i++)
		;
	if (i < ENGRAM_COUNT)
		*g = (enum engram)i;
	return i < ENGRAM_COUNT;
}

/* What stands behind "layers.N." in the name; NULL: it is of no layer. */
static const char *in_layer(const char *tensor)
{
	static const char layers[] = "layers.";
	size_t n = sizeof layers - 1;

	if (strncmp(tensor, layers, n) != 0)
		return NULL;
	tensor += n;
	tensor += strspn(tensor, "0123456789");
	return *tensor == '.' ? tensor + 1 : NULL;
}

bool engram_own(const char *tensor)
{
	const char *s = in_layer(tensor);

	return s && !strncmp(s, "engram.", 7);
}

uint64_t engram_layer(const char *tensor)
{
	unsigned long long n = 0;

	return sscanf(tensor, "layers.%9llu.", &n) == 1 ? n : 0;
}

bool engram_table(const char *tensor)
{
	const char *s = in_layer(tensor);

	return s && !strncmp(s, "engram.embed.", 13);
}

/* --- rows --- */

static bool is_prime(uint64_t n)
{
	uint64_t d;

	if (n < 4 || n % 2 == 0)
		return n == 2 || n == 3;
	for (d = 3; d * d <= n; d += 2)
		if (n % d == 0)
			return false;
	return true;
}

uint64_t engram_columns(const struct config *c)
{
	return (c->EG - 1) * c->EN;
}

/* The source walks anew from engram_vocab_size for each size of n-grams and passes over primes that are taken: what it yields
 * is the primes in their order. */
uint64_t engram_bounds(const struct config *c, uint32_t table, uint64_t *bound)
{
	uint64_t n = engram_columns(c), k, next = c->EV, rows = 0;
	uint32_t t;

	for (t = 0; t <= table; t++) {
		for (rows = 0, k = 0; k < n; k++, rows += next++) {
			while (!is_prime(next))
				next++;
			if (bound)
				bound[k] = rows;
		}
	}
	if (bound)
		bound[n] = rows;
	return rows;
}

/* The rows grow with the prime that the first column begins with, and are the same from one prime to the next. */
bool engram_vocab_of(const struct config *c, uint32_t table, uint64_t rows, uint64_t *vocab)
{
	struct config x = *c;
	uint64_t lo = 2, hi = c->EV + 1, is = 0;

	while (lo < hi) {
		x.EV = lo + (hi - lo) / 2;
		is = engram_bounds(&x, table, NULL);
		if (is < rows)
			lo = x.EV + 1;
		else
			hi = x.EV;
	}
	x.EV = *vocab = lo;
	return lo <= c->EV && engram_bounds(&x, table, NULL) == rows;
}

int engram_share_rows(struct engram_share *h, const struct config *c, uint64_t layer)
{
	uint64_t bound[ENGRAM_COLUMNS + 1], n = engram_columns(c), rows;

	if (!c->engram || !c->layer || layer >= c->L || !c->layer[layer].rows ||
		n > ENGRAM_COLUMNS || !h->ranks || h->rank >= h->ranks)
		return -1;
	rows = engram_bounds(c, c->layer[layer].table, bound);
	if (n % h->ranks == 0) {
		h->first = bound[n / h->ranks * h->rank];
		h->end = bound[n / h->ranks * (h->rank + 1)];
	} else { /* ranks are at most 2^16 and rows below 2^46: the products have room */
		h->first = rows * h->rank / h->ranks;
		h->end = rows * (h->rank + 1) / h->ranks;
	}
	return h->first < h->end ? 0 : -1;
}

/* --- names of records --- */

static const char *const record_words[] = { "record", "mxfp4", "cb4", ENGRAM_LEVELS };

bool engram_record_name(char name[ENGRAM_NAME], const char *codes, const char *word,
	const struct engram_share *h)
{
	size_t n = text_stem(codes, "embed.weight");
	int k;

	if (!n)
		return false;
	k = h->ranks == 1
		? snprintf(name, ENGRAM_NAME, "%.*sembed.%s", (int)n, codes, word)
		: snprintf(name, ENGRAM_NAME, "%.*sembed.%s.rank-%llu-of-%llu", (int)n, codes, word,
			  (unsigned long long)h->rank, (unsigned long long)h->ranks);
	return k > 0 && k < ENGRAM_NAME;
}

/* The word that the rest of a name begins with and that a dot or nothing follows; NULL: none. */
static const char *word_of(const char *rest)
{
	size_t i, n;

	for (i = 0; i < sizeof record_words / sizeof *record_words; i++) {
		n = strlen(record_words[i]);
		if (!strncmp(rest, record_words[i], n) && (!rest[n] || rest[n] == '.'))
			return record_words[i];
	}
	return NULL;
}

const char *engram_record_of(struct engram_share *h, const char *name)
{
	static const char begin[] = "engram.embed.";
	unsigned long long rank = 0, ranks = 1;
	const char *s = in_layer(name), *word, *tail;
	char again[ENGRAM_NAME], codes[ENGRAM_NAME];

	if (!s || strncmp(s, begin, sizeof begin - 1) != 0)
		return NULL;
	word = word_of(s + sizeof begin - 1);
	if (!word)
		return NULL;
	tail = s + sizeof begin - 1 + strlen(word);
	if (*tail && (sscanf(tail, ".rank-%9llu-of-%9llu", &rank, &ranks) != 2 || ranks < 2))
		return NULL;
	*h = (struct engram_share){ .rank = rank, .ranks = ranks };
	return rank < ranks &&
			snprintf(codes, sizeof codes, "%.*sengram.embed.weight", (int)(s - name),
				name) < (int)sizeof codes &&
			engram_record_name(again, codes, word, h) && !strcmp(again, name)
		? word
		: NULL;
}

/* --- a model without it --- */

void engram_take_out(struct config *c)
{
	uint64_t i;

	c->engram = false;
	c->EC = c->ER = 0;
	for (i = 0; c->layer && i < c->L; i++) {
		c->layer[i].is &= ~(unsigned)IN_ENGRAM;
		c->layer[i].rows = 0;
	}
}

/* Empties the lists of layers with Engram, and of their rows, in the object *t. */
static int empty_lists(struct text *t, struct err *e)
{
	static const char *const keys[] = { "engram_layer_ids", "engram_layers",
		"engram_num_embeddings" };
	struct text was = { 0 };
	bool there;
	size_t i;
	int rc = 0;

	for (i = 0; !rc && i < sizeof keys / sizeof *keys; i++) {
		rc = jmember_get(t, keys[i], &was, &there, e);
		if (!rc && there)
			rc = jmember_set(t, keys[i], "[]", e);
	}
	text_free(&was);
	return rc;
}

int engram_config(struct text *t, struct err *e)
{
	struct text nested = { 0 };
	bool there = false;
	int rc = jmember_get(t, "text_config", &nested, &there, e);

	if (!rc && there)
		rc = empty_lists(&nested, e) || jmember_set(t, "text_config", nested.s, e) ? -1 : 0;
	rc = rc ? rc : empty_lists(t, e);
	text_free(&nested);
	return rc;
}
