/* SPDX-License-Identifier: MIT */
#include "formats/tokenizer/turn.h"

#include "core/mem.h"
#include "core/text.h"

#include <stdlib.h>
#include <string.h>

static const char *const roles[] = {
	[TURN_SYSTEM] = "system",
	[TURN_DEVELOPER] = "developer",
	[TURN_USER] = "user",
	[TURN_ASSISTANT] = "assistant",
	[TURN_REMINDER] = "latest_reminder",
	[TURN_TOOL] = "tool",
};

bool turn_says(const json_t *message, const char *key)
{
	const json_t *v = json_object_get(message, key);

	return v && !json_is_null(v);
}

bool turn_is_tool(const json_t *message)
{
	const char *role = json_string_value(json_object_get(message, "role"));

	return role && !strcmp(role, roles[TURN_TOOL]);
}

static int role_of(const json_t *message, size_t i, enum turn_role *role, struct err *e)
{
	const char *s = json_string_value(json_object_get(message, "role"));
	size_t k;

	for (k = 0; s && k < sizeof roles / sizeof *roles; k++) {
		if (!strcmp(s, roles[k])) {
			*role = (enum turn_role)k;
			return 0;
		}
	}
	return s ? err_rule(e, RULE_TOKENS_CHAT, ERR_NOPOS, "message %zu: %s is no role", i + 1,
			   text_quote(s).s)
		 : err_rule(e, RULE_TOKENS_CHAT, ERR_NOPOS, "message %zu has no role", i + 1);
}

/* --- merging --- */

static int add_part(struct turn *t, const json_t *message, struct err *e)
{
	if (mem_grow(&t->parts, &t->cap, t->n + 1, sizeof *t->parts))
		return err_nomem(e);
	t->parts[t->n++] = message;
	return 0;
}

/* A message of a tool goes to the turn of the user before it. One of a user does too, unless that turn has a task;
 * what task it has itself is then lost, as in the release. */
static int add_message(struct turns *t, const json_t *message, size_t i, struct err *e)
{
	struct turn *last = t->n ? &t->v[t->n - 1] : NULL, *new;
	enum turn_role role = TURN_USER;
	bool user;

	if (!json_is_object(message))
		return err_rule(e, RULE_TOKENS_CHAT, ERR_NOPOS, "message %zu is no object", i + 1);
	if (role_of(message, i, &role, e))
		return -1;
	user = role == TURN_USER || role == TURN_TOOL;
	if (user && last && last->role == TURN_USER && (role == TURN_TOOL || !last->task))
		return add_part(last, message, e);
	if (mem_grow(&t->v, &t->cap, t->n + 1, sizeof *t->v))
		return err_nomem(e);
	new = &t->v[t->n++];
	*new = (struct turn){ .role = user ? TURN_USER : role, .message = message };
	if (role != TURN_TOOL && turn_says(message, "task")) {
		new->task = json_string_value(json_object_get(message, "task"));
		if (!new->task)
			return err_rule(e, RULE_TOKENS_CHAT, ERR_NOPOS,
				"message %zu: the task is no text", i + 1);
	}
	return user ? add_part(new, message, e) : 0;
}

/* --- the order of results --- */

/* Sets *map to the calls by their ids: which one it is; of two of one id the later one. NULL: no call has an id. */
static int calls_by_id(const json_t *calls, json_t **map, struct err *e)
{
	size_t i;

	json_decref(*map);
	*map = NULL;
	for (i = 0; i < json_array_size(calls); i++) {
		const json_t *call = json_array_get(calls, i);
		const char *id = json_string_value(json_object_get(call, "id"));

		if (!id || !*id)
			id = json_string_value(json_object_get(json_object_get(call, "function"),
				"id"));
		if (!id || !*id)
			continue;
		*map = *map ? *map : json_object();
		if (!*map || json_object_set_new(*map, id, json_integer((json_int_t)i)))
			return err_nomem(e);
	}
	return 0;
}

/* A result among the parts of a turn. */
struct result {
	const json_t *message;
	json_int_t call; /* which one it answers; 0 where that is not said */
	size_t at;       /* among the results of the turn */
};

static int by_call(const void *a, const void *b)
{
	const struct result *x = a, *y = b;

	if (x->call != y->call)
		return x->call < y->call ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at);
}

/* Sorts the results among the parts, which stay where results are. */
static int sort_results(struct turn *t, const json_t *map, struct err *e)
{
	struct result *v = malloc((t->n + 1) * sizeof *v);
	size_t i, n = 0;

	if (!v)
		return err_nomem(e);
	for (i = 0; i < t->n; i++) {
		const char *id = json_string_value(json_object_get(t->parts[i], "tool_call_id"));

		if (!turn_is_tool(t->parts[i]))
			continue;
		v[n].message = t->parts[i];
		v[n].call = id ? json_integer_value(json_object_get(map, id)) : 0;
		v[n].at = n;
		n++;
	}
	if (n)
		qsort(v, n, sizeof *v, by_call);
	for (i = n = 0; i < t->n; i++)
		if (turn_is_tool(t->parts[i]))
			t->parts[i] = v[n++].message;
	free(v);
	return 0;
}

static int sort_all(struct turns *t, struct err *e)
{
	json_t *map = NULL;
	size_t i;
	int rc = 0;

	for (i = 0; !rc && i < t->n; i++) {
		const json_t *calls = json_object_get(t->v[i].message, "tool_calls");

		if (t->v[i].role == TURN_ASSISTANT && json_array_size(calls))
			rc = calls_by_id(calls, &map, e);
		else if (t->v[i].role == TURN_USER && map)
			rc = sort_results(&t->v[i], map, e);
	}
	json_decref(map);
	return rc;
}

int turns_make(struct turns *t, const json_t *messages, struct err *e)
{
	size_t i;
	int rc = 0;

	memset(t, 0, sizeof *t);
	if (!json_array_size(messages))
		return err_rule(e, RULE_TOKENS_CHAT, ERR_NOPOS, "there are no messages");
	for (i = 0; !rc && i < json_array_size(messages); i++)
		rc = add_message(t, json_array_get(messages, i), i, e);
	rc = rc ? rc : sort_all(t, e);
	if (rc)
		turns_free(t);
	return rc;
}

void turns_free(struct turns *t)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		free(t->v[i].parts);
	free(t->v);
	memset(t, 0, sizeof *t);
}
