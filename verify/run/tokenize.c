/* SPDX-License-Identifier: MIT */
#include "verify/run/tokenize.h"

#include "core/file.h"
#include "core/hash/sha256.h"
#include "core/hash/xxh.h"
#include "formats/folder/folder.h"
#include "formats/format_id.h"
#include "formats/json/jwrite.h"
#include "formats/model/family.h"
#include "formats/tokenizer/chat_text.h"
#include "formats/tokenizer/encoder.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum {
	INPUT_CAP = 64 << 20, /* bytes; about the size of Wikipedia's longest hundred articles */
	CONFIG_CAP = 4 << 20, /* bytes of config.json; those in use have 3 KB */
	VOCAB_MAX = 16 << 20  /* tokens; DeepSeek-V4 has 129,280 */
};

struct job {
	const struct tokenize_opts *o;
	struct text *out;
	struct tokenizer t;
	struct encoder c;
	bool made; /* c is */
	char sha256[65];
	struct jwrite json;
	struct err *e;
};

/* --- the tokenizer --- */

/* Appends a file of the folder that must be there; rule is broken where it is not. */
static int load_small(struct text *t, const struct link_dir *d, const char *name, uint64_t cap,
	enum rule_id rule, struct err *e)
{
	bool there;

	if (link_load(d, name, cap, t, &there, e))
		return -1;
	return there ? 0 : err_rule(e, rule, ERR_NOPOS, "%s is not there", name);
}

/* Holds what is asked for to the family of the model: the form of a chat is a family's own. Sets *size to the vocab_size that
 * config.json says where its family has it; 0: it says none. */
static int vocab_said(const struct job *j, const struct config_doc *d, json_int_t *size)
{
	const char *type = json_string_value(json_object_get(d->o, "model_type"));
	const struct config c = { .family = type && family_knows(type) ? family_of(d) : NULL };
	json_t *flat = c.family ? config_flat(d) : json_incref(d->o);

	if (!flat)
		return err_nomem(j->e);
	*size = json_integer_value(json_object_get(flat, "vocab_size"));
	json_decref(flat);
	if (j->o->chat && !c.family)
		return err_rule(j->e, RULE_CONFIG_MODEL_TYPE, ERR_NOPOS,
			"config.json is of another model than V4, whose chats have another form");
	return j->o->chat ? family_meets(&c, NEED_TOKENS, j->e) : 0;
}

/* Reads how many tokens the model has. */
static int vocab_size(const struct job *j, const struct link_dir *d, size_t *n)
{
	struct config_doc doc = { 0 };
	struct text t = { 0 };
	json_int_t size = 0;
	int rc;

	rc = load_small(&t, d, "config.json", CONFIG_CAP, RULE_CONFIG_MISSING, j->e) ||
			config_doc_parse(&doc, t.s ? t.s : "", t.n, j->e) ||
			vocab_said(j, &doc, &size)
		? -1
		: 0;
	config_doc_free(&doc);
	text_free(&t);
	if (rc)
		return -1;
	if (size < 1 || size > VOCAB_MAX)
		return err_rule(j->e, RULE_TOKENS_TOKENIZER, ERR_NOPOS,
			"config.json says no vocab_size from 1 to %d", VOCAB_MAX);
	*n = (size_t)size;
	return 0;
}

/* Reads the tokenizer, and what its file is, for whoever compares ids that two machines have made. */
static int read_tokenizer(struct job *j, const struct link_dir *d)
{
	struct text t = { 0 };
	uint8_t sha[32];
	size_t n = 0;
	bool there;
	int rc;

	if (vocab_size(j, d, &n) ||
		load_small(&t, d, TOKENIZER_JSON, TOKENIZER_JSON_CAP, RULE_TOKENS_TOKENIZER, j->e))
		return -1;
	rc = sha256_of(t.s ? t.s : "", t.n, sha, j->e);
	text_free(&t);
	hex_of(sha, sizeof sha, j->sha256);
	if (rc || tokenizer_json_read(&j->t, d, n, &there, j->e))
		return -1;
	if (!there || j->t.none)
		return err_rule(j->e, RULE_TOKENS_TOKENIZER, ERR_NOPOS, "%s is an empty object",
			TOKENIZER_JSON);
	if (encoder_make(&j->c, &j->t, j->e))
		return -1;
	j->made = true;
	return 0;
}

static int open_tokenizer(struct job *j, const char *path)
{
	const struct ckpt_opts none = { .header_cap = 0 };
	struct link_dir d = { .io = j->o->io, .follow = j->o->follow_links };
	struct folder f;
	int rc;

	if (folder_open(&f, j->o->io, path, USE_TOKENS, &none, j->e))
		return -1;
	d.dir = f.dir;
	rc = read_tokenizer(j, &d);
	folder_close(&f);
	return rc;
}

/* --- one document --- */

