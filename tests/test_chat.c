/* test_chat.c -- conversations as text: tests/tokens/chats.jsonl has some with the text that the encoder of the release
 * makes of them, and what is refused. tests/oracle/tokens.py makes the file.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/tokenizer/chat.h"
#include "formats/tokenizer/pyjson.h"
#include "tests/check.h"

#include <jansson.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static enum chat_effort effort_of(const char *s)
{
	return s && !strcmp(s, "high") ? CHAT_HIGH : s && !strcmp(s, "max") ? CHAT_MAX : CHAT_LOW;
}

static void as_released(void)
{
	FILE *f = fopen("tests/tokens/chats.jsonl", "r");
	struct text out = { 0 };
	struct chat_opts o;
	char *line = NULL;
	size_t cap = 0, n = 0;
	const char *effort;
	struct err e;
	json_t *v;

	CHECK(f != NULL);
	for (; f && getline(&line, &cap, f) > 0; n++) {
		v = json_loads(line, 0, NULL);
		effort = json_string_value(json_object_get(v, "effort"));
		o = (struct chat_opts){ .think = effort != NULL,
			.keep_reasoning = json_is_true(json_object_get(v, "keep")),
			.effort = effort_of(effort) };
		out.n = 0;
		e = (struct err){ 0 };
		CHECK_IN(e.text, !chat_put(&out, json_object_get(v, "messages"), &o, &e));
		CHECK_IN(line, !strcmp(out.s, json_string_value(json_object_get(v, "text"))));
		json_decref(v);
	}
	CHECK(n == 100);
	text_free(&out);
	free(line);
	fclose(f);
}

/* Text with ' for the double quote. */
static json_t *parse(const char *s)
{
	struct text t = { 0 };
	json_t *v;

	for (; *s; s++)
		text_put(&t, *s == '\'' ? "\"" : s, 1);
	v = json_loadb(t.s, t.n, JSON_DECODE_ANY, NULL);
	CHECK_IN(t.s, v);
	text_free(&t);
	return v;
}

/* Tools of the whole document go to the first system message, or to one in front. */
static void tools_of_the_document(void)
{
	static const char tools[] = "'tools':[{'type':'function','function':{'name':'f'}}]";
	static const struct chat_opts o = { .think = false };
	char doc[400];
	struct text a = { 0 }, b = { 0 };
	struct err e = { 0 };
	json_t *v;

	snprintf(doc, sizeof doc, "{%s,'messages':[{'role':'user','content':'Hi'}]}", tools);
	v = parse(doc);
	CHECK(!chat_put(&a, v, &o, &e));
	json_decref(v);
	snprintf(doc, sizeof doc, "[{'role':'system',%s},{'role':'user','content':'Hi'}]", tools);
	v = parse(doc);
	CHECK(!chat_put(&b, v, &o, &e) && a.n == b.n && !strcmp(a.s, b.s));
	json_decref(v);
	snprintf(doc, sizeof doc,
		"{%s,'messages':[{'role':'user','content':'Hi'},{'role':'system','tools':[]}]}",
		tools);
	v = parse(doc);
	a.n = 0;
	CHECK(!chat_put(&a, v, &o, &e) && strstr(a.s, "Hi\n\n## Tools") &&
		strstr(a.s, "Schemas\n\n{\"name\": \"f\"}\n\nYou"));
	json_decref(v);
	text_free(&a);
	text_free(&b);
}

/* clang-format off */
static const char *const bad[] = {
	"7", "'text'", "{}", "[]", "{'messages':7}", "{'messages':[]}", "[7]", "[{}]", "[{'role':7}]",
	"[{'role':'oracle','content':''}]",
	"[{'role':'user','content':7}]", "[{'role':'user','content':null}]",
	"[{'role':'user','content':[{'type':'image_url'}]}]", "[{'role':'user','content':[{'type':'text','text':7}]}]",
	"[{'role':'user','content':[7]}]", "[{'role':'user','content':[{}]}]",
	"[{'role':'developer','content':''}]", "[{'role':'developer'}]",
	"[{'role':'latest_reminder'}]",
	"[{'role':'system','tools':7}]", "[{'role':'system','tools':[{}]}]", "[{'role':'system','tools':['f']}]",
	"[{'role':'assistant','tool_calls':7}]", "[{'role':'assistant','tool_calls':[{}]}]",
	"[{'role':'assistant','tool_calls':[{'function':{'name':'f'}}]}]",
	"[{'role':'assistant','tool_calls':[{'function':{'name':7,'arguments':{}}}]}]",
	"[{'role':'assistant','tool_calls':[{'function':{'name':'f','arguments':'{'}}]}]",
	"[{'role':'assistant','tool_calls':[{'function':{'name':'f','arguments':'[]'}}]}]",
	"[{'role':'assistant','tool_calls':[{'function':{'name':'f','arguments':7}}]}]",
	"[{'role':'user','content':'x','task':'sing'}]", "[{'role':'user','content':'x','task':7}]",
	"[{'role':'tool','content':7}]", "[{'role':'tool','content':[{'text':'x'}]}]",
	"[{'role':'assistant','reasoning':7}]", "[{'role':'assistant','reasoning':'a','reasoning_content':'b'}]",
};
/* clang-format on */

static void refused(void)
{
	static const struct chat_opts o = { .think = true };
	struct text out = { 0 };
	struct err e;
	json_t *v;
	size_t i;

	for (i = 0; i < COUNT(bad); i++) {
		v = parse(bad[i]);
		e = (struct err){ 0 };
		CHECK_IN(bad[i],
			chat_put(&out, v, &o, &e) == -1 && e.rule &&
				!strcmp(e.rule, "tokens.chat"));
		json_decref(v);
	}
	text_free(&out);
}

/* Numbers and strings as Python writes them. */
static void as_python(void)
{
	static const struct {
		const char *json, *python;
	} cases[] = {
		{ "[1.0,100.0,1e5,1E16,1e15,0.0001,0.00001,-0.0,5e-324,1.5e300]",
			"[1.0, 100.0, 100000.0, 1e+16, 1000000000000000.0, 0.0001, 1e-05, -0.0, 5e-324, "
			"1.5e+300]" },
		{ "[0.1,123456789012345.6,1.7976931348623157e308,0.30000000000000004]",
			"[0.1, 123456789012345.6, 1.7976931348623157e+308, 0.30000000000000004]" },
		{ "[9223372036854775807,-9223372036854775808,-0]",
			"[9223372036854775807, -9223372036854775808, 0]" },
		{ "{'b':true,'a':false,'c':null,'d':{},'e':[]}",
			"{\"b\": true, \"a\": false, \"c\": null, \"d\": {}, \"e\": []}" },
		{ "'\\u0001\\u001f\\n\\t\\/\\\\\\u007f\\u00e9\\u2028'",
			"\"\\u0001\\u001f\\n\\t/\\\\\x7fé\u2028\"" },
	};
	struct text out = { 0 };
	json_t *v;
	size_t i;

	for (i = 0; i < COUNT(cases); i++) {
		v = parse(cases[i].json);
		out.n = 0;
		pyjson_put(&out, v);
		CHECK_IN(out.s, !strcmp(out.s, cases[i].python));
		json_decref(v);
	}
	text_free(&out);
}

static const struct test tests[] = {
	{ "as_released", as_released },
	{ "tools_of_the_document", tools_of_the_document },
	{ "refused", refused },
	{ "as_python", as_python },
	{ NULL, NULL },
};
TEST_MAIN(tests)
