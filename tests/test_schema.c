/* test_schema.c -- every document that the tools print with --json is as docs/schema says, for calls that succeed and
 * for calls that fail, whatever bytes are in names.
 *
 * The checker knows the keywords that the schemas use, and fails on any other. It is stricter than JSON Schema in
 * one thing: a member that the schema does not list is an error, so that none stays undocumented.
 *
 * SPDX-License-Identifier: MIT */
#include "formats/format_id.h"
#include "tests/model.h"

#include <glob.h>
#include <sys/wait.h>

#define FLASH "tests/golden/tiny-flash"

static char why[512];

static bool no(const char *at, const char *what)
{
	if (!why[0])
		snprintf(why, sizeof why, "%s: %s", at, what);
	return false;
}

static bool is_type(const json_t *v, const char *type)
{
	static const struct {
		const char *name;
		json_type types[2];
	} rows[] = { { "object", { JSON_OBJECT, JSON_OBJECT } },
		{ "array", { JSON_ARRAY, JSON_ARRAY } }, { "string", { JSON_STRING, JSON_STRING } },
		{ "integer", { JSON_INTEGER, JSON_INTEGER } },
		{ "number", { JSON_INTEGER, JSON_REAL } }, { "boolean", { JSON_TRUE, JSON_FALSE } },
		{ "null", { JSON_NULL, JSON_NULL } } };
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++)
		if (!strcmp(rows[i].name, type))
			return json_typeof(v) == rows[i].types[0] ||
				json_typeof(v) == rows[i].types[1];
	return no(type, "no type of JSON Schema");
}

static bool holds(const json_t *schema, const json_t *v, const char *at);

static bool holds_type(const json_t *type, const json_t *v, const char *at)
{
	size_t i;

	if (json_is_string(type))
		return is_type(v, json_string_value(type)) || no(at, json_string_value(type));
	for (i = 0; i < json_array_size(type); i++)
		if (is_type(v, json_string_value(json_array_get(type, i))))
			return true;
	return no(at, "none of its types");
}

static bool holds_members(const json_t *schema, json_t *v, const char *at)
{
	const json_t *known = json_object_get(schema, "properties"), *one;
	const json_t *more = json_object_get(schema, "additionalProperties");
	const char *key;
	char place[300];
	json_t *m;

	if (!json_is_object(v))
		return true;
	json_object_foreach(v, key, m)
	{
		snprintf(place, sizeof place, "%.200s.%.80s", at, key);
		one = json_object_get(known, key);
		if (!one && !more)
			return no(place, "not in the schema");
		if (!one && json_is_true(more))
			continue;
		if (!holds(one ? one : more, m, place))
			return false;
	}
	return true;
}

static bool holds_required(const json_t *list, const json_t *v, const char *at)
{
	size_t i;

	for (i = 0; json_is_object(v) && i < json_array_size(list); i++)
		if (!json_object_get(v, json_string_value(json_array_get(list, i))))
			return no(at, json_string_value(json_array_get(list, i)));
	return true;
}

static bool is_listed(const json_t *list, const json_t *v, const char *at)
{
	size_t i;

	for (i = 0; i < json_array_size(list); i++)
		if (json_equal(json_array_get(list, i), v))
			return true;
	return no(at, "none of the values it may have");
}

/* One keyword of a schema. */
static bool keyword(const char *key, const json_t *arg, const json_t *v, const char *at)
{
	size_t i;

	if (!strcmp(key, "type"))
		return holds_type(arg, v, at);
	if (!strcmp(key, "const"))
		return json_equal(arg, v) || no(at, "another constant");
	if (!strcmp(key, "enum"))
		return is_listed(arg, v, at);
	if (!strcmp(key, "required"))
		return holds_required(arg, v, at);
	if (!strcmp(key, "minimum"))
		return !json_is_integer(v) || json_integer_value(v) >= json_integer_value(arg) ||
			no(at, "below its minimum");
	if (!strcmp(key, "items")) {
		for (i = 0; i < json_array_size(v); i++)
			if (!holds(arg, json_array_get(v, i), at))
				return false;
		return true;
	}
	return !strcmp(key, "properties") || !strcmp(key, "additionalProperties") ||
		!strcmp(key, "title") || !strcmp(key, "description") || !strcmp(key, "$schema") ||
		no(key, "a keyword that this checker does not know");
}