static void put_ids(struct job *j, const struct token_ids *ids)
{
	bool array = j->o->lines || j->o->json;
	size_t i;

	text_str(j->out, array ? "[" : "");
	for (i = 0; i < ids->n; i++)
		text_fmt(j->out, "%s%u", i ? array ? "," : " " : "", ids->v[i]);
	text_str(j->out, array ? "]" : "\n");
}

static int put_tokens(struct job *j, const char *s, size_t n)
{
	struct token_ids ids = { 0 };
	int rc = encoder_text(&j->c, s, n, &ids, j->e);

	if (!rc)
		put_ids(j, &ids);
	token_ids_free(&ids);
	return rc;
}

/* The result of the text: its ids, or itself. */
static int put_text(struct job *j, const char *s, size_t n)
{
	if (!j->o->string)
		return put_tokens(j, s, n);
	if (j->o->lines || j->o->json)
		jwrite_quote(j->out, s, n);
	else
		text_put(j->out, s, n);
	return 0;
}

static int put_plain(struct job *j, const char *s, size_t n)
{
	struct text t = { 0 };
	int rc;

	if (!j->o->bos)
		return put_text(j, s, n);
	text_str(&t, CHAT_BOS);
	text_put(&t, s, n);
	rc = t.failed ? err_nomem(j->e) : put_text(j, t.s, t.n);
	text_free(&t);
	return rc;
}

static int put_chat(struct job *j, const json_t *v)
{
	struct text t = { 0 };
	int rc = chat_put(&t, v, &j->o->how, j->e);

	rc = rc ? rc : put_text(j, t.s, t.n);
	text_free(&t);
	return rc;
}

/* A JSON document: of --text a string. */
static int put_json(struct job *j, const char *s, size_t n)
{
	json_error_t bad;
	json_t *v =
		json_loadb(s, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &bad);
	int rc;

	if (!v)
		return err_rule(j->e, RULE_TOKENS_CHAT, ERR_NOPOS, "this is no JSON: %s",
			text_quote(bad.text).s);
	if (j->o->chat)
		rc = put_chat(j, v);
	else if (json_is_string(v))
		rc = put_plain(j, json_string_value(v), json_string_length(v));
	else
		rc = err_rule(j->e, RULE_TOKENS_CHAT, ERR_NOPOS, "this is no string in JSON");
	json_decref(v);
	return rc;
}

/* --- the file --- */

static int put_lines(struct job *j, const struct text *in)
{
	const char *s = in->s, *end = s + in->n, *eol;
	bool first = true;
	size_t line = 1;

	for (; s < end; s = eol + 1, line++) {
		eol = memchr(s, '\n', (size_t)(end - s));
		eol = eol ? eol : end;
		if (s + strspn(s, " \t\r") == eol)
			continue;
		text_str(j->out, first ? "" : j->o->json ? "," : "\n");
		first = false;
		if (put_json(j, s, (size_t)(eol - s)))
			return err_at(j->e, "line %zu", line);
	}
	text_str(j->out, j->o->json || first ? "" : "\n");
	return 0;
}

static int put_file(struct job *j, const struct text *in)
{
	const char *s = in->s ? in->s : "";

	if (j->o->lines)
		return in->n ? put_lines(j, in) : 0;
	return j->o->chat ? put_json(j, s, in->n) : put_plain(j, s, in->n);
}

static int load(struct text *t, const struct io *io, const char *path, struct err *e)
{
	const char *name;
	int dir, rc;

	if (file_open_above(io, path, &dir, &name, e))
		return -1;
	rc = file_load(io, dir, name, INPUT_CAP, t, e);
	(void)io->close(io, dir); /* a folder has nothing to flush */
	return rc;
}

/* {"format": ..., "prompts": [ ... ], "tokenizer_sha256": ...} */
static int put_document(struct job *j, const struct text *in)
{
	struct text body = { 0 }, *out = j->out;
	struct jwrite w;
	int rc;

	j->out = &body;
	text_str(&body, "[");
	rc = put_file(j, in);
	text_str(&body, "]");
	j->out = out;
	if (!rc && body.failed)
		rc = err_nomem(j->e);
	if (!rc) {
		jwrite_begin(&w, out, 0);
		jwrite_open(&w, NULL, '{');
		jwrite_str(&w, "format", FORMAT_TOKENS_JSON);
		jwrite_raw(&w, "prompts", body.s, body.n);
		jwrite_str(&w, "tokenizer_sha256", j->sha256);
		jwrite_close(&w, '}');
	}
	text_free(&body);
	return rc;
}

int tokenize(struct text *out, const char *dir, const struct tokenize_opts *o, struct err *e)
{
	const char *path = o->text ? o->text : o->chat;
	struct job j = { .o = o, .out = out, .e = e };
	struct text in = { 0 };
	int rc = open_tokenizer(&j, dir);

	if (!rc) {
		rc = load(&in, o->io, path, e);
		rc = rc ? rc : (o->json ? put_document : put_file)(&j, &in);
		if (rc)
			err_at(e, "%s", text_quote(path).s);
	}
	text_free(&in);
	if (j.made)
		encoder_free(&j.c);
	tokenizer_free(&j.t);
	return rc;
}
