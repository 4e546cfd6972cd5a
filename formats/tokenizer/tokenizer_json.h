/* tokenizer_json.h -- tokenizer.json of a model: what is taken of it, and what is refused.
 *
 * Every id is below the size of the vocabulary and has one text. The model is BPE, the text is not normalized, and it
 * is split before as DeepSeek-V4 does: anything else is rule tokens.tokenizer.
 *
 * The file is read by a strict pull reader (formats/json/jread.h): memory is about that of its strings.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_TOKENS_TOKENIZER_JSON_H
#define FORMATS_TOKENS_TOKENIZER_JSON_H
#include "core/err.h"
#include "core/mem.h"
#include "formats/link.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TOKENIZER_JSON "tokenizer.json"
#define TOKENIZER_PRE "joyai-llm"
enum {
	TOKENIZER_JSON_CAP = 64 << 20, /* bytes; that of DeepSeek-V4 has 6 MB */
	TOKENIZER_MERGES_MAX = 1 << 22
};

/* Types of tokens, as llama.cpp numbers them. */
enum token_type { TOKEN_NORMAL = 1, TOKEN_CONTROL = 3, TOKEN_USER = 4, TOKEN_UNUSED = 5 };

struct tokenizer_token {
	const char *s; /* n bytes and a NUL, in the arena; NULL: no token has this id */
	uint32_t n;
	uint8_t type;
	bool base;       /* it stands in the vocabulary of the model */
	bool added;      /* it stands in added_tokens */
	bool normalized; /* of an added one: it is looked for after the others */
	bool odd; /* of an added one: it takes white space beside it, or asks for a whole word */
};

/* A merge: two parts with a space between. */
struct tokenizer_merge {
	const char *s; /* in the arena */
	size_t n;
};

struct tokenizer {
	struct tokenizer_token *tokens; /* owns; [n], by id */
	size_t n;                       /* vocab_size of the model */
	struct tokenizer_merge *merges; /* owns */
	size_t n_merges;
	int add_bos, add_eos; /* 0, 1; -1: not said */
	bool none;            /* the document is an empty object, which says nothing */
	struct arena arena;
};

/* Reads tokenizer.json of the folder, of a model of n tokens. *there is false, and *t zeroed, where there is none: that
 * is no error. On failure *t is zeroed too. */
int tokenizer_json_read(struct tokenizer *t, const struct link_dir *dir, size_t n, bool *there,
	struct err *e);
void tokenizer_free(struct tokenizer *t);

#ifdef __cplusplus
}
#endif
#endif
