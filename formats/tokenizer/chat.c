/* SPDX-License-Identifier: MIT */
#include "formats/tokenizer/chat.h"

#include "formats/tokenizer/chat_text.h"
#include "formats/tokenizer/pyjson.h"
#include "formats/tokenizer/turn.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

struct job {
	struct text *out;
	const struct chat_opts *o;
	const json_t *tools;  /* of the whole document; NULL: none, or a message has taken them */
	const struct turn *v; /* [n] the turns that are written */
	size_t n, last_user;  /* SIZE_MAX: there is none */
	bool drop;            /* reasoning before the last question is left out */
	struct err *e;
};

static int refuse(struct job *j, const char *what)
{
	return err_rule(j->e, RULE_TOKENS_CHAT, ERR_NOPOS, "%s", what);
}

/* --- parts of messages --- */

static void put_json_string(struct job *j, const json_t *s)
{
	text_put(j->out, json_string_value(s), json_string_length(s));
}

/* Text, or a list of texts. *empty: nothing was put. Absent and null are empty where that is allowed. */
static int put_content(struct job *j, const json_t *v, bool may_lack, bool *empty)
{
	size_t i, begin = j->out->n;

	if (json_is_string(v)) {
		put_json_string(j, v);
	} else if (json_is_array(v)) {
		for (i = 0; i < json_array_size(v); i++) {
			const json_t *b = json_array_get(v, i), *text = json_object_get(b, "text");
			const char *type = json_string_value(json_object_get(b, "type"));

			text_str(j->out, i ? "\n\n" : "");
			if (json_is_string(b))
				put_json_string(j, b);
			else if (!type || strcmp(type, "text") != 0 ||
				(text && !json_is_string(text)))
				return refuse(j, "content is a list of something else than texts");
			else if (text)
				put_json_string(j, text);
		}
	} else if (!may_lack || (v && !json_is_null(v))) {
		return refuse(j, "content is neither text nor a list of texts");
	}
	*empty = j->out->n == begin;
	return 0;
}

/* The schemas of tools: what the members "function" hold. */
static int put_tools(struct job *j, const json_t *tools)
{
	const json_t *f;
	size_t i;

	if (!json_is_array(tools))
		return refuse(j, "tools are no list");
	if (!json_array_size(tools))
		return 0;
	text_str(j->out, "\n\n" CHAT_TOOLS_BEFORE);
	for (i = 0; i < json_array_size(tools); i++) {
		f = json_object_get(json_array_get(tools, i), "function");
		if (!f)
			return refuse(j, "a tool without \"function\"");
		text_str(j->out, i ? "\n" : "");
		pyjson_put(j->out, f);
	}
	text_str(j->out, CHAT_TOOLS_BEHIND);
	return 0;
}

/* What Python takes for true. */
static bool is_true(const json_t *v)
{
	return v && !json_is_null(v) && !json_is_false(v) &&
		(!json_is_string(v) || json_string_length(v)) &&
		(!json_is_array(v) || json_array_size(v)) &&
		(!json_is_object(v) || json_object_size(v)) &&
		(!json_is_number(v) || json_number_value(v) != 0);
}

/* Tools and the form of answers, behind the content of a system or developer message. */
static int put_rules(struct job *j, const json_t *tools, const json_t *m)
{
	const json_t *form = json_object_get(m, "response_format");

	if (tools && !json_is_null(tools) && put_tools(j, tools))
		return -1;
	if (is_true(form)) {
		text_str(j->out, "\n\n" CHAT_FORMAT);
		pyjson_put(j->out, form);
	}
	return 0;
}

/* --- calls --- */

static void put_parameter(struct job *j, const char *key, const json_t *v)
{
	text_fmt(j->out, "<" CHAT_DSML "parameter name=\"%s\" string=\"%s\">", key,
		json_is_string(v) ? "true" : "false");
	if (json_is_string(v))
		put_json_string(j, v);
	else
		pyjson_put(j->out, v);
	text_str(j->out, "</" CHAT_DSML "parameter>");
}