static bool holds(const json_t *schema, const json_t *v, const char *at)
{
	const char *key;
	json_t *arg;

	json_object_foreach((json_t *)(uintptr_t)schema, key,
		arg) if (!keyword(key, arg, v, at)) return false;
	return holds_members(schema, (json_t *)(uintptr_t)v, at);
}

/* The schema whose member "format" is the constant that the document has; NULL: there is none. */
static json_t *schema_of(const char *format)
{
	json_t *s = NULL;
	json_error_t je;
	glob_t g;
	size_t i;

	if (glob("docs/schema/*.json", 0, NULL, &g))
		return NULL;
	for (i = 0; i < g.gl_pathc; i++) {
		s = json_load_file(g.gl_pathv[i], JSON_REJECT_DUPLICATES, &je);
		if (!s)
			no(g.gl_pathv[i], je.text);
		if (s && format &&
			!strcmp(json_string_value(json_object_get(
					json_object_get(json_object_get(s, "properties"), "format"),
					"const")),
				format))
			break;
		json_decref(s);
		s = NULL;
	}
	globfree(&g);
	return s;
}

/* Runs the call; stdout must be one document that its schema describes, of that format. Returns the exit status. */
static int document(const char *tool, const char *args, const char *format)
{
	const char *b = getenv("B");
	struct path out = dirs_path("stdout");
	json_t *o, *s = NULL;
	json_error_t je;
	char line[4096];
	int rc;

	why[0] = 0;
	snprintf(line, sizeof line, "%s/%s %s >%s 2>%s", b ? b : "build/gcc-opt", tool, args, out.s,
		dirs_path("stderr").s);
	rc = system(line);
	o = json_load_file(out.s, JSON_REJECT_DUPLICATES, &je);
	CHECK_IN(args, o);
	if (o) {
		CHECK_IN(args, !strcmp(json_string_value(json_object_get(o, "format")), format));
		s = schema_of(json_string_value(json_object_get(o, "format")));
		CHECK_IN(args, s);
		CHECK_IN(why[0] ? why : args, s && holds(s, o, ""));
	}
	json_decref(s);
	json_decref(o);
	return WIFEXITED(rc) ? WEXITSTATUS(rc) : 128;
}

