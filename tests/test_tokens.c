/* test_tokens.c -- text to ids: tests/tokens has strings with the ids that Hugging Face's tokenizers gives them, of a
 * small tokenizer of the same kind as that of DeepSeek-V4, and what is refused.
 *
 * tests/oracle/tokens.py makes these files, and holds the tool to the real tokenizer on 100,000 other strings.
 *
 * SPDX-License-Identifier: MIT */
#include "core/file.h"
#include "formats/tokenizer/encoder.h"
#include "formats/tokenizer/unicode.h"
#include "tests/check.h"
#include "tests/dirs.h"
#include "verify/run/tokenize.h"

#include <jansson.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define FOLDER "tests/tokens"
#define SHA256 \
	"080b3fc9953730cd2a74fac6d43f3d5e8248ef6c5d05b3fc2cebc73f7fa57631" /* of its tokenizer.json */

static void read_tokenizer(struct tokenizer *t, struct encoder *c)
{
	struct link_dir d = { .io = io_posix() };
	struct err e = { 0 };
	bool there;

	CHECK(!file_open_dir(io_posix(), FOLDER, &d.dir, &e));
	CHECK(!tokenizer_json_read(t, &d, 4096, &there, &e) && there);
	CHECK(!encoder_make(c, t, &e));
	close(d.dir);
}

static bool same_ids(const struct encoder *c, const char *s, size_t n, const json_t *want)
{
	struct token_ids ids = { 0 };
	struct err e = { 0 };
	bool same;
	size_t i;

	same = !encoder_text(c, s, n, &ids, &e) && ids.n == json_array_size(want);
	for (i = 0; same && i < ids.n; i++)
		same = ids.v[i] == (uint32_t)json_integer_value(json_array_get(want, i));
	token_ids_free(&ids);
	return same;
}

static void strings(void)
{
	FILE *f = fopen(FOLDER "/strings.jsonl", "r");
	struct tokenizer t;
	struct encoder c;
	char *line = NULL;
	size_t cap = 0, n = 0;
	json_t *v, *s;

	read_tokenizer(&t, &c);
	CHECK(f != NULL);
	for (; f && getline(&line, &cap, f) > 0; n++) {
		v = json_loads(line, JSON_ALLOW_NUL, NULL);
		s = json_object_get(v, "text");
		CHECK_IN(line,
			same_ids(&c, json_string_value(s), json_string_length(s),
				json_object_get(v, "ids")));
		json_decref(v);
	}
	CHECK(n == 400);
	free(line);
	fclose(f);
	encoder_free(&c);
	tokenizer_free(&t);
}

/* Any bytes: what is UTF-8 has ids whose texts are these bytes again, and what is not has none. */
static void any_bytes(void)
{
	struct token_ids ids = { 0 };
	struct err e = { 0 };
	struct tokenizer t;
	struct encoder c;
	char s[64];
	size_t n, k;
	int i, taken = 0;

	read_tokenizer(&t, &c);
	for (i = 0; i < 20000; i++) {
		n = rnd(sizeof s);
		for (k = 0; k < n; k++)
			s[k] = (char)(rnd(4) ? rnd(0x80) : rnd(0x100));
		ids.n = 0;
		e = (struct err){ 0 };
		if (!encoder_text(&c, s, n, &ids, &e)) {
			taken++;
			CHECK(n ? ids.n > 0 && ids.n <= n : !ids.n);
		} else {
			CHECK(e.rule && !strcmp(e.rule, "tokens.utf8") && e.pos < n);
		}
	}
	CHECK(taken > 100);
	token_ids_free(&ids);
	encoder_free(&c);
	tokenizer_free(&t);
}

/* --- the verb --- */

static struct path put(const char *name, const char *s)
{
	struct path p = dirs_path(name);
	FILE *f = fopen(p.s, "w");

	CHECK(f && fwrite(s, 1, strlen(s), f) == strlen(s) && !fclose(f));
	return p;
}

static bool gives(const struct tokenize_opts *o, const char *want)
{
	struct text out = { 0 };
	struct err e = { 0 };
	bool is = !tokenize(&out, FOLDER, o, &e) && !strcmp(out.s ? out.s : "", want);

	if (!is)
		fprintf(stderr, "%s%s\n", e.text, out.s ? out.s : "");
	text_free(&out);
	return is;
}