static int put_call(struct job *j, const json_t *call)
{
	const json_t *f = json_object_get(call, "function"), *name = json_object_get(f, "name"),
		     *given = json_object_get(f, "arguments");
	json_t *parsed = NULL, *v;
	const char *key, *gap = "";

	if (!json_is_string(name) || !given)
		return refuse(j, "a call without name or arguments of its function");
	if (json_is_string(given))
		parsed = json_loadb(json_string_value(given), json_string_length(given),
			JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	if (!json_is_object(parsed ? parsed : given)) {
		json_decref(parsed);
		return refuse(j, "the arguments of a call are no object, nor the JSON of one");
	}
	text_str(j->out, "<" CHAT_DSML "invoke name=\"");
	put_json_string(j, name);
	text_str(j->out, "\">\n");
	json_object_foreach(parsed ? parsed : (json_t *)(uintptr_t)given, key, v)
	{
		text_str(j->out, gap);
		put_parameter(j, key, v);
		gap = "\n";
	}
	text_str(j->out, "\n</" CHAT_DSML "invoke>");
	json_decref(parsed);
	return 0;
}

static int put_calls(struct job *j, const json_t *calls)
{
	size_t i;

	if (!is_true(calls))
		return 0;
	if (!json_is_array(calls))
		return refuse(j, "tool_calls are no list");
	text_str(j->out, "\n\n<" CHAT_DSML "tool_calls>\n");
	for (i = 0; i < json_array_size(calls); i++) {
		text_str(j->out, i ? "\n" : "");
		if (put_call(j, json_array_get(calls, i)))
			return -1;
	}
	text_str(j->out, "\n</" CHAT_DSML "tool_calls>");
	return 0;
}

/* --- a turn of each role --- */

typedef int put_turn(struct job *j, size_t i);

static int put_system(struct job *j, size_t i)
{
	const json_t *m = j->v[i].message, *tools = json_object_get(m, "tools");
	bool empty;

	if (j->tools) /* they take the place of the message's own */
		tools = j->tools;
	j->tools = NULL;
	return put_content(j, json_object_get(m, "content"), true, &empty) || put_rules(j, tools, m)
		? -1
		: 0;
}

static int put_developer(struct job *j, size_t i)
{
	const json_t *m = j->v[i].message;
	bool empty;

	text_str(j->out, CHAT_USER);
	if (put_content(j, json_object_get(m, "content"), true, &empty))
		return -1;
	return empty ? refuse(j, "a developer message without content")
		     : put_rules(j, json_object_get(m, "tools"), m);
}

/* What a tool has answered: parts that are no text are named as such. */
static int put_result(struct job *j, const json_t *v)
{
	const json_t *b, *text;
	const char *type;
	size_t i;

	text_str(j->out, "<tool_result>");
	for (i = 0; i < json_array_size(v); i++) {
		b = json_array_get(v, i);
		text = json_object_get(b, "text");
		type = json_string_value(json_object_get(b, "type"));
		text_str(j->out, i ? "\n\n" : "");
		if (!type || (text && !json_is_string(text)))
			return refuse(j, "a result of a tool is a list of something without type");
		if (strcmp(type, "text") != 0)
			text_fmt(j->out, "[Unsupported %s]", type);
		else if (text)
			put_json_string(j, text);
	}
	if (json_is_string(v))
		put_json_string(j, v);
	else if (v && !json_is_array(v))
		return refuse(j, "a result of a tool is neither text nor a list");
	text_str(j->out, "</tool_result>");
	return 0;
}

static int put_user(struct job *j, size_t i)
{
	const struct turn *t = &j->v[i];
	const json_t *content;
	bool empty;
	size_t k;

	text_str(j->out, CHAT_USER);
	for (k = 0; k < t->n; k++) {
		content = json_object_get(t->parts[k], "content");
		text_str(j->out, k ? "\n\n" : "");
		if (turn_is_tool(t->parts[k]) ? put_result(j, content)
					      : put_content(j, content, !content, &empty))
			return -1;
	}
	return 0;
}

static int put_reminder(struct job *j, size_t i)
{
	bool empty;

	text_str(j->out, CHAT_REMINDER);
	return put_content(j, json_object_get(j->v[i].message, "content"), false, &empty);
}

/* Whether the reasoning of turn i is a part of the string. */
static bool shows_reasoning(const struct job *j, size_t i)
{
	return j->o->think && !(i && j->v[i - 1].task) &&
		(!j->drop || j->last_user == SIZE_MAX || i > j->last_user);
}

static int put_reasoning(struct job *j, const json_t *m)
{
	const json_t *a = json_object_get(m, "reasoning"),
		     *b = json_object_get(m, "reasoning_content");

	a = a && !json_is_null(a) ? a : b;
	if (a && !json_is_null(a) && !json_is_string(a))
		return refuse(j, "the reasoning is no text");
	if (a && b && !json_is_null(b) && !json_equal(a, b))
		return refuse(j, "reasoning and reasoning_content say different things");
	if (json_is_string(a))
		put_json_string(j, a);
	text_str(j->out, CHAT_THOUGHT);
	return 0;
}

static int put_assistant(struct job *j, size_t i)
{
	const json_t *m = j->v[i].message;
	bool empty;

	if ((shows_reasoning(j, i) && put_reasoning(j, m)) ||
		put_content(j, json_object_get(m, "content"), true, &empty) ||
		put_calls(j, json_object_get(m, "tool_calls")))
		return -1;
	if (!is_true(json_object_get(m, "wo_eos")))
		text_str(j->out, CHAT_EOS);
	return 0;
}

static put_turn *const writers[] = {
	[TURN_SYSTEM] = put_system,
	[TURN_DEVELOPER] = put_developer,
	[TURN_USER] = put_user,
	[TURN_ASSISTANT] = put_assistant,
	[TURN_REMINDER] = put_reminder,
};

/* --- what comes between turns --- */

static int put_task(struct job *j, const char *task)
{
	static const char *const tasks[] = { "action", "query", "authority", "domain", "title",
		"read_url" };
	size_t i;

	for (i = 0; i < COUNT(tasks) && strcmp(task, tasks[i]) != 0; i++)
		;
	if (i == COUNT(tasks))
		return refuse(j,
			"a task that is none of action, query, authority, domain, title, "
			"read_url");
	if (!i)
		text_str(j->out,
			j->o->think ? CHAT_ASSISTANT CHAT_THINK : CHAT_ASSISTANT CHAT_THOUGHT);
	text_fmt(j->out, "<｜%s｜>", task);
	return 0;
}

/* Opens the answer behind turn i, where one follows or is asked for. */
static int put_opening(struct job *j, size_t i)
{
	const struct turn *t = &j->v[i];
	bool end = i + 1 == j->n, think;

	if (!end && t[1].role != TURN_ASSISTANT && t[1].role != TURN_REMINDER)
		return 0;
	if (t->task)
		return put_task(j, t->task);
	if (t->role != TURN_USER && t->role != TURN_DEVELOPER &&
		(t->role != TURN_SYSTEM || !(end || t[1].role == TURN_ASSISTANT)))
		return 0;
	think = j->o->think && (!j->drop || j->last_user == SIZE_MAX || i >= j->last_user);
	text_str(j->out, think ? CHAT_ASSISTANT CHAT_THINK : CHAT_ASSISTANT CHAT_THOUGHT);
	return 0;
}

/* --- the whole --- */

static bool asks(const struct turn *t)
{
	return t->role == TURN_USER || t->role == TURN_DEVELOPER;
}

static size_t last_of(const struct turn *v, size_t n)
{
	while (n && !asks(&v[n - 1]))
		n--;
	return n - 1;
}

/* Developer messages before the last question go where earlier reasoning goes. */
static void drop_developers(struct turns *t)
{
	size_t last = last_of(t->v, t->n), i, n = 0;

	for (i = 0; i < t->n; i++)
		if (t->v[i].role != TURN_DEVELOPER || last == SIZE_MAX || i >= last)
			t->v[n++] = t->v[i]; /* those that go own nothing */
	t->n = n;
}

static bool any_tools(const struct job *j, const struct turns *t)
{
	size_t i;

	if (j->tools)
		return true;
	for (i = 0; i < t->n; i++)
		if (t->v[i].role != TURN_USER && is_true(json_object_get(t->v[i].message, "tools")))
			return true;
	return false;
}

static int put_turns(struct job *j, struct turns *t)
{
	static const char *const efforts[] = {
		[CHAT_LOW] = "", [CHAT_HIGH] = CHAT_EFFORT_HIGH, [CHAT_MAX] = CHAT_EFFORT_MAX
	};
	size_t i;

	j->drop = !j->o->keep_reasoning && !any_tools(j, t);
	if (j->o->think && j->drop)
		drop_developers(t);
	j->v = t->v;
	j->n = t->n;
	j->last_user = last_of(t->v, t->n);
	text_str(j->out, CHAT_BOS);
	if (j->o->think)
		text_str(j->out, efforts[j->o->effort]);
	for (i = 0; i < t->n; i++)
		if (writers[t->v[i].role](j, i) || put_opening(j, i))
			return -1;
	return 0;
}

/* Returns the messages behind one of the system, which has nothing but the tools of the document; NULL without
 * memory. The caller lets go of it. */
static json_t *with_system(const json_t *messages)
{
	json_t *all = json_array();

	if (json_array_append_new(all, json_pack("{s:s}", "role", "system")) ||
		json_array_extend(all, (json_t *)(uintptr_t)messages)) {
		json_decref(all);
		return NULL;
	}
	return all;
}

static bool has_system(const json_t *messages)
{
	const char *role;
	size_t i;

	for (i = 0; i < json_array_size(messages); i++) {
		role = json_string_value(json_object_get(json_array_get(messages, i), "role"));
		if (role && !strcmp(role, "system"))
			return true;
	}
	return false;
}

static int put_messages(struct job *j, const json_t *messages)
{
	json_t *all = j->tools && !has_system(messages)
		? with_system(messages)
		: json_incref((json_t *)(uintptr_t)messages);
	struct turns t;
	int rc = all ? turns_make(&t, all, j->e) : err_nomem(j->e);

	if (!rc) {
		rc = put_turns(j, &t);
		turns_free(&t);
	}
	json_decref(all);
	return rc;
}

int chat_put(struct text *out, const json_t *document, const struct chat_opts *o, struct err *e)
{
	struct job j = { .out = out, .o = o, .e = e };
	const json_t *messages = document;

	if (json_is_object(document)) {
		messages = json_object_get(document, "messages");
		j.tools = json_object_get(document, "tools");
	}
	if (!is_true(j.tools))
		j.tools = NULL;
	if (!json_is_array(messages))
		return refuse(&j, "this is neither a list of messages nor an object that has one");
	if (put_messages(&j, messages))
		return -1;
	return out->failed ? err_nomem(e) : 0;
}
