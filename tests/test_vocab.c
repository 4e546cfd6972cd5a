/* test_vocab.c -- the tokenizer of a model as metadata of a GGUF: what is taken of tokenizer.json,
 * tokenizer_config.json and chat_template.jinja, and what is refused.
 *
 * That the real tokenizer of DeepSeek-V4 comes out as llama.cpp's own converter writes it is tests/oracle/runtime_gguf.py's.
 *
 * SPDX-License-Identifier: MIT */
#include "core/file.h"
#include "formats/gguf/gguf_file.h"
#include "formats/gguf/vocab.h"
#include "tests/check.h"
#include "tests/dirs.h"

#include <jansson.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* A tokenizer of 9 tokens, 7 of which are there. */
#define ADDED                                                                                                           \
	"[{'id':0,'content':'<｜b｜>','normalized':false,'special':true},{'id':1,'content':'<|e|>','special':false}," \
	"{'id':2,'content':'<think>','special':false}]"
#define SPLITS                                                                                                         \
	"{'type':'Split','pattern':{'Regex':'\\\\p{N}{1,3}'},'behavior':'Isolated'},"                                  \
	"{'type':'Split','pattern':{'Regex':'[一-龥぀-ゟ゠-ヿ]+'}},"                                             \
	"{'type':'Split','pattern':{'Regex':'[!\\\"#$%&\\u0027()*+,\\\\-./:;<=>?@\\\\[\\\\\\\\\\\\]^_`{|}~][A-Za-z]+|" \
	"[^\\r\\n\\\\p{L}\\\\p{P}\\\\p{S}]?[\\\\p{L}\\\\p{M}]+| ?[\\\\p{P}\\\\p{S}]+[\\r\\n]*|\\\\s*[\\r\\n]+|\\\\s+(?!\\\\S)|\\\\s+'}},"
#define PRE "{'type':'Sequence','pretokenizers':[" SPLITS "{'type':'ByteLevel','use_regex':false}]}"
#define VOCAB "{'a':3,'b':4,'ab':5,'<think>':2,'\\u0120':6}"
#define MODEL "{'type':'BPE','vocab':" VOCAB ",'merges':['a b']}"
#define NORM "{'type':'Sequence','normalizers':[]}"
#define DOC(added, norm, pre, post, model)                                                     \
	"{'version':'1.0','added_tokens':" added ",'normalizer':" norm ",'pre_tokenizer':" pre \
	",'post_processor':" post ",'model':" model "}"
#define BYTES "{'type':'ByteLevel','trim_offsets':false}"
#define GOOD DOC(ADDED, NORM, PRE, BYTES, MODEL)

/* Text with ' for the double quote. */
static void put(int dir, const char *name, const char *s)
{
	struct text t = { 0 };
	struct err e = { 0 };

	for (; *s; s++)
		text_put(&t, *s == '\'' ? "\"" : s, 1);
	CHECK(!file_put(io_posix(), dir, name, t.s, t.n, &e));
	text_free(&t);
}

/* Of a model of 9 tokens. */
static int read_in(struct vocab *v, int dir, const json_t *config, bool *there, struct err *e)
{
	const struct link_dir d = { .io = io_posix(), .dir = dir };

	return vocab_read(v, &d, 9, config, there, e);
}

static int open_dir(void)
{
	static int n;
	char name[32];
	struct err e = { 0 };
	int dir = -1;

	snprintf(name, sizeof name, "v%d", n++);
	CHECK(!mkdir(dirs_path(name).s, 0777) &&
		!file_open_dir(io_posix(), dirs_path(name).s, &dir, &e));
	return dir;
}

