/* SPDX-License-Identifier: MIT */
#include "formats/tokenizer/tokenizer_json.h"

#include "formats/json/jread.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

enum {
	DEPTH = 12,     /* a pattern of a split lies 6 deep */
	LONGEST = 4096, /* bytes; the longest of DeepSeek-V4 has 384 */
	SPLITS = 3
};

/* What text is split by before BPE: tokenizer.json of DeepSeek-V4. */
static const char words[] =
	"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
	"?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+";
static const char *const splits[SPLITS] = { "\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", words };

struct reader {
	struct jread j;
	struct tokenizer *t;
	size_t merges_cap;
	unsigned n_splits; /* seen in the pre-tokenizer */
	bool bytes;        /* it ends with ByteLevel */
	bool has_model, has_pre;
	size_t members; /* of all objects so far */
	struct err *e;
};

static int refuse(struct reader *r, uint64_t pos, const char *what)
{
	return err_rule(r->e, RULE_TOKENS_TOKENIZER, pos, "byte %llu: %s", (unsigned long long)pos,
		what);
}

static bool is(const struct reader *r, const char *s)
{
	return r->j.str.n == strlen(s) && !memcmp(r->j.str.s, s, r->j.str.n);
}

typedef int member(struct reader *r, uint64_t pos);

/* Reads an object: each member whose key is in the table goes to its function, the others are stepped over. */
struct members {
	const char *key;
	member *get;
};
static int read_object(struct reader *r, const struct members *table)
{
	const struct members *m;
	uint64_t pos;
	int more;

	if (jread_object(&r->j))
		return -1;
	while ((more = jread_key(&r->j)) == 1) {
		r->members++;
		for (m = table; m->key && !is(r, m->key); m++)
			;
		pos = r->j.str_pos;
		if (m->key ? m->get(r, pos) : jread_skip(&r->j))
			return -1;
	}
	return more;
}

/* --- tokens --- */

static int put_token(struct reader *r, uint64_t pos, const char *s, size_t n, uint64_t id,
	uint8_t type, bool added)
{
	struct tokenizer_token *t;

	if (id >= r->t->n)
		return err_rule(r->e, RULE_TOKENS_TOKENIZER, pos,
			"byte %llu: token id %llu, config.json has a vocab_size of %zu",
			(unsigned long long)pos, (unsigned long long)id, r->t->n);
	t = &r->t->tokens[id];
	if (t->s && (t->n != n || memcmp(t->s, s, n)))
		return refuse(r, pos, "two tokens have the same id");
	if (!t->s) {
		t->s = arena_strndup(&r->t->arena, s, n);
		if (!t->s)
			return err_nomem(r->e);
		t->n = (uint32_t)n;
	}
	if (added || !t->added) /* which of the two lists comes first does not matter */
		t->type = type;
	t->added |= added;
	t->base |= !added;
	return 0;
}

/* "token": id, ... */
static int get_vocab(struct reader *r, uint64_t pos)
{
	struct text key = { 0 };
	uint64_t id;
	int more, rc = -1;

	(void)pos;
	if (jread_object(&r->j))
		return -1;
	while ((more = jread_key(&r->j)) == 1) {
		key.n = 0;
		text_put(&key, r->j.str.s, r->j.str.n);
		pos = r->j.str_pos;
		if (key.failed) {
			err_nomem(r->e);
			goto out;
		}
		if (jread_u64(&r->j, UINT32_MAX, &id) ||
			put_token(r, pos, key.s, key.n, id, TOKEN_NORMAL, false))
			goto out;
	}
	rc = more;
out:
	text_free(&key);
	return rc;
}

/* Tokens that are meant as special whatever "special" says: <|...|> with either bar, as llama.cpp's converter has it. */
static bool looks_special(const char *s, size_t n)
{
	static const char *const ends[][2] = { { "<|", "|>" }, { "<｜", "｜>" } };
	size_t i, a, b;

	for (i = 0; i < 2; i++) {
		a = strlen(ends[i][0]);
		b = strlen(ends[i][1]);
		if (n >= a && n >= b && !memcmp(s, ends[i][0], a) &&
			!memcmp(s + n - b, ends[i][1], b))
			return true;
	}
	return false;
}

static int get_bool(struct jread *j, bool *v)
{
	*v = jread_peek(j) == 't';
	return jread_skip(j);
}