/* clang-format off */
static const struct {
	const char *tool, *args, *format; /* OUT: a folder that does not exist; SET: a set; HF: a conversion */
	int status;
} calls[] = {
	{ "dsv4-convert", "version --json", FORMAT_VERSION_JSON, 0 },
	{ "dsv4-verify", "version --json", FORMAT_VERSION_JSON, 0 },
	{ "dsv4-convert", "rules --json", FORMAT_RULES_JSON, 0 },
	{ "dsv4-verify", "rules --json", FORMAT_RULES_JSON, 0 },
	{ "dsv4-convert", "roles --json", FORMAT_ROLES_JSON, 0 },
	{ "dsv4-convert", "targets --json", FORMAT_TARGETS_JSON, 0 },
	{ "dsv4-convert", "layouts --json", FORMAT_LAYOUTS_JSON, 0 },
	{ "dsv4-convert", "kinds --json", FORMAT_KINDS_JSON, 0 },
	{ "dsv4-quant", "version --json", FORMAT_VERSION_JSON, 0 },
	{ "dsv4-quant", "formats --json", FORMAT_FORMATS_JSON, 0 },
	{ "dsv4-quant", "plan --json " FLASH " -o OUT --to fp8 --tensors", FORMAT_PLAN_JSON, 0 },
	{ "dsv4-quant", "plan --json " FLASH " -o OUT --to fp9", FORMAT_ERROR_JSON, 2 },
	{ "dsv4-convert", "inspect --json " FLASH, FORMAT_INSPECT_JSON, 0 },
	{ "dsv4-convert", "inspect --json tests", FORMAT_INSPECT_JSON, 1 },
	{ "dsv4-convert", "inspect --json /nonexistent", FORMAT_ERROR_JSON, 2 },
	{ "dsv4-convert", "inspect --json", FORMAT_ERROR_JSON, 2 },
	{ "dsv4-convert", "inspect --json --nosuch", FORMAT_ERROR_JSON, 2 },
	{ "dsv4-convert", "nosuch --json", FORMAT_ERROR_JSON, 2 },
	{ "dsv4-convert", "plan --json " FLASH " -o OUT --target official --mp 2", FORMAT_PLAN_JSON, 0 },
	{ "dsv4-convert", "plan --json " FLASH " -o OUT --target official --mp 3", FORMAT_ERROR_JSON, 2 },
	{ "dsv4-convert", "plan --json " FLASH " -o OUT --target hf --tensors", FORMAT_PLAN_JSON, 0 },
	{ "dsv4-convert", "plan --json " FLASH " -o OUT --target marlin-mxfp4 --ranks 2", FORMAT_PLAN_JSON, 0 },
	{ "dsv4-convert", "run -q --json " FLASH " -o SET --target marlin-mxfp4 --ranks 2", FORMAT_RUN_JSON, 0 },
	{ "dsv4-convert", "run -q --json " FLASH " -o HF --target hf --experts fp8", FORMAT_RUN_JSON, 0 },
	{ "dsv4-convert", "run -q --json " FLASH " -o tests/configs --target hf", FORMAT_ERROR_JSON, 2 },
	{ "dsv4-convert", "run -q --json tests -o OUT --target hf", FORMAT_ERROR_JSON, 1 },
	{ "dsv4-convert", "restore -q --json SET -o OUT", FORMAT_RUN_JSON, 0 },
	{ "dsv4-convert", "restore -q --json tests -o OUT", FORMAT_ERROR_JSON, 2 },
	{ "dsv4-convert", "pack -q --json " FLASH " -o OUT", FORMAT_PACK_JSON, 0 },
	{ "dsv4-convert", "pack --oci -q --json " FLASH " -o OUT", FORMAT_PACK_JSON, 0 },
	{ "dsv4-convert", "unpack -q --json " FLASH " -o OUT", FORMAT_ERROR_JSON, 2 },
	{ "dsv4-convert", "delta -q --json " FLASH " tests/golden/tiny-pro --tensors --target marlin-mxfp4 --ranks 2", FORMAT_DELTA_JSON, 0 },
	{ "dsv4-convert", "delta -q --json " FLASH " HF", FORMAT_DELTA_JSON, 0 },
	{ "dsv4-convert", "delta -q --json " FLASH " SET", FORMAT_ERROR_JSON, 2 },
	{ "dsv4-verify", "tensors --json SET", FORMAT_TENSORS_JSON, 0 },
	{ "dsv4-verify", "tensors --json HF --rank 0", FORMAT_TENSORS_JSON, 0 },
	{ "dsv4-verify", "tensors --json SET --rank 2", FORMAT_REPORT_JSON, 2 },
	{ "dsv4-verify", "tensors --json " FLASH, FORMAT_REPORT_JSON, 2 },
	{ "dsv4-verify", "check -q --json SET", FORMAT_REPORT_JSON, 0 },
	{ "dsv4-verify", "check -q --json HF --quick", FORMAT_REPORT_JSON, 0 },
	{ "dsv4-verify", "check -q --json " FLASH, FORMAT_REPORT_JSON, 0 },
	{ "dsv4-verify", "check -q --json --strict " FLASH, FORMAT_REPORT_JSON, 1 }, /* nobody says its digests */
	{ "dsv4-verify", "check -q --json --strict SET", FORMAT_REPORT_JSON, 0 },
	{ "dsv4-verify", "check -q --json /nonexistent", FORMAT_REPORT_JSON, 2 },
	{ "dsv4-verify", "check -q --json", FORMAT_REPORT_JSON, 2 },
	{ "dsv4-verify", "check -q --json --nosuch SET", FORMAT_REPORT_JSON, 2 },
	{ "dsv4-verify", "--json nosuch", FORMAT_REPORT_JSON, 2 },
	{ "dsv4-verify", "compare -q --json " FLASH " SET", FORMAT_REPORT_JSON, 0 },
	{ "dsv4-verify", "diff -q --json " FLASH " HF", FORMAT_REPORT_JSON, 1 },
	{ "dsv4-verify", "diff -q --json " FLASH " tests/golden/tiny-pro", FORMAT_REPORT_JSON, 1 },
	{ "dsv4-verify", "atlas -q --json " FLASH " HF", FORMAT_REPORT_JSON, 0 },
	{ "dsv4-verify", "atlas -q --json " FLASH, FORMAT_REPORT_JSON, 2 },
	{ "dsv4-verify", "doctor -q --json " FLASH, FORMAT_REPORT_JSON, 0 },
	{ "dsv4-verify", "logits -q --json " FLASH " SET --tokens 1,2,3", FORMAT_REPORT_JSON, 0 },
	{ "dsv4-verify", "tokens --json tests/tokens --text tests/tokens/config.json", FORMAT_TOKENS_JSON, 0 },
	{ "dsv4-verify", "tokens --json tests/tokens", FORMAT_REPORT_JSON, 2 },
	{ "dsv4-verify", "logits -q --json " FLASH " SET", FORMAT_REPORT_JSON, 2 },
	{ "dsv4-verify", "logits -q --json " FLASH " SET --tokens 1,999999999", FORMAT_REPORT_JSON, 2 },
	{ "dsv4-verify", "signature -q --json SET --key /nonexistent", FORMAT_REPORT_JSON, 2 },
	{ "dsv4-verify", "check -q --json \"$(printf 'a\\377\\n\"b')\"", FORMAT_REPORT_JSON, 2 },
	{ "dsv4-convert", "inspect --json \"$(printf 'a\\377\\n\"b')\"", FORMAT_ERROR_JSON, 2 },
};
/* clang-format on */

