/* SPDX-License-Identifier: MIT */
#include "formats/gguf/vocab.h"

#include "core/text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char config_name[] = "tokenizer_config.json", template_name[] = "chat_template.jinja";
enum {
	SMALL_CAP = 4 << 20
}; /* bytes of tokenizer_config.json and of a template; those in use have 10 KB */

static const struct {
	const char *name; /* NAME_token in tokenizer_config.json, NAME_token_id in config.json */
	const char *key;
} specials[VOCAB_SPECIALS] = {
	[VOCAB_BOS] = { "bos", "tokenizer.ggml.bos_token_id" },
	[VOCAB_EOS] = { "eos", "tokenizer.ggml.eos_token_id" },
	[VOCAB_UNK] = { "unk", "tokenizer.ggml.unknown_token_id" },
	[VOCAB_SEP] = { "sep",
		"tokenizer.ggml.seperator_token_id" }, /* the spelling of llama.cpp */
	[VOCAB_PAD] = { "pad", "tokenizer.ggml.padding_token_id" },
	[VOCAB_CLS] = { "cls", "tokenizer.ggml.cls_token_id" },
	[VOCAB_MASK] = { "mask", "tokenizer.ggml.mask_token_id" },
};

/* The id of the added token of that text; -1: there is none. */
static int64_t added_id(const struct vocab *v, const char *s)
{
	size_t i, n = strlen(s);

	for (i = 0; i < v->t.n; i++)
		if (v->t.tokens[i].added && v->t.tokens[i].n == n &&
			!memcmp(v->t.tokens[i].s, s, n))
			return (int64_t)i;
	return -1;
}

static void take_flag(const json_t *o, const char *key, int *flag)
{
	const json_t *x = json_object_get(o, key);

	if (*flag < 0 && json_is_boolean(x))
		*flag = json_is_true(x);
}

/* Special tokens by their text, and the template. */
static int take_config(struct vocab *v, const json_t *o, struct err *e)
{
	const json_t *x = json_object_get(o, "chat_template");
	char key[32];
	size_t i;

	for (i = 0; i < VOCAB_SPECIALS; i++) {
		const json_t *t;

		snprintf(key, sizeof key, "%s_token", specials[i].name);
		t = json_object_get(o, key);
		t = json_is_object(t) ? json_object_get(t, "content") : t;
		if (json_is_string(t))
			v->special[i] = added_id(v, json_string_value(t));
	}
	take_flag(o, "add_bos_token", &v->t.add_bos);
	take_flag(o, "add_eos_token", &v->t.add_eos);
	if (json_is_string(x)) {
		v->chat.n = 0;
		text_put(&v->chat, json_string_value(x), json_string_length(x));
	}
	return v->chat.failed ? err_nomem(e) : 0;
}

static int read_config(struct vocab *v, const struct link_dir *dir, struct err *e)
{
	struct text t = { 0 };
	json_error_t bad;
	json_t *o = NULL;
	bool there;
	int rc = -1;

	if (link_load(dir, config_name, SMALL_CAP, &t, &there, e))
		goto out;
	if (there) {
		o = json_loadb(t.s ? t.s : "", t.n, JSON_REJECT_DUPLICATES, &bad);
		if (!json_is_object(o)) {
			err_rule(e, RULE_TOKENS_TOKENIZER, ERR_NOPOS, "%s is no JSON object",
				config_name);
			goto out;
		}
	}
	rc = take_config(v, o, e);
out:
	json_decref(o);
	text_free(&t);
	return rc;
}

/* Special tokens by their id, where tokenizer_config.json did not say. */
static int take_ids(struct vocab *v, const json_t *config, struct err *e)
{
	const json_t *x;
	char key[32];
	size_t i;

	for (i = 0; i < VOCAB_SPECIALS; i++) {
		snprintf(key, sizeof key, "%s_token_id", specials[i].name);
		x = json_object_get(config, key);
		if (v->special[i] >= 0 || !json_is_integer(x))
			continue;
		if (json_integer_value(x) < 0 || (uint64_t)json_integer_value(x) >= v->t.n)
			return err_rule(e, RULE_TOKENS_TOKENIZER, ERR_NOPOS,
				"config.json: \"%s\" is no id of a token", key);
		v->special[i] = json_integer_value(x);
	}
	return 0;
}

int vocab_read(struct vocab *v, const struct link_dir *dir, size_t n, const json_t *config,
	bool *there, struct err *e)
{
	bool chat;
	size_t i;

	memset(v, 0, sizeof *v);
	if (tokenizer_json_read(&v->t, dir, n, there, e))
		return -1;
	if (!*there)
		return 0;
	for (i = 0; i < VOCAB_SPECIALS; i++)
		v->special[i] = -1;
	if (!link_load(dir, template_name, SMALL_CAP, &v->chat, &chat, e) &&
		!read_config(v, dir, e) && !take_ids(v, config, e)) {
		*there = !v->t.none;
		if (!*there)
			vocab_free(v);
		return 0;
	}
	vocab_free(v);
	return -1;
}

void vocab_free(struct vocab *v)
{
	tokenizer_free(&v->t);
	text_free(&v->chat);
	memset(v, 0, sizeof *v);
}

static void put_tokens(const struct vocab *v, struct gguf_out *o)
{
	char pad[32];
	size_t i;

	gguf_put_array(o, "tokenizer.ggml.tokens", GGUF_STRING, v->t.n);
	for (i = 0; i < v->t.n; i++) {
		snprintf(pad, sizeof pad, "[PAD%zu]", i);
		if (v->t.tokens[i].s)
			gguf_put_item_string(o, v->t.tokens[i].s, v->t.tokens[i].n);
		else
			gguf_put_item_string(o, pad, strlen(pad));
	}
	gguf_put_array(o, "tokenizer.ggml.token_type", GGUF_I32, v->t.n);
	for (i = 0; i < v->t.n; i++)
		gguf_put_item_i32(o, v->t.tokens[i].s ? v->t.tokens[i].type : TOKEN_UNUSED);
}

void vocab_put(const struct vocab *v, struct gguf_out *o)
{
	size_t i;

	if (!v->t.tokens) {
		gguf_put_string(o, "tokenizer.ggml.model", "none", 4);
		return;
	}
	gguf_put_string(o, "tokenizer.ggml.model", "gpt2", 4);
	gguf_put_string(o, "tokenizer.ggml.pre", TOKENIZER_PRE, strlen(TOKENIZER_PRE));
	put_tokens(v, o);
	gguf_put_array(o, "tokenizer.ggml.merges", GGUF_STRING, v->t.n_merges);
	for (i = 0; i < v->t.n_merges; i++)
		gguf_put_item_string(o, v->t.merges[i].s, v->t.merges[i].n);
	for (i = 0; i < VOCAB_SPECIALS; i++)
		if (v->special[i] >= 0)
			gguf_put_u32(o, specials[i].key, (uint32_t)v->special[i]);
	if (v->t.add_bos >= 0)
		gguf_put_bool(o, "tokenizer.ggml.add_bos_token", v->t.add_bos);
	if (v->t.add_eos >= 0)
		gguf_put_bool(o, "tokenizer.ggml.add_eos_token", v->t.add_eos);
	if (v->chat.n)
		gguf_put_string(o, "tokenizer.chat_template", v->chat.s, v->chat.n);
}