static void prints(void)
{
	struct path hi = put("hi", "Hi"), lines = put("lines", "\"Hi\"\n\n\"\\u0041\"\n\"\"\n"),
		    chat = put("chat", "[{\"role\":\"user\",\"content\":\"Hi\"}]");
	struct tokenize_opts o = { .io = io_posix(), .text = hi.s };

	CHECK(gives(&o, "39 72\n"));
	o.bos = true;
	CHECK(gives(&o, "604 39 72\n"));
	o.bos = false;
	o.text = lines.s;
	o.lines = true;
	CHECK(gives(&o, "[39,72]\n[32]\n[]\n"));
	o.json = true;
	CHECK(gives(&o,
		"{\"format\": \"dsv4-tokens-1\", \"prompts\": [[39,72],[32],[]], "
		"\"tokenizer_sha256\": \"" SHA256 "\"}\n"));
	o = (struct tokenize_opts){ .io = io_posix(), .chat = chat.s };
	CHECK(gives(&o, "604 600 39 72 601 603\n"));
	o.how.think = true;
	o.string = true;
	CHECK(gives(&o, "<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜><think>"));
}

/* clang-format off */
static const struct {
	const char *name, *rule;
	const char *text, *chat; /* what the file holds */
	bool lines;
} bad[] = {
	{ "half a character", "tokens.utf8", "caf\xc3", NULL, false },
	{ "a surrogate", "tokens.utf8", "\xed\xa0\x80", NULL, false },
	{ "no JSON", "tokens.chat", NULL, "[", false },
	{ "no JSON in a line", "tokens.chat", "\"a\"\nb\n", NULL, true },
	{ "a number in a line", "tokens.chat", "7\n", NULL, true },
	{ "a number as a chat", "tokens.chat", NULL, "7", false },
	{ "a member twice", "tokens.chat", NULL, "{\"messages\":[],\"messages\":[]}", false },
};
/* clang-format on */

static void bad_input(void)
{
	struct tokenize_opts o;
	struct text out = { 0 };
	struct path p;
	struct err e;
	size_t i;

	for (i = 0; i < COUNT(bad); i++) {
		p = put("bad", bad[i].text ? bad[i].text : bad[i].chat);
		o = (struct tokenize_opts){ .io = io_posix(), .lines = bad[i].lines };
		*(bad[i].text ? &o.text : &o.chat) = p.s;
		e = (struct err){ 0 };
		CHECK_IN(bad[i].name,
			tokenize(&out, FOLDER, &o, &e) == -1 && e.rule &&
				!strcmp(e.rule, bad[i].rule));
		text_free(&out);
	}
	o = (struct tokenize_opts){ .io = io_posix(), .text = dirs_path("none").s };
	e = (struct err){ 0 };
	CHECK(tokenize(&out, FOLDER, &o, &e) == -1 && e.kind == ERR_SYSTEM);
}

/* V4.1 says vocab_size in text_config; how it writes conversations is not known, and what another model has is not its. */
static void families(void)
{
	static const struct {
		const char *config, *rule; /* NULL: the text becomes ids */
		bool chat;
	} row[] = {
		{ "{\"model_type\": \"deepseek_v41\", \"text_config\": {\"vocab_size\": 617}}",
			NULL, false },
		{ "{\"model_type\": \"deepseek_v41\", \"text_config\": {\"vocab_size\": 600}}",
			"tokens.tokenizer", false },
		{ "{\"model_type\": \"deepseek_v41\", \"text_config\": {\"vocab_size\": 617}}",
			"family.gap", true },
		{ "{\"model_type\": \"other\", \"vocab_size\": 617}", NULL, false },
		{ "{\"model_type\": \"other\", \"vocab_size\": 617}", "config.model-type", true },
		{ "{\"model_type\": \"deepseek_v4\", \"vocab_size\": 617", "config.syntax", false },
	};
	struct path hi = put("hi", "Hi"), dir = dirs_new("of"),
		    chat = put("chat", "[{\"role\":\"user\",\"content\":\"Hi\"}]");
	struct tokenize_opts o;
	struct text out = { 0 };
	char line[900];
	struct err e;
	size_t i;

	snprintf(line, sizeof line, "cp " FOLDER "/tokenizer.json %s", dir.s);
	CHECK(!system(line));
	for (i = 0; i < COUNT(row); i++) {
		(void)put("of/config.json", row[i].config);
		o = (struct tokenize_opts){ .io = io_posix() };
		*(row[i].chat ? &o.chat : &o.text) = (row[i].chat ? chat : hi).s;
		e = (struct err){ 0 };
		if (row[i].rule)
			CHECK_IN(row[i].config,
				tokenize(&out, dir.s, &o, &e) == -1 && e.rule &&
					!strcmp(e.rule, row[i].rule));
		else
			CHECK_IN(row[i].config,
				!tokenize(&out, dir.s, &o, &e) && !strcmp(out.s, "39 72\n"));
		text_free(&out);
	}
}

