/* SPDX-License-Identifier: MIT */
#include "quant/cli/score_file.h"

#include "core/file.h"
#include "core/hash/xxh.h"
#include "formats/format_id.h"
#include "formats/gguf/ggml_type.h"
#include "formats/json/jread.h"
#include "formats/json/jwrite.h"
#include "quant/ggml.h"
#include "verify/run/line_seal.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEX = 64, DEEP = 4 };
static const char one[] = "one", by_imatrix[] = "imatrix";

static bool is_score(const struct io *io, int fd, uint64_t size)
{
	static const char begins[] = "{\"format\": \"" FORMAT_SCORE "\"";

	return dest_begins(io, fd, size, begins, sizeof begins - 1);
}

const struct dest_kind score_kind = { "a file of dsv4-quant score", is_score };

/* --- writing --- */

int score_put_head(struct text *t, const struct score_head *h, char run[33], struct err *e)
{
	struct xxh_digest d;
	struct jwrite o;
	size_t i, from = t->n;

	jwrite_begin(&o, t, 0);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "format", FORMAT_SCORE);
	jwrite_str(&o, "source", h->source);
	jwrite_str(&o, "encoders", h->encoders);
	jwrite_str(&o, "weights", h->imatrix[0] ? by_imatrix : one);
	if (h->imatrix[0])
		jwrite_str(&o, "imatrix", h->imatrix);
	else
		jwrite_null(&o, "imatrix");
	jwrite_u64(&o, "every", h->every);
	jwrite_open(&o, "types", '[');
	for (i = 0; i < h->n_types; i++)
		jwrite_str(&o, NULL, ggml_type_name(h->types[i]));
	jwrite_close(&o, ']');
	jwrite_u64(&o, "matrices", h->matrices);
	jwrite_close(&o, '}');
	if (t->failed)
		return err_nomem(e);
	while (t->s[t->n - 1] == '\n')
		t->n--;
	d = xxh_of(t->s + from, t->n - from);
	hex_of(d.b, sizeof d.b, run);
	text_str(t, "\n");
	return t->failed ? err_nomem(e) : 0;
}

static void put_types(struct jwrite *o, const struct score_row *r)
{
	size_t i;

	jwrite_open(o, "types", '[');
	for (i = 0; i < r->n; i++) {
		jwrite_open(o, NULL, '{');
		jwrite_str(o, "type", ggml_type_name(r->v[i].type));
		jwrite_u64(o, "bytes", r->v[i].bytes);
		jwrite_f64(o, "error", r->v[i].error);
		jwrite_close(o, '}');
	}
	jwrite_close(o, ']');
}

/* Seals the line that o has written to one of its own, and appends it. */
static int seal(struct text *t, struct text *line, struct jwrite *o, const char *run, struct err *e)
{
	int rc = line_seal_put(run, o, line, e);

	if (!rc) {
		while (line->n && line->s[line->n - 1] == '\n')
			line->n--;
		text_put(t, line->s, line->n);
		text_str(t, "\n");
	}
	if (!rc && (t->failed || line->failed))
		rc = err_nomem(e);
	text_free(line);
	return rc;
}

int score_put_row(struct text *t, const struct score_row *r, const char *run, struct err *e)
{
	struct text line = { 0 };
	struct jwrite o;

	jwrite_begin(&o, &line, 0);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "tensor", r->tensor);
	jwrite_str(&o, "role", r->role);
	jwrite_str(&o, "block", r->block);
	if (r->expert < 0)
		jwrite_null(&o, "expert");
	else
		jwrite_u64(&o, "expert", (uint64_t)r->expert);
	jwrite_str(&o, "codec", r->codec);
	jwrite_u64(&o, "rows", r->rows);
	jwrite_u64(&o, "columns", r->cols);
	jwrite_u64(&o, "measured", r->measured);
	jwrite_bool(&o, "weighted", r->weighted);
	if (r->tokens < 0)
		jwrite_null(&o, "tokens");
	else
		jwrite_f64(&o, "tokens", r->tokens);
	jwrite_f64(&o, "energy", r->energy);
	put_types(&o, r);
	return seal(t, &line, &o, run, e);
}