/* An added token as it stands there. */
struct added {
	struct text s;
	uint64_t id;
	bool special, normalized, odd;
};

static int get_id(struct reader *r, struct added *a)
{
	return jread_u64(&r->j, UINT32_MAX, &a->id);
}

static int get_content(struct reader *r, struct added *a)
{
	if (jread_string(&r->j, LONGEST))
		return -1;
	a->s.n = 0;
	text_put(&a->s, r->j.str.s, r->j.str.n);
	return 0;
}

static int get_special(struct reader *r, struct added *a)
{
	return get_bool(&r->j, &a->special);
}

static int get_normalized(struct reader *r, struct added *a)
{
	return get_bool(&r->j, &a->normalized);
}

static int get_odd(struct reader *r, struct added *a)
{
	bool is;

	if (get_bool(&r->j, &is))
		return -1;
	a->odd |= is;
	return 0;
}

/* { "id": 0, "content": "...", "special": true, ... } */
static int read_added_members(struct reader *r, struct added *a)
{
	static const struct {
		const char *key;
		int (*get)(struct reader *r, struct added *a);
	} table[] = { { "id", get_id }, { "content", get_content }, { "special", get_special },
		{ "normalized", get_normalized }, { "lstrip", get_odd }, { "rstrip", get_odd },
		{ "single_word", get_odd } };
	size_t i;
	int more;

	if (jread_object(&r->j))
		return -1;
	while ((more = jread_key(&r->j)) == 1) {
		for (i = 0; i < COUNT(table) && !is(r, table[i].key); i++)
			;
		if (i < COUNT(table) ? table[i].get(r, a) : jread_skip(&r->j))
			return -1;
	}
	return more;
}

static int read_added(struct reader *r)
{
	uint64_t pos = (jread_peek(&r->j), jread_pos(&r->j));
	struct added a = { .id = UINT64_MAX };
	struct tokenizer_token *t;
	int rc = read_added_members(r, &a);

	if (!rc && a.s.failed)
		rc = err_nomem(r->e);
	else if (!rc && (!a.s.n || a.id == UINT64_MAX))
		rc = refuse(r, pos, "an added token without id or content");
	else if (!rc)
		rc = put_token(r, pos, a.s.s, a.s.n, a.id,
			a.special || looks_special(a.s.s, a.s.n) ? TOKEN_CONTROL : TOKEN_USER,
			true);
	if (!rc) {
		t = &r->t->tokens[a.id];
		t->normalized = a.normalized;
		t->odd = a.odd;
	}
	text_free(&a.s);
	return rc;
}

static int get_added(struct reader *r, uint64_t pos)
{
	int more;

	(void)pos;
	if (jread_array(&r->j))
		return -1;
	while ((more = jread_item(&r->j)) == 1)
		if (read_added(r))
			return -1;
	return more;
}

/* --- merges --- */

/* Appends a part; a space in it is written as llama.cpp wants it, U+0120. */
static void put_part(struct text *t, const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (s[i] == ' ')
			text_str(t, "\xc4\xa0");
		else
			text_put(t, s + i, 1);
}

/* "left right", or ["left", "right"] as newer versions write it. */
static int read_merge(struct reader *r, struct text *t)
{
	int more, n = 0;

	t->n = 0;
	if (jread_peek(&r->j) == '"') {
		if (jread_string(&r->j, 2 * LONGEST))
			return -1;
		text_put(t, r->j.str.s, r->j.str.n);
		return 0;
	}
	if (jread_array(&r->j))
		return -1;
	while ((more = jread_item(&r->j)) == 1) {
		if (jread_string(&r->j, LONGEST))
			return -1;
		if (n++)
			text_put(t, " ", 1);
		put_part(t, r->j.str.s, r->j.str.n);
	}
	if (more == 0 && n != 2)
		return refuse(r, jread_pos(&r->j), "a merge that is not of two parts");
	return more;
}