/* clang-format off */
static const struct {
	const char *name, *doc, *config; /* of tokenizer_config.json, NULL none */
	const char *rule; /* NULL: taken */
} cases[] = {
	{ "good", GOOD, NULL, NULL },
	{ "an empty object in it", "{'model':{}}", NULL, "tokens.tokenizer" },
	{ "the model first", "{'model':" MODEL ",'pre_tokenizer':" PRE ",'added_tokens':" ADDED "}", NULL, NULL },
	{ "no normalizer", DOC(ADDED, "null", PRE, "null", MODEL), NULL, NULL },
	{ "merges in pairs", DOC(ADDED, NORM, PRE, BYTES, "{'type':'BPE','vocab':" VOCAB ",'merges':[['a','b']]}"), NULL, NULL },
	{ "another model", DOC(ADDED, NORM, PRE, BYTES, "{'type':'Unigram','vocab':{},'merges':[]}"), NULL, "tokens.tokenizer" },
	{ "no model", "{'added_tokens':" ADDED ",'pre_tokenizer':" PRE "}", NULL, "tokens.tokenizer" },
	{ "two models", "{'model':" MODEL ",'model':" MODEL ",'pre_tokenizer':" PRE "}", NULL, "tokens.tokenizer" },
	{ "no merges", DOC(ADDED, NORM, PRE, BYTES, "{'type':'BPE','vocab':" VOCAB ",'merges':[]}"), NULL, "tokens.tokenizer" },
	{ "merge of one part", DOC(ADDED, NORM, PRE, BYTES, "{'type':'BPE','vocab':" VOCAB ",'merges':['ab']}"), NULL, "tokens.tokenizer" },
	{ "merge of three parts", DOC(ADDED, NORM, PRE, BYTES, "{'type':'BPE','vocab':" VOCAB ",'merges':['a b c']}"), NULL, "tokens.tokenizer" },
	{ "merge of three parts in an array", DOC(ADDED, NORM, PRE, BYTES, "{'type':'BPE','vocab':" VOCAB ",'merges':[['a','b','c']]}"), NULL, "tokens.tokenizer" },
	{ "merge that is a number", DOC(ADDED, NORM, PRE, BYTES, "{'type':'BPE','vocab':" VOCAB ",'merges':[7]}"), NULL, "json.type" },
	{ "id beyond the vocabulary", DOC(ADDED, NORM, PRE, BYTES, "{'type':'BPE','vocab':{'a':9},'merges':['a b']}"), NULL, "tokens.tokenizer" },
	{ "id 2^32", DOC(ADDED, NORM, PRE, BYTES, "{'type':'BPE','vocab':{'a':4294967296},'merges':['a b']}"), NULL, "json.range" },
	{ "id negative", DOC(ADDED, NORM, PRE, BYTES, "{'type':'BPE','vocab':{'a':-1},'merges':['a b']}"), NULL, "json.number" },
	{ "two tokens of one id", DOC(ADDED, NORM, PRE, BYTES, "{'type':'BPE','vocab':{'a':3,'b':3},'merges':['a b']}"), NULL, "tokens.tokenizer" },
	{ "added and plain token of one id", DOC(ADDED, NORM, PRE, BYTES, "{'type':'BPE','vocab':{'a':0},'merges':['a b']}"), NULL, "tokens.tokenizer" },
	{ "added token beyond", DOC("[{'id':9,'content':'x'}]", NORM, PRE, BYTES, MODEL), NULL, "tokens.tokenizer" },
	{ "added token without id", DOC("[{'content':'x'}]", NORM, PRE, BYTES, MODEL), NULL, "tokens.tokenizer" },
	{ "added token without content", DOC("[{'id':7}]", NORM, PRE, BYTES, MODEL), NULL, "tokens.tokenizer" },
	{ "lower case", DOC(ADDED, "{'type':'Lowercase'}", PRE, BYTES, MODEL), NULL, "tokens.tokenizer" },
	{ "a normalizer in the list", DOC(ADDED, "{'type':'Sequence','normalizers':[{'type':'NFC'}]}", PRE, BYTES, MODEL), NULL, "tokens.tokenizer" },
	{ "no pre-tokenizer", DOC(ADDED, NORM, "null", BYTES, MODEL), NULL, "tokens.tokenizer" },
	{ "no splits", DOC(ADDED, NORM, "{'type':'ByteLevel'}", BYTES, MODEL), NULL, "tokens.tokenizer" },
	{ "another split", DOC(ADDED, NORM, "{'type':'Sequence','pretokenizers':[{'type':'Split','pattern':{'Regex':'x'}}]}", BYTES, MODEL), NULL, "tokens.tokenizer" },
	{ "a split too many", DOC(ADDED, NORM, "{'type':'Sequence','pretokenizers':[" SPLITS "{'type':'Split','pattern':{'Regex':'x'}}]}", BYTES, MODEL), NULL, "tokens.tokenizer" },
	{ "no bytes", DOC(ADDED, NORM, "{'type':'Sequence','pretokenizers':[" SPLITS "{'type':'Split','pattern':{}}]}", BYTES, MODEL), NULL, "tokens.tokenizer" },
	{ "a split that removes", DOC(ADDED, NORM, "{'type':'Sequence','pretokenizers':[{'type':'Split','behavior':'Removed'}]}", BYTES, MODEL), NULL, "tokens.tokenizer" },
	{ "a split turned round", DOC(ADDED, NORM, "{'type':'Sequence','pretokenizers':[" SPLITS "{'type':'ByteLevel','invert':true}]}", BYTES, MODEL), NULL, "tokens.tokenizer" },
	{ "bytes split once more", DOC(ADDED, NORM, "{'type':'Sequence','pretokenizers':[" SPLITS "{'type':'ByteLevel','use_regex':true}]}", BYTES, MODEL), NULL, "tokens.tokenizer" },
	{ "a space before", DOC(ADDED, NORM, "{'type':'Sequence','pretokenizers':[" SPLITS "{'type':'ByteLevel','add_prefix_space':true}]}", BYTES, MODEL), NULL, "tokens.tokenizer" },
	{ "digits apart", DOC(ADDED, NORM, "{'type':'Sequence','pretokenizers':[" SPLITS "{'type':'Digits'}]}", BYTES, MODEL), NULL, "tokens.tokenizer" },
	{ "no document", "", NULL, "json.cut" },
	{ "an array", "[]", NULL, "json.type" },
	{ "cut", "{'model':" MODEL ",'pre_tokenizer':" PRE, NULL, "json.cut" },
	{ "something behind", GOOD "x", NULL, "json.trailing" },
	{ "nested 99 deep", "{'x':[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}", NULL, "json.depth" },
	{ "config no object", GOOD, "[]", "tokens.tokenizer" },
	{ "config no JSON", GOOD, "{'a':", "tokens.tokenizer" },
	{ "config with a member twice", GOOD, "{'bos_token':'a','bos_token':'b'}", "tokens.tokenizer" },
};
/* clang-format on */

