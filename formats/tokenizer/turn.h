/* turn.h -- the messages of a chat as turns: those of a user and the results of tools that follow one another are one.
 *
 *	user  assistant  tool  tool  user      messages
 *	user  assistant  user..............    turns; the results in the order in which the assistant asked for them
 *
 * SPDX-License-Identifier: MIT */
#ifndef FORMATS_TOKENIZER_TURN_H
#define FORMATS_TOKENIZER_TURN_H
#include "core/err.h"

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

enum turn_role { TURN_SYSTEM, TURN_DEVELOPER, TURN_USER, TURN_ASSISTANT, TURN_REMINDER, TURN_TOOL };

struct turn {
	enum turn_role role;   /* not TURN_TOOL */
	const json_t *message; /* borrows; of a user the first one */
	const json_t *
		*parts; /* owns; of a user: its messages, those of tools among them; else NULL */
	size_t n, cap;
	const char *task; /* borrows; NULL: none */
};

struct turns {
	struct turn *v; /* owns */
	size_t n, cap;
};

/* Makes the turns of the messages, an array that must outlive them. Rule tokens.chat if they are no messages. On failure
 * *t is zeroed. */
int turns_make(struct turns *t, const json_t *messages, struct err *e);
void turns_free(struct turns *t);

/* Returns whether the member is there and not null. */
bool turn_says(const json_t *message, const char *key);
/* Returns whether message is of a tool. */
bool turn_is_tool(const json_t *message);

#ifdef __cplusplus
}
#endif
#endif