/* args with the names of folders put in. */
static void expand(const char *args, char *to, size_t room)
{
	static const char *const names[] = { "OUT", "SET", "HF" };
	size_t n = 0, i, len;
	const char *p;

	for (p = args; *p && n + 300 < room; p += len) {
		for (i = 0; i < 3; i++) {
			len = strlen(names[i]);
			if (p > args && p[-1] == ' ' && !strncmp(p, names[i], len) &&
				(p[len] == ' ' || !p[len]))
				break;
		}
		if (i == 3) {
			len = 1;
			to[n++] = *p;
		} else {
			n += (size_t)snprintf(to + n, room - n, "%s", dirs_path(names[i]).s);
		}
	}
	to[n] = 0;
}

static void documents(void)
{
	char args[1800];
	size_t i;
	int rc;

	for (i = 0; i < sizeof calls / sizeof *calls; i++) {
		dirs_remove(dirs_path("OUT").s);
		expand(calls[i].args, args, sizeof args);
		rc = document(calls[i].tool, args, calls[i].format);
		CHECK_IN(calls[i].args, rc == calls[i].status);
	}
}

/* Every line of an error atlas. */
static void lines(void)
{
	struct path f = dirs_path("atlas.jsonl");
	json_t *s = schema_of(FORMAT_ATLAS), *o;
	char args[1400], *text, *at, *end;
	size_t n, many = 0;

	snprintf(args, sizeof args, "run -q --json " FLASH " -o %s --target hf --experts fp8",
		dirs_path("lines").s);
	CHECK(document("dsv4-convert", args, FORMAT_RUN_JSON) == 0);
	snprintf(args, sizeof args, "atlas -q --json " FLASH " %s -o %s", dirs_path("lines").s,
		f.s);
	CHECK(document("dsv4-verify", args, FORMAT_REPORT_JSON) == 0);
	text = (char *)file_get_all(f.s, &n);
	CHECK(s && text);
	if (!text)
		return;
	text[n] = 0;
	for (at = text; *at && (end = strchr(at, '\n')); at = end + 1, many++) {
		why[0] = 0;
		*end = 0;
		o = json_loads(at, JSON_REJECT_DUPLICATES, NULL);
		CHECK_IN(why[0] ? why : at, o && holds(s, o, ""));
		json_decref(o);
	}
	CHECK(many > 100);
	free(text);
	json_decref(s);
}