static void taken_and_refused(void)
{
	struct vocab v;
	size_t i;
	bool there;
	int dir, rc;

	for (i = 0; i < COUNT(cases); i++) {
		struct err e = { 0 };

		dir = open_dir();
		put(dir, TOKENIZER_JSON, cases[i].doc);
		if (cases[i].config)
			put(dir, "tokenizer_config.json", cases[i].config);
		rc = vocab_read(&v, &(struct link_dir){ .io = io_posix(), .dir = dir }, 9, NULL,
			&there, &e);
		CHECK_IN(cases[i].name,
			cases[i].rule ? rc && e.rule && !strcmp(e.rule, cases[i].rule)
				      : !rc && there);
		if (rc ? !cases[i].rule || !e.rule || strcmp(e.rule, cases[i].rule)
		       : cases[i].rule != NULL)
			fprintf(stderr, "%s: %s %s\n", cases[i].name, e.rule ? e.rule : "taken",
				e.text);
		CHECK_IN(cases[i].name, !rc || !v.t.tokens);
		if (!rc)
			CHECK_IN(cases[i].name,
				v.t.n_merges == 1 && v.t.merges[0].n == 3 &&
					!memcmp(v.t.merges[0].s, "a b", 3));
		vocab_free(&v);
		close(dir);
	}
}

/* Every member of the result. */
static void good(void)
{
	static const struct {
		const char *s;
		uint8_t type;
	} want[9] = { { "<｜b｜>", TOKEN_CONTROL }, { "<|e|>", TOKEN_CONTROL },
		{ "<think>", TOKEN_USER }, { "a", TOKEN_NORMAL }, { "b", TOKEN_NORMAL },
		{ "ab", TOKEN_NORMAL }, { "\xc4\xa0", TOKEN_NORMAL }, { NULL, 0 }, { NULL, 0 } };
	json_t *config =
		json_pack("{s:i,s:i,s:i}", "bos_token_id", 1, "eos_token_id", 1, "unk_token_id", 5);
	int dir = open_dir();
	struct vocab v;
	struct err e = { 0 };
	bool there;
	size_t i;

	put(dir, TOKENIZER_JSON, GOOD);
	put(dir, "tokenizer_config.json",
		"{'bos_token':{'content':'<｜b｜>'},'eos_token':'<|e|>','pad_token':'not there','add_bos_token':true}");
	put(dir, "chat_template.jinja", "{{ messages }}");
	CHECK(!read_in(&v, dir, config, &there, &e) && there);
	for (i = 0; i < 9; i++) {
		CHECK(want[i].s ? v.t.tokens[i].s && !strcmp(v.t.tokens[i].s, want[i].s)
				: !v.t.tokens[i].s);
		CHECK(v.t.tokens[i].type == want[i].type);
	}
	CHECK(v.special[VOCAB_BOS] == 0 && v.special[VOCAB_EOS] == 1 && v.special[VOCAB_UNK] == 5);
	CHECK(v.special[VOCAB_PAD] == -1 && v.special[VOCAB_CLS] == -1);
	CHECK(v.t.add_bos == 0 && v.t.add_eos == 0); /* the post-processor is heard first */
	CHECK(v.chat.n == 14 && !memcmp(v.chat.s, "{{ messages }}", 14));
	vocab_free(&v);
	json_object_set_new(config, "unk_token_id", json_integer(9));
	CHECK(read_in(&v, dir, config, &there, &e) && !strcmp(e.rule, "tokens.tokenizer"));
	close(dir);
	json_decref(config);
}

static void none(void)
{
	int dir = open_dir();
	struct vocab v;
	struct err e = { 0 };
	bool there = true;

	CHECK(!read_in(&v, dir, NULL, &there, &e) && !there && !v.t.tokens);
	there = true;
	put(dir, TOKENIZER_JSON, "{}");
	CHECK(!read_in(&v, dir, NULL, &there, &e) && !there && !v.t.tokens);
	close(dir);
}