static int put_merge(struct reader *r, const struct text *t)
{
	struct tokenizer *v = r->t;
	const char *space = memchr(t->s, ' ', t->n);

	if (!space || memchr(space + 1, ' ', t->n - (size_t)(space + 1 - t->s)) || space == t->s ||
		space + 1 == t->s + t->n)
		return refuse(r, r->j.str_pos, "a merge that is not of two parts");
	if (v->n_merges == TOKENIZER_MERGES_MAX)
		return refuse(r, r->j.str_pos, "more merges than this program takes");
	if (mem_grow(&v->merges, &r->merges_cap, v->n_merges + 1, sizeof *v->merges))
		return err_nomem(r->e);
	v->merges[v->n_merges].s = arena_strndup(&v->arena, t->s, t->n);
	v->merges[v->n_merges].n = t->n;
	return v->merges[v->n_merges++].s ? 0 : err_nomem(r->e);
}

static int get_merges(struct reader *r, uint64_t pos)
{
	struct text t = { 0 };
	int more, rc = 0;

	(void)pos;
	if (jread_array(&r->j))
		return -1;
	while (!rc && (more = jread_item(&r->j)) != 0) {
		rc = more < 0 || read_merge(r, &t) ? -1
			: t.failed || !t.s         ? err_nomem(r->e)
						   : put_merge(r, &t);
	}
	text_free(&t);
	return rc;
}

static int get_type(struct reader *r, uint64_t pos)
{
	if (jread_string(&r->j, 64))
		return -1;
	return is(r, "BPE") ? 0 : refuse(r, pos, "the tokenizer is not BPE");
}

/* Members that change which tokens come out, and that DeepSeek-V4 has as null, false or not at all. */
static int get_off(struct reader *r, uint64_t pos)
{
	char c = (char)jread_peek(&r->j);

	if (c != 'n' && c != 'f')
		return refuse(r, pos,
			"dropout, byte_fallback, ignore_merges, a prefix, a suffix, truncation or padding is on");
	return jread_skip(&r->j);
}

static int get_model(struct reader *r, uint64_t pos)
{
	static const struct members table[] = { { "type", get_type }, { "vocab", get_vocab },
		{ "merges", get_merges }, { "dropout", get_off }, { "byte_fallback", get_off },
		{ "ignore_merges", get_off }, { "continuing_subword_prefix", get_off },
		{ "end_of_word_suffix", get_off }, { NULL, NULL } };

	if (r->has_model)
		return refuse(r, pos, "a second model");
	r->has_model = true;
	return read_object(r, table);
}

/* --- what is done to the text before --- */

/* null, or a Sequence of none. */
static int get_normalizer(struct reader *r, uint64_t pos)
{
	int more;
	bool none = true;

	if (jread_peek(&r->j) == 'n')
		return jread_skip(&r->j);
	if (jread_object(&r->j))
		return -1;
	while ((more = jread_key(&r->j)) == 1) {
		if (is(r, "type")) {
			if (jread_string(&r->j, 64))
				return -1;
			none &= is(r, "Sequence");
		} else if (is(r, "normalizers")) {
			if (jread_array(&r->j))
				return -1;
			while ((more = jread_item(&r->j)) == 1) {
				none = false;
				if (jread_skip(&r->j))
					return -1;
			}
			if (more < 0)
				return -1;
		} else if (jread_skip(&r->j)) {
			return -1;
		}
	}
	if (more < 0)
		return -1;
	return none ? 0
		    : refuse(r, pos, "the text is normalized first, which DeepSeek-V4 does not do");
}

static int get_regex(struct reader *r, uint64_t pos)
{
	if (jread_string(&r->j, 1024))
		return -1;
	if (r->n_splits >= SPLITS || !is(r, splits[r->n_splits]))
		return refuse(r, pos,
			"the text is split in another way than that of DeepSeek-V4 (\"" TOKENIZER_PRE
			"\")");
	r->n_splits++;
	return 0;
}

static int get_pattern(struct reader *r, uint64_t pos)
{
	static const struct members table[] = { { "Regex", get_regex }, { NULL, NULL } };

	(void)pos;
	return read_object(r, table);
}

static int get_kind(struct reader *r, uint64_t pos)
{
	if (jread_string(&r->j, 64))
		return -1;
	if (!is(r, "Split") && !is(r, "ByteLevel"))
		return refuse(r, pos, "a pre-tokenizer that is neither Split nor ByteLevel");
	r->bytes = is(r, "ByteLevel");
	return 0;
}