int score_put_end(struct text *t, uint64_t matrices, const char *run, struct err *e)
{
	struct text line = { 0 };
	struct jwrite o;

	jwrite_begin(&o, &line, 0);
	jwrite_open(&o, NULL, '{');
	jwrite_u64(&o, "end", matrices);
	return seal(t, &line, &o, run, e);
}

/* --- members, in the order in which they are written --- */

static int bad(struct jread *j, const char *what)
{
	return err_rule(j->e, RULE_SCORE_FORM, ERR_NOPOS, "%s", what);
}

/* Steps to the member of that name, which must come next. */
static int key(struct jread *j, const char *name)
{
	char what[96];

	if (jread_key(j) == 1 && !strcmp(j->str.s, name) && j->str.n == strlen(name))
		return 0;
	snprintf(what, sizeof what, "\"%s\" does not stand where it belongs", name);
	return bad(j, what);
}

/* A string of visible ASCII with at most size - 1 letters, of which there is one. */
static int get_word(struct jread *j, const char *name, char *out, size_t size)
{
	size_t i;

	if (key(j, name) || jread_string(j, size - 1))
		return -1;
	for (i = 0; i < j->str.n && j->str.s[i] > ' ' && j->str.s[i] <= '~'; i++)
		;
	if (!i || i < j->str.n)
		return bad(j, "a name that is none");
	memcpy(out, j->str.s, j->str.n);
	out[j->str.n] = '\0';
	return 0;
}

static int get_u64(struct jread *j, const char *name, uint64_t max, uint64_t *v)
{
	return key(j, name) || jread_u64(j, max, v) ? -1 : 0;
}

/* A number that is finite and not negative. */
static int get_amount(struct jread *j, const char *name, double *v)
{
	if (key(j, name) || jread_real(j, v))
		return -1;
	return isfinite(*v) && *v >= 0 ? 0 : bad(j, "a number below zero, or none");
}

static int get_bool(struct jread *j, const char *name, bool *v)
{
	int c;

	if (key(j, name))
		return -1;
	c = jread_peek(j);
	*v = c == 't';
	return c == 't' || c == 'f' ? jread_skip(j) : bad(j, "neither true nor false");
}

/* Whether null comes next, over which it steps. */
static bool is_null(struct jread *j)
{
	return jread_peek(j) == 'n' && !jread_skip(j);
}

static int get_hex(struct jread *j, const char *name, char out[HEX + 1])
{
	uint8_t bytes[HEX / 2];

	if (get_word(j, name, out, HEX + 1))
		return -1;
	return strlen(out) == HEX && hex_to(out, bytes, sizeof bytes) ? 0
								      : bad(j, "no SHA-256 in hex");
}

/* The type that the string which was read names. */
static int find_type(struct jread *j, uint32_t *type)
{
	const struct ggml_type_row *t;

	for (t = ggml_types; t->name; t++)
		if (!strcmp(t->name, j->str.s)) {
			*type = t->type;
			return 0;
		}
	return bad(j, "a type that ggml has not");
}

static int no_more(struct jread *j)
{
	int more = jread_key(j);

	return more < 0 ? -1 : more ? bad(j, "more members than there are") : jread_end(j, false);
}

/* --- lines --- */

static int get_head(struct jread *j, struct score_head *h)
{
	char word[SCORE_WORD];
	size_t i;
	int more;

	if (jread_object(j) || get_word(j, "format", word, sizeof word))
		return -1;
	if (strcmp(word, FORMAT_SCORE) != 0)
		return bad(j, "no score of this version of the program");
	if (get_hex(j, "source", h->source) ||
		get_word(j, "encoders", h->encoders, sizeof h->encoders) ||
		get_word(j, "weights", word, sizeof word) || key(j, "imatrix"))
		return -1;
	h->imatrix[0] = '\0';
	if (!strcmp(word, one) ? !is_null(j)
			       : jread_string(j, HEX) || j->str.n != HEX ||
				strcmp(word, by_imatrix) != 0 ||
				!hex_to(j->str.s, (uint8_t[HEX / 2]){ 0 }, HEX / 2))
		return bad(j, "weights that are neither one nor of an importance file");
	if (strcmp(word, one) != 0)
		memcpy(h->imatrix, j->str.s, HEX + 1);
	if (get_u64(j, "every", UINT32_MAX, &h->every) || key(j, "types") || jread_array(j))
		return -1;
	while ((more = jread_item(j)) == 1) {
		if (h->n_types == SCORE_TYPES)
			return bad(j, "more types than are written");
		if (jread_string(j, SCORE_WORD - 1) || find_type(j, &h->types[h->n_types]))
			return -1;
		for (i = 0; i < h->n_types; i++)
			if (h->types[i] == h->types[h->n_types])
				return bad(j, "a type for the second time");
		h->n_types++;
	}
	if (more < 0 || get_u64(j, "matrices", UINT32_MAX, &h->matrices))
		return -1;
	return h->every ? no_more(j) : bad(j, "\"every\" is 0");
}