/* A call that fails writes its files for CI too. */
static void files_of_failures(void)
{
	const char *b = getenv("B");
	struct path x = dirs_path("x.xml"), h = dirs_path("x.html");
	static const char *const args[] = { "check /nonexistent", "check --nosuch", "nosuch" };
	char line[2048];
	size_t i, n;
	char *s;

	for (i = 0; i < sizeof args / sizeof *args; i++) {
		(void)unlink(x.s);
		(void)unlink(h.s);
		snprintf(line, sizeof line,
			"%s/dsv4-verify %s --junit %s --report=%s >/dev/null 2>&1",
			b ? b : "build/gcc-opt", args[i], x.s, h.s);
		CHECK_IN(args[i], WEXITSTATUS(system(line)) == 2);
		s = (char *)file_get_all(x.s, &n);
		CHECK_IN(args[i], s && strstr(s, "tests=\"1\" failures=\"0\" errors=\"1\""));
		free(s);
		s = (char *)file_get_all(h.s, &n);
		CHECK_IN(args[i], s && strstr(s, "id=\"verdict\">unknown<"));
		free(s);
	}
}

/* The checker finds what it is there to find. */
static void checker(void)
{
	static const struct {
		const char *schema, *value;
		bool ok;
	} rows[] = {
		{ "{\"type\":\"integer\",\"minimum\":0}", "[1]", true },
		{ "{\"type\":\"integer\",\"minimum\":0}", "[-1]", false },
		{ "{\"type\":\"integer\"}", "[1.5]", false },
		{ "{\"type\":[\"string\",\"null\"]}", "[null]", true },
		{ "{\"type\":[\"string\",\"null\"]}", "[1]", false },
		{ "{\"enum\":[\"a\",\"b\"]}", "[\"b\"]", true },
		{ "{\"enum\":[\"a\",\"b\"]}", "[\"c\"]", false },
		{ "{\"const\":\"a\"}", "[\"b\"]", false },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}",
			"[{\"a\":\"\"}]", true },
		{ "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}",
			"[{\"b\":\"\"}]", false },
		{ "{\"type\":\"object\",\"properties\":{},\"required\":[\"a\"]}", "[{}]", false },
		{ "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"null\"}}",
			"[{\"x\":1}]", false },
		{ "{\"type\":\"array\",\"items\":{\"type\":\"null\"}}", "[[null,1]]", false },
		{ "{\"pattern\":\"x\"}", "[\"x\"]", false },
	};
	json_error_t je;
	json_t *s, *v;
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		s = json_loads(rows[i].schema, 0, &je);
		v = json_loads(rows[i].value, 0, &je);
		why[0] = 0;
		CHECK_IN(rows[i].schema,
			s && v && holds(s, json_array_get(v, 0), "") == rows[i].ok);
		json_decref(s);
		json_decref(v);
	}
}

static const struct test tests[] = { { "schema: checker", checker },
	{ "schema: documents", documents }, { "schema: lines of an atlas", lines },
	{ "schema: files of failures", files_of_failures }, { 0 } };
TEST_MAIN(tests)