static int get_behavior(struct reader *r, uint64_t pos)
{
	if (jread_string(&r->j, 64))
		return -1;
	return is(r, "Isolated") ? 0 : refuse(r, pos, "the behavior of a Split is not Isolated");
}

/* Members that change how text is split, and that DeepSeek-V4 has as false. */
static int get_false(struct reader *r, uint64_t pos)
{
	if (jread_peek(&r->j) != 'f')
		return refuse(r, pos,
			"invert, add_prefix_space or use_regex of a pre-tokenizer is not false");
	return jread_skip(&r->j);
}

static int get_pretokenizers(struct reader *r, uint64_t pos)
{
	static const struct members table[] = { { "type", get_kind }, { "pattern", get_pattern },
		{ "behavior", get_behavior }, { "invert", get_false },
		{ "add_prefix_space", get_false }, { "use_regex", get_false }, { NULL, NULL } };
	int more;

	(void)pos;
	if (jread_array(&r->j))
		return -1;
	while ((more = jread_item(&r->j)) == 1)
		if (read_object(r, table))
			return -1;
	return more;
}

static int get_pre(struct reader *r, uint64_t pos)
{
	static const struct members table[] = { { "pretokenizers", get_pretokenizers },
		{ NULL, NULL } };

	if (r->has_pre)
		return refuse(r, pos, "a second pre_tokenizer");
	r->has_pre = true;
	if (jread_peek(&r->j) == 'n')
		return jread_skip(&r->j);
	return read_object(r, table);
}

/* ByteLevel adds no token in front or behind. */
static int get_post_type(struct reader *r, uint64_t pos)
{
	(void)pos;
	if (jread_string(&r->j, 64))
		return -1;
	if (is(r, "ByteLevel"))
		r->t->add_bos = r->t->add_eos = 0;
	return 0;
}

static int get_post(struct reader *r, uint64_t pos)
{
	static const struct members table[] = { { "type", get_post_type }, { NULL, NULL } };

	(void)pos;
	if (jread_peek(&r->j) == 'n')
		return jread_skip(&r->j);
	return read_object(r, table);
}

/* --- */

static int read_document(struct reader *r)
{
	static const struct members table[] = { { "added_tokens", get_added },
		{ "normalizer", get_normalizer }, { "pre_tokenizer", get_pre },
		{ "post_processor", get_post }, { "model", get_model }, { "truncation", get_off },
		{ "padding", get_off }, { NULL, NULL } };

	if (read_object(r, table) || jread_end(&r->j, true))
		return -1;
	r->t->none = !r->members;
	if (r->t->none)
		return 0;
	if (!r->has_model || !r->t->n_merges)
		return refuse(r, 0, "there is no model, or it has no merges");
	if (r->n_splits != SPLITS || !r->bytes)
		return refuse(r, 0,
			"the text is split in another way than that of DeepSeek-V4 (\"" TOKENIZER_PRE
			"\")");
	return 0;
}

static int read_open(struct reader *r, const struct io *io, int fd, uint64_t size, size_t n)
{
	int rc;

	r->t->n = n;
	r->t->add_bos = r->t->add_eos = -1;
	r->t->tokens = calloc(n + 1, sizeof *r->t->tokens);
	if (!r->t->tokens)
		return err_nomem(r->e);
	rc = jread_open_file(&r->j, io, fd, 0, size, DEPTH, r->e) ? -1 : read_document(r);
	jread_close(&r->j);
	return rc;
}

int tokenizer_json_read(struct tokenizer *t, const struct link_dir *dir, size_t n, bool *there,
	struct err *e)
{
	struct reader r = { .t = t, .e = e };
	struct stat st;
	int fd, rc;

	memset(t, 0, sizeof *t);
	if (link_open_small(dir, TOKENIZER_JSON, TOKENIZER_JSON_CAP, &fd, &st, there, e))
		return err_at(e, TOKENIZER_JSON);
	if (!*there)
		return 0;
	rc = read_open(&r, dir->io, fd, (uint64_t)st.st_size, n);
	(void)dir->io->close(dir->io, fd); /* read only */
	if (!rc)
		return 0;
	tokenizer_free(t);
	return err_at(e, TOKENIZER_JSON);
}

void tokenizer_free(struct tokenizer *t)
{
	free(t->tokens);
	free(t->merges);
	arena_free(&t->arena);
	memset(t, 0, sizeof *t);
}