/* Whether the head lists the type. */
static bool tried(const struct score_head *h, uint32_t type)
{
	size_t i;

	for (i = 0; i < h->n_types && h->types[i] != type; i++)
		;
	return i < h->n_types;
}

/* One type of a row: its bytes are those of the matrix, and what was not tried is exact. */
static int get_type(struct jread *j, const struct score_head *h, struct score_row *r)
{
	struct score_type *x = &r->v[r->n];
	const struct ggml_type_row *t;
	size_t i;

	if (r->n == SCORE_TYPES)
		return bad(j, "more types than are written");
	if (jread_object(j) || key(j, "type") || jread_string(j, SCORE_WORD - 1) ||
		find_type(j, &x->type) || get_u64(j, "bytes", UINT64_MAX, &x->bytes) ||
		get_amount(j, "error", &x->error))
		return -1;
	for (i = 0; i < r->n; i++)
		if (r->v[i].type == x->type)
			return bad(j, "a type for the second time");
	t = ggml_type_find(x->type);
	if (r->cols % t->items || x->bytes != r->rows * ggml_row_bytes(x->type, r->cols))
		return bad(j, "bytes that the matrix has not in the type");
	if (!tried(h, x->type) && x->error > 0)
		return bad(j, "a type that was not tried");
	r->n++;
	return jread_key(j) ? bad(j, "more members than there are") : 0;
}

static int get_row(struct jread *j, const struct score_head *h, struct score_row *r)
{
	enum { MOST = 1 << 30 }; /* rows, columns: their product times 4 bytes is a number */
	char hex[33];
	uint64_t expert = 0;
	int more;

	r->expert = -1;
	r->tokens = -1;
	r->n = 0;
	if (get_word(j, "role", r->role, sizeof r->role) ||
		get_word(j, "block", r->block, sizeof r->block) || key(j, "expert"))
		return -1;
	if (!is_null(j)) {
		if (jread_u64(j, UINT32_MAX, &expert))
			return -1;
		r->expert = (int64_t)expert;
	}
	if (get_word(j, "codec", r->codec, sizeof r->codec) || get_u64(j, "rows", MOST, &r->rows) ||
		get_u64(j, "columns", MOST, &r->cols) ||
		get_u64(j, "measured", r->rows, &r->measured) ||
		get_bool(j, "weighted", &r->weighted) || key(j, "tokens"))
		return -1;
	if (!is_null(j) &&
		(jread_real(j, &r->tokens) || !isfinite(r->tokens) || r->tokens < 0 ||
			!r->weighted))
		return bad(j, "no number of tokens");
	if (get_amount(j, "energy", &r->energy) || key(j, "types") || jread_array(j))
		return -1;
	while ((more = jread_item(j)) == 1)
		if (get_type(j, h, r))
			return -1;
	if (more < 0 || get_word(j, "xxh3_128", hex, sizeof hex))
		return -1;
	return !r->rows || !r->cols || !r->n ? bad(j, "a matrix of nothing") : no_more(j);
}

