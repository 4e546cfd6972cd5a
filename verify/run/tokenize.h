/* tokenize.h -- dsv4-verify tokens: text, or a conversation, to the ids of tokens that the other verbs take.
 *
 *	FILE of --text   ->                          text  ->  ids
 *	FILE of --chat   ->  formats/tokenizer/chat  text  ->  ids
 *	--lines: each line of FILE is a JSON document, a string of --text or a conversation of --chat
 *
 * SPDX-License-Identifier: MIT */
#ifndef VERIFY_RUN_TOKENIZE_H
#define VERIFY_RUN_TOKENIZE_H
#include "core/io.h"
#include "core/text.h"
#include "formats/tokenizer/chat.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tokenize_opts {
	const struct io *io;
	const char *text, *chat; /* paths; one of them is NULL */
	bool lines;              /* many documents, a line each */
	bool string;             /* the text itself, not its ids */
	bool bos;                /* of text: <｜begin▁of▁sentence｜> before it */
	bool follow_links;       /* as in link_dir */
	bool json;               /* a document (dsv4-tokens-1), not the ids alone */
	struct chat_opts how;
};

/* Appends what is to be printed. dir is the folder with tokenizer.json and config.json. */
int tokenize(struct text *out, const char *dir, const struct tokenize_opts *o, struct err *e);

#ifdef __cplusplus
}
#endif
#endif