/* --- what is written --- */

struct seen {
	unsigned keys, tokens, types, merges;
	char last[32];
};

static int look(void *ctx, struct gguf *g, const struct gguf_value *v, struct err *e)
{
	struct seen *s = ctx;
	struct gguf_value x;

	(void)e;
	s->keys++;
	while (v->type == GGUF_ARRAY && gguf_item(g, &x) == 1) {
		s->tokens += !strcmp(g->key.s, "tokenizer.ggml.tokens");
		s->merges += !strcmp(g->key.s, "tokenizer.ggml.merges");
		s->types += !strcmp(g->key.s, "tokenizer.ggml.token_type") ? (unsigned)x.i : 0;
		if (x.type == GGUF_STRING && !strcmp(g->key.s, "tokenizer.ggml.tokens"))
			snprintf(s->last, sizeof s->last, "%.*s", (int)x.n, x.s);
	}
	if (!strcmp(g->key.s, "tokenizer.ggml.pre"))
		CHECK(v->n == strlen(TOKENIZER_PRE) && !memcmp(v->s, TOKENIZER_PRE, v->n));
	return 0;
}

static void written(void)
{
	int dir = open_dir(), fd;
	struct gguf_out o = { 0 };
	struct gguf_file f;
	struct arena arena = { 0 };
	struct text t = { 0 };
	struct seen s = { 0 };
	struct vocab v;
	struct err e = { 0 };
	struct stat st;
	bool there;

	put(dir, TOKENIZER_JSON, GOOD);
	put(dir, "tokenizer_config.json",
		"{'bos_token':'<｜b｜>','eos_token':'<|e|>','chat_template':'x'}");
	CHECK(!read_in(&v, dir, NULL, &there, &e));
	vocab_put(&v, &o);
	gguf_write_head(&o, &t);
	CHECK(!file_put(io_posix(), dir, "x.gguf", t.s, t.n, &e));
	CHECK(!file_open(io_posix(), dir, "x.gguf", &fd, &st, &e));
	CHECK(!gguf_file_read(&f, io_posix(), fd, t.n, look, &s, &arena, &e));
	/* model, pre, tokens, types, merges, bos, eos, add_bos, add_eos, template */
	CHECK(s.keys == 10 && s.tokens == 9 && s.merges == 1 &&
		s.types == 3 + 3 + 4 + 4 * 1 + 2 * 5);
	CHECK(!strcmp(s.last, "[PAD8]"));
	close(fd);
	gguf_file_free(&f);
	gguf_out_free(&o);
	arena_free(&arena);
	text_free(&t);
	vocab_free(&v);
	memset(&v, 0, sizeof v);
	vocab_put(&v, &o);
	CHECK(o.n_pairs == 1);
	gguf_out_free(&o);
	close(dir);
}

/* A snapshot of the hub's cache has links to files that are named by their own digests. */
static void through_links(void)
{
	const struct path folder = dirs_path("links");
	char line[1400];
	struct err e = { 0 };
	struct vocab v;
	int dir = -1, in = -1;
	bool there;

	CHECK(!mkdir(folder.s, 0777) && !file_open_dir(io_posix(), folder.s, &dir, &e));
	put(dir, "file", GOOD);
	snprintf(line, sizeof line,
		"cd %s && mkdir -p s/snapshots/abc s/blobs && h=$(sha256sum file | cut -c-64) && "
		"cp file s/blobs/$h && ln -s ../../blobs/$h s/snapshots/abc/" TOKENIZER_JSON,
		folder.s);
	CHECK(!system(line));
	CHECK(!file_open_below(io_posix(), dir, "s/snapshots/abc", &in, &e));
	CHECK(!read_in(&v, in, NULL, &there, &e) && there && v.t.n_merges == 1);
	vocab_free(&v);
	snprintf(line, sizeof line, "cd %s && echo >>$(echo s/blobs/*)", folder.s);
	CHECK(!system(line));
	CHECK(read_in(&v, in, NULL, &there, &e) && e.rule && !strcmp(e.rule, "source.blob"));
	e = (struct err){ 0 };
	snprintf(line, sizeof line, "cd %s && ln -sf ../../../file s/snapshots/abc/" TOKENIZER_JSON,
		folder.s);
	CHECK(!system(line));
	CHECK(read_in(&v, in, NULL, &there, &e) && e.rule && !strcmp(e.rule, "file.symlink"));
	close(in);
	close(dir);
}

static const struct test tests[] = {
	{ "through_links", through_links },
	{ "taken_and_refused", taken_and_refused },
	{ "good", good },
	{ "none", none },
	{ "written", written },
	{ NULL, NULL },
};
TEST_MAIN(tests)