/* A tokenizer that is of the kind, and lacks something that encoding needs. */
static void bad_tokenizers(void)
{
	static const struct {
		const char *from, *to;
	} changes[] = {
		{ "\"A\":32,", "" }, /* no token for a byte */
		{ "\"merges\":[", "\"merges\":[[\"Ġ\",\"ĠĠĠĠĠĠĠĠĠĠĠ\"]," },
		{ "\"lstrip\":false", "\"lstrip\":true" },
		{ "\"single_word\":false", "\"single_word\":true" },
		{ "\"rstrip\":false", "\"rstrip\":true" },
		{ "\"byte_fallback\":false", "\"byte_fallback\":true" },
		{ "\"ignore_merges\":false", "\"ignore_merges\":true" },
		{ "\"dropout\":null", "\"dropout\":0.1" },
		{ "\"truncation\":null", "\"truncation\":{\"max_length\":7}" },
	};
	struct path hi = put("hi", "Hi"), folder = dirs_path("odd");
	struct tokenize_opts o = { .io = io_posix(), .text = hi.s };
	struct text t = { 0 }, out = { 0 };
	struct err e = { 0 };
	char *at, line[1100];
	size_t i;
	int dir;

	CHECK(!file_open_dir(io_posix(), FOLDER, &dir, &e) &&
		!file_load(io_posix(), dir, TOKENIZER_JSON, 1 << 20, &t, &e));
	snprintf(line, sizeof line, "mkdir '%s' && cp " FOLDER "/config.json '%s'", folder.s,
		folder.s);
	CHECK(!system(line));
	close(dir);
	CHECK(!file_open_dir(io_posix(), folder.s, &dir, &e));
	for (i = 0; i < COUNT(changes); i++) {
		at = strstr(t.s, changes[i].from);
		CHECK_IN(changes[i].from, at);
		if (!at)
			continue;
		out.n = 0;
		text_put(&out, t.s, (size_t)(at - t.s));
		text_str(&out, changes[i].to);
		text_str(&out, at + strlen(changes[i].from));
		e = (struct err){ 0 };
		CHECK(!file_replace(io_posix(), dir, TOKENIZER_JSON, out.s, out.n, &e));
		CHECK_IN(changes[i].to,
			tokenize(&out, folder.s, &o, &e) == -1 && e.rule &&
				!strcmp(e.rule, "tokens.tokenizer"));
	}
	close(dir);
	text_free(&out);
	text_free(&t);
}

/* Time is n log n whatever is repeated: 200,000 equal bytes are encoded while a test waits. */
static void long_runs(void)
{
	static const char *const of[] = { "a", " ", "\n", "1", "-", "<", "\u0301", " a", "\n " };
	struct token_ids ids = { 0 };
	struct text s = { 0 };
	struct err e = { 0 };
	struct tokenizer t;
	struct encoder c;
	size_t i;

	read_tokenizer(&t, &c);
	for (i = 0; i < COUNT(of); i++) {
		for (s.n = 0; s.n < 200000;)
			text_str(&s, of[i]);
		ids.n = 0;
		CHECK_IN(of[i], !encoder_text(&c, s.s, s.n, &ids, &e) && ids.n > 0);
	}
	text_free(&s);
	token_ids_free(&ids);
	encoder_free(&c);
	tokenizer_free(&t);
}

static const struct test tests[] = {
	{ "tokens: strings", strings },
	{ "tokens: any bytes", any_bytes },
	{ "tokens: prints", prints },
	{ "tokens: bad input", bad_input },
	{ "tokens: families", families },
	{ "tokens: bad tokenizers", bad_tokenizers },
	{ "tokens: long runs", long_runs },
	{ NULL, NULL },
};
TEST_MAIN(tests)
