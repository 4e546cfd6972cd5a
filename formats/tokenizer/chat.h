/* chat.h -- a conversation as the one string that DeepSeek-V4 was trained on.
 *
 *	[ {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"} ]
 *	->  <｜begin▁of▁sentence｜>Be brief.<｜User｜>Hi<｜Assistant｜></think>
 *
 * The release has no template for this but a program, encoding/; here it is done anew, and held to that program as vLLM
 * 0.33.0 has it (vllm/tokenizers/deepseek_v4_encoding.py) by tests/oracle/tokens.py. Messages are those of the OpenAI
 * API:
 *
 *	role               system, developer, user, assistant, tool, latest_reminder
 *	content            text, or a list of {"type": "text", "text": ...}
 *	tools              of system and developer: [{"type": "function", "function": {...}}]
 *	response_format    of system and developer: a schema
 *	tool_calls         of assistant: [{"id": ..., "function": {"name": ..., "arguments": {...} or its JSON as text}}]
 *	reasoning          of assistant; also called reasoning_content
 *	tool_call_id       of tool: which call it answers
 *	task               action, query, authority, domain, title, read_url
 *	wo_eos             of assistant: true leaves its end open
 *
 * A document is a list of messages, or an object with "messages" and "tools"; the latter go to the first system
 * message, or to one that is put in front. What is none of this is rule tokens.chat: images have no text.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_TOKENIZER_CHAT_H
#define FORMATS_TOKENIZER_CHAT_H
#include "core/err.h"
#include "core/text.h"

#ifdef __cplusplus
extern "C" {
#endif

struct json_t; /* of jansson */

enum chat_effort { CHAT_LOW, CHAT_HIGH, CHAT_MAX };

struct chat_opts {
	bool think;          /* the answer begins with its reasoning */
	bool keep_reasoning; /* of earlier answers too; without it only behind the last question */
	enum chat_effort effort; /* of thinking */
};

/* Appends the string of the document to out. It is JSON that was parsed; nothing of it is kept. */
int chat_put(struct text *out, const struct json_t *document, const struct chat_opts *o,
	struct err *e);

#ifdef __cplusplus
}
#endif
#endif
