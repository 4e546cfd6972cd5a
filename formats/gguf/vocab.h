/* vocab.h -- the tokenizer of a model, from tokenizer.json to the metadata of a GGUF.
 *
 * Taken is the tokenizer of DeepSeek-V4: byte-level BPE behind three splits, no normalizer. llama.cpp knows it as
 * pre-tokenizer "joyai-llm"; any other is refused, for a program that splits text otherwise computes other tokens
 * without a word. What is written is what llama.cpp's own converter writes for this family (0c1e570): a token for each
 * id below vocab_size, "[PADn]" where there is none; its type; merges as "left right"; special ids as
 * tokenizer_config.json and config.json name them; a chat template where there is one.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_GGUF_VOCAB_H
#define FORMATS_GGUF_VOCAB_H
#include "core/err.h"
#include "core/io.h"
#include "formats/gguf/gguf_write.h"
#include "formats/tokenizer/tokenizer_json.h"

#ifdef __cplusplus
extern "C" {
#endif

enum vocab_special {
	VOCAB_BOS,
	VOCAB_EOS,
	VOCAB_UNK,
	VOCAB_SEP,
	VOCAB_PAD,
	VOCAB_CLS,
	VOCAB_MASK,
	VOCAB_SPECIALS
};

struct vocab {
	struct tokenizer t;              /* owns */
	int64_t special[VOCAB_SPECIALS]; /* ids; -1: not said */
	struct text chat;                /* owns; the chat template; n is 0 where there is none */
};

struct json_t; /* of jansson */

/* Reads tokenizer.json, and where they are there tokenizer_config.json and chat_template.jinja, of the folder, for
 * a model of n tokens whose config.json is config. *there is false, and *v zeroed, where there is no tokenizer.json or an empty object:
 * that is no error. On failure *v is zeroed. */
int vocab_read(struct vocab *v, const struct link_dir *dir, size_t n, const struct json_t *config,
	bool *there, struct err *e);
void vocab_free(struct vocab *v);

/* Puts the keys tokenizer.* of v; of a zeroed one those of a model without tokenizer, which llama.cpp loads for who
 * gives it ids of tokens. */
void vocab_put(const struct vocab *v, struct gguf_out *o);

#ifdef __cplusplus
}
#endif
#endif