/* A line behind the first: 1 a matrix, 0 the end. */
static int get_line(struct jread *j, const struct score_in *s, struct score_row *r)
{
	char hex[33];
	uint64_t n;

	if (jread_object(j) || jread_key(j) != 1)
		return -1;
	if (!strcmp(j->str.s, "end")) {
		if (jread_u64(j, UINT32_MAX, &n) || get_word(j, "xxh3_128", hex, sizeof hex) ||
			no_more(j))
			return -1;
		return n == s->n && n == s->head.matrices ? 0 : bad(j, "lines are missing");
	}
	if (strcmp(j->str.s, "tensor") != 0 || jread_string(j, GGUF_NAME_MAX))
		return bad(j, "neither a matrix nor the end");
	memcpy(r->tensor, j->str.s, j->str.n + 1);
	if (s->n == s->head.matrices)
		return bad(j, "more lines than matrices");
	return get_row(j, &s->head, r) ? -1 : 1;
}

/* Reads the line at s->at to s->text, without its end. Returns its bytes, or -1: there is none that is whole. */
static int64_t load_line(struct score_in *s, struct err *e)
{
	uint64_t left = s->size - s->at;
	size_t n = left < SCORE_LINE ? (size_t)left : SCORE_LINE;
	const char *end;

	if (n && file_read(s->io, s->fd, s->text, n, s->at, e))
		return -1;
	end = n ? memchr(s->text, '\n', n) : NULL;
	if (!end)
		return err_rule(e, RULE_SCORE_FORM, ERR_NOPOS,
			n < SCORE_LINE ? "the file ends before its last line"
				       : "a line is too long");
	return end - s->text;
}

/* What JSON calls damage is no verdict on a model: the call was given a wrong file. */
static int failed(const struct score_in *s, struct err *e)
{
	if (e->kind == ERR_DATA) {
		e->kind = ERR_USAGE;
		e->rule = rules[RULE_SCORE_FORM].id;
	}
	return err_at(e, "line %llu", (unsigned long long)s->line + 1);
}

static int open_lines(struct score_in *s, struct err *e)
{
	struct xxh_digest d;
	struct jread j;
	int64_t n;
	int rc;

	s->text = malloc(SCORE_LINE);
	if (!s->text)
		return err_nomem(e);
	n = load_line(s, e);
	if (n < 0)
		return failed(s, e);
	jread_open_mem(&j, s->text, (size_t)n, DEEP, e);
	rc = get_head(&j, &s->head);
	jread_close(&j);
	if (rc)
		return failed(s, e);
	d = xxh_of(s->text, (size_t)n);
	hex_of(d.b, sizeof d.b, s->run);
	s->at += (uint64_t)n + 1;
	s->line++;
	return 0;
}

int score_open_part(struct score_in *s, const struct io *io, int fd, uint64_t at, uint64_t size,
	struct err *e)
{
	*s = (struct score_in){ .io = io, .fd = fd, .at = at, .size = size };
	return open_lines(s, e);
}

int score_open(struct score_in *s, const struct io *io, const char *path, struct err *e)
{
	struct stat st;
	int fd;

	*s = (struct score_in){ .io = io, .fd = -1 };
	if (file_open(io, AT_FDCWD, path, &fd, &st, e))
		return -1;
	*s = (struct score_in){ .io = io, .fd = fd, .size = (uint64_t)st.st_size };
	if (!open_lines(s, e))
		return 0;
	score_close(s);
	return err_at(e, "%s", text_quote(path).s);
}

int score_next(struct score_in *s, struct score_row *r, struct err *e)
{
	int64_t n = load_line(s, e);
	struct jread j;
	int more;

	if (n < 0 || line_seal_holds(s->io, s->fd, s->at, (uint64_t)n, s->run, e)) {
		if (e->kind == ERR_USAGE && !e->rule)
			e->rule = rules[RULE_SCORE_FORM].id;
		return failed(s, e);
	}
	jread_open_mem(&j, s->text, (size_t)n, DEEP, e);
	more = get_line(&j, s, r);
	jread_close(&j);
	if (more < 0)
		return failed(s, e);
	s->at += (uint64_t)n + 1;
	s->line++;
	s->n += more > 0;
	if (!more && s->at != s->size)
		return err_rule(e, RULE_SCORE_FORM, ERR_NOPOS, "bytes behind the last line");
	return more;
}

void score_close(struct score_in *s)
{
	if (s->fd >= 0)
		(void)s->io->close(s->io, s->fd); /* read only */
	free(s->text);
	memset(s, 0, sizeof *s);
	s->fd = -1;
}
