/* test_core.c -- what every other part stands on: errors, text, sizes, arenas, options, threads.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cli/cli.h"
#include "core/cli/value.h"
#include "core/cpu.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/near.h"
#include "core/par.h"
#include "core/text.h"
#include "core/hash/xxh.h"
#include "tests/check.h"

#include <errno.h>
#include <stdatomic.h>

static void err_first_wins(void)
{
	struct err e = { .kind = ERR_NONE };
	char long_text[2000];

	CHECK(err_at(&e, "nowhere") == -1 && e.kind == ERR_NONE);
	CHECK(err_rule(&e, RULE_ST_TRAILING, 7, "x is %d", 5) == -1);
	CHECK(err_set(&e, ERR_USAGE, "second") == -1);
	CHECK(e.kind == ERR_DATA && !strcmp(e.rule, "st.trailing") && e.pos == 7 &&
		!strcmp(e.text, "x is 5"));
	err_at(&e, "shard %d", 3);
	CHECK(!strcmp(e.text, "shard 3: x is 5"));
	CHECK(err_set(NULL, ERR_DATA, "nobody listens") == -1);
	memset(long_text, 'y', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = 0;
	memset(&e, 0, sizeof e);
	err_set(&e, ERR_DATA, "%s", long_text);
	err_at(&e, "%s", long_text);
	CHECK(strlen(e.text) < sizeof e.text);
	memset(&e, 0, sizeof e);
	errno = ENOSPC;
	err_sys(&e, "write");
	CHECK(!strcmp(e.text, "write: No space left on device") && err_exit_code(&e) == 2);
}

/* Kind, rule and place stay as they were; the first report wins here too. */
static void err_moves(void)
{
	struct err e = { 0 }, from = { 0 };

	CHECK(!err_move(&e, &from) && e.kind == ERR_NONE);
	err_rule(&from, RULE_FILE_SHORT, 9, "one");
	err_blame(&from, BLAME_SOURCE);
	CHECK(err_blame(&from, BLAME_OUTPUT) == -1 && from.blame == BLAME_SOURCE);
	CHECK(err_move(&e, &from) == -1 && from.kind == ERR_NONE && !from.rule);
	CHECK(e.kind == ERR_DATA && !strcmp(e.rule, "file.short") && e.pos == 9 &&
		!strcmp(e.text, "one") && e.blame == BLAME_SOURCE);
	err_rule(&from, RULE_PLAN_SPLIT, 1, "two");
	CHECK(from.blame == BLAME_CALL);
	CHECK(err_move(&e, &from) == -1 && !strcmp(e.text, "one") && from.kind == ERR_NONE);
	err_rule(&from, RULE_PLAN_SPLIT, 1, "two");
	CHECK(err_move(NULL, &from) == -1 && from.kind == ERR_NONE);
	CHECK(err_blame(&from, BLAME_SOURCE) == -1 && from.blame == BLAME_NOBODY);
}

/* What a file of the call breaks is no verdict; what the machine says stays as it is. */
static void err_of_calls(void)
{
	struct err e = { 0 };

	CHECK(err_of_call(&e, "--recipe") == -1 && e.kind == ERR_NONE);
	err_rule(&e, RULE_FILE_SHORT, 9, "f: one");
	CHECK(err_of_call(&e, "--recipe") == -1 && e.kind == ERR_USAGE && !e.rule &&
		err_exit_code(&e) == 2 && !strcmp(e.text, "--recipe: f: one (file.short)"));
	e = (struct err){ 0 };
	err_set(&e, ERR_SYSTEM, "two");
	CHECK(err_of_call(&e, "--recipe") == -1 && e.kind == ERR_SYSTEM && !strcmp(e.text, "two"));
	CHECK(err_of_call(NULL, "--recipe") == -1);
}

/* Every row has what a reader of it needs; the enum and the table go together. */
static void rule_rows(void)
{
	size_t i, n = 0;

	for (i = 0; rules[i].id; i++, n++)
		CHECK_IN(rules[i].id,
			rule_find(rules[i].id) == &rules[i] && *rules[i].text && *rules[i].remedy);
	CHECK(n == RULE_COUNT && !rules[RULE_COUNT].id);
	CHECK(!strcmp(rules[RULE_CHECK_NO_DIGEST].id, "check.no-digest"));
	CHECK(!rule_find("no.rule") && !rule_find(NULL));
}

static void err_exit_codes(void)
{
	static const struct {
		enum err_kind kind;
		int code;
	} row[] = { { ERR_NONE, 0 }, { ERR_DATA, 1 }, { ERR_MISMATCH, 1 }, { ERR_UNSUPPORTED, 2 },
		{ ERR_USAGE, 2 }, { ERR_SYSTEM, 2 } };
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++)
		CHECK(err_exit_code(&(struct err){ .kind = row[i].kind }) == row[i].code);
}

static void mem_never_wraps(void)
{
	uint64_t r;
	size_t cap = 0;
	int *v = NULL;

	CHECK(mem_mul(UINT64_MAX, 1, &r) && r == UINT64_MAX);
	CHECK(!mem_mul((uint64_t)1 << 63, 2, &r) && !mem_add(UINT64_MAX, 1, &r));
	CHECK(mem_ceil_div(UINT64_MAX, 2) == (uint64_t)1 << 63 && mem_ceil_div(0, 128) == 0);
	CHECK(mem_grow(&v, &cap, SIZE_MAX / 2, 8) == -1 && !v && !cap);
	CHECK(!mem_grow(&v, &cap, 17, sizeof *v) && cap >= 17);
	free(v);
}

static void arena_keeps(void)
{
	struct arena a = { 0 };
	char *s[1000];
	char want[300];
	size_t n;
	int i;

	for (i = 0; i < 1000; i++) {
		n = (size_t)snprintf(want, sizeof want, "%d%*s", i, i % 200, "");
		s[i] = arena_strndup(&a, want, n);
		CHECK(s[i] && (uintptr_t)s[i] % 8 == 0);
	}
	for (i = 0; i < 1000; i++) {
		snprintf(want, sizeof want, "%d%*s", i, i % 200, "");
		CHECK(!strcmp(s[i], want));
	}
	CHECK(arena_alloc(&a, 10 << 20) && a.total > 10 << 20);
	CHECK(!arena_alloc(&a, SIZE_MAX) && !arena_strndup(&a, "x", SIZE_MAX));
	arena_free(&a);
	CHECK(!a.blocks && !a.total);
}

static void text_quotes(void)
{
	static const struct {
		const char *in, *out;
	} row[] = { { "layers.0.w", "layers.0.w" }, { "a\nb", "a\\x0ab" },
		{ "a\"b\\", "a\\x22b\\x5c" }, { "\033[31m", "\\x1b[31m" },
		{ "\xff\xc0\xaf", "\\xff\\xc0\\xaf" },
		{ "\xc3\xa9\xe2\x82\xac", "\xc3\xa9\xe2\x82\xac" },
		{ "\xe2\x80\xae", "\\xe2\\x80\\xae" }, /* right-to-left override */
		{ "\xe2\x80\xa8", "\\xe2\\x80\\xa8" }, /* line separator */
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" }, /* half a surrogate pair */
		{ "\xc2\x9b", "\\xc2\\x9b" },          /* C1 control */
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" } };
	char big[1000];
	size_t i;

	for (i = 0; i < sizeof row / sizeof *row; i++)
		CHECK_IN(row[i].out, !strcmp(text_quote(row[i].in).s, row[i].out));
	memset(big, 'x', sizeof big);
	big[sizeof big - 1] = 0;
	CHECK(!strcmp(text_quote(big).s + strlen(text_quote(big).s) - 3, "..."));
	/* Any bytes at all: printable ASCII or valid UTF-8 comes out, in bounds. */
	for (i = 0; i < 20000; i++) {
		struct text_quoted q;
		size_t n = rnd(60), k;

		rnd_bytes(big, n);
		q = text_quote_n(big, n);
		CHECK(strlen(q.s) < sizeof q.s);
		for (k = 0; q.s[k]; k += text_utf8((unsigned char *)q.s + k, strlen(q.s + k)))
			if (!text_utf8((unsigned char *)q.s + k, strlen(q.s + k)) ||
				(unsigned char)q.s[k] < 0x20) {
				FAILED("printable");
				break;
			}
	}
}

static void text_numbers(void)
{
	CHECK(text_ends("a.scale", ".scale") && text_ends(".scale", ".scale") &&
		text_ends("a", ""));
	CHECK(!text_ends("scale", ".scale") && !text_ends("a.scales", ".scale") &&
		!text_ends("", ".scale") && !text_ends("a.SCALE", ".scale"));
	CHECK(text_stem("a.scale", ".scale") == 1 && text_stem(".scale", ".scale") == 0 &&
		text_stem("scale", ".scale") == 0 && text_stem("abc", "") == 3);
	CHECK(!strcmp(text_thousands(0).s, "0") && !strcmp(text_thousands(1000).s, "1,000"));
	CHECK(!strcmp(text_thousands(159609485896).s, "159,609,485,896"));
	CHECK(!strcmp(text_thousands(UINT64_MAX).s, "18,446,744,073,709,551,615"));
	CHECK(!strcmp(text_bytes(999).s, "999 B") && !strcmp(text_bytes(1234567).s, "1.23 MB"));
	CHECK(!strcmp(text_bytes(159609485896).s, "160 GB") &&
		!strcmp(text_bytes(12345).s, "12.3 kB"));
}

static void text_grows(void)
{
	struct text t = { 0 };
	char want[3000];
	int i;

	memset(want, 'z', sizeof want - 1);
	want[sizeof want - 1] = 0;
	for (i = 0; i < 100; i++)
		text_fmt(&t, "%s", want);
	CHECK(!t.failed && t.n == 100 * (sizeof want - 1) && strlen(t.s) == t.n);
	text_free(&t);
	t.failed = true;
	text_str(&t, "dropped");
	CHECK(!t.n);
	text_free(&t);
}

static void hex_both_ways(void)
{
	uint8_t in[32], out[32];
	char hex[65];
	int i;

	for (i = 0; i < 100; i++) {
		rnd_bytes(in, sizeof in);
		hex_of(in, sizeof in, hex);
		CHECK(strlen(hex) == 64 && hex_to(hex, out, 32) && !memcmp(in, out, 32));
		hex[rnd(64)] = "gG /:@`\x10"[rnd(8)];
		CHECK(!hex_to(hex, out, 32));
	}
	CHECK(!hex_to("abc", out, 2) && hex_to("AbCd", out, 2) && out[0] == 0xab && out[1] == 0xcd);
}

/* --- options --- */

struct opts {
	bool flag;
	const char *text, *word;
	uint64_t number, size, threads;
};

static int ran;
static struct opts got;
static int got_args;

static int run_cmd(void *o, int n, char **args, struct err *e)
{
	(void)args;
	ran++;
	got = *(struct opts *)o;
	got_args = n;
	return got.flag ? err_set(e, ERR_DATA, "asked for") : 0;
}

static void no_defaults(void *o)
{
	(void)o;
}

static void no_version(struct text *out, bool json)
{
	(void)out, (void)json;
}

static const struct cli_opt table[] = { { "flag", 'f', NULL, CLI_FLAG, 0, 0,
						offsetof(struct opts, flag), "fail" },
	{ "text", 0, "T", CLI_TEXT, 0, 0, offsetof(struct opts, text), "any" },
	{ "word", 'w', "one|two", CLI_CHOICE, 0, 0, offsetof(struct opts, word), "one of" },
	{ "number", 'n', "N", CLI_NUMBER, 1, 99, offsetof(struct opts, number), "1..99" },
	{ "size", 0, "S", CLI_SIZE, 1, UINT64_MAX, offsetof(struct opts, size), "bytes" },
	{ "threads", 'j', "N", CLI_THREADS, 0, 500, offsetof(struct opts, threads), "threads" },
	{ 0 } };
static const struct cli_cmd cmds[] = { { "do", "A", "does", NULL, table, 1, 2, run_cmd }, { 0 } };
static const struct cli_tool tool = { .name = "t",
	.help = "test",
	.cmds = cmds,
	.opts_size = sizeof(struct opts),
	.defaults = no_defaults,
	.version = no_version,
	.exit_text = "" };

/* Runs with stdout and stderr thrown away. */
static int call(const char *line)
{
	char copy[256], *argv[16];
	int argc = 0, rc, out = dup(1), err = dup(2);
	FILE *f;

	snprintf(copy, sizeof copy, "t %s", line);
	for (argv[argc] = strtok(copy, " "); argv[argc]; argv[argc] = strtok(NULL, " "))
		argc++;
	fflush(NULL);
	f = freopen("/dev/null", "w", stdout);
	f = f ? freopen("/dev/null", "w", stderr) : NULL;
	ran = 0;
	memset(&got, 0, sizeof got);
	rc = f ? cli_main(&tool, argc, argv) : 99;
	fflush(NULL);
	dup2(out, 1);
	dup2(err, 2);
	close(out);
	close(err);
	return rc;
}

static void cli_parses(void)
{
	static const struct {
		const char *line;
		int rc;
	} bad[] = { { "", 2 }, { "nosuch", 2 }, { "do", 2 }, { "do a b c", 2 },
		{ "do a --nosuch", 2 }, { "do a --number", 2 }, { "do a -n 0", 2 },
		{ "do a -n 100", 2 }, { "do a -n 8x", 2 }, { "do a -n -1", 2 },
		{ "do a -n 18446744073709551617", 2 }, { "do a -w three", 2 }, { "do a -w on", 2 },
		{ "do a --size 99999999999G", 2 }, { "do a --size M", 2 }, { "do a --flag=1", 2 },
		{ "help nosuch", 2 }, { "do a -f", 1 } };
	size_t i;

	for (i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK_IN(bad[i].line, call(bad[i].line) == bad[i].rc);
	CHECK(call("do a -n 8 --size=128M -w two --text x b") == 0 && ran == 1 && got_args == 2);
	CHECK(got.number == 8 && got.size == 128u << 20 && !got.flag);
	CHECK(call("do a -n8") == 0 && got.number == 8 && call("do a -n=9") == 0 &&
		got.number == 9);
	CHECK(call("do a -n8x") == 2 && call("do a -fx") == 2);
	CHECK(call("do a -fn8") == 1 && got.flag && got.number == 8);
	CHECK(call("do a -fn 8") == 1 && got.flag && got.number == 8);
	CHECK(call("do a -fx") == 2 && call("do a -fn") == 2 && call("do a -ffn8x") == 2);
	CHECK(call("do a -@3") == 0 && got.threads == 3 && call("do a -j 4") == 0 &&
		got.threads == 4);
	CHECK(call("do a -j0") == 0 && got.threads == cpu_count() && call("do a") == 0 &&
		got.threads == cpu_count());
	CHECK(call("do a -j501") == 2 && call("do a -@ -1") == 2);
	CHECK(call("do -- -a") == 0 && got_args == 1);
	CHECK(call("help") == 0 && call("--help") == 0 && call("do -h") == 0 &&
		call("version") == 0 && call("do -V") == 0 && call("-V") == 0 && ran == 0);
	CHECK(call("do -fh") == 0 && call("do -fV") == 0 && ran == 0);
}

static void cli_sizes(void)
{
	static const struct {
		const char *s;
		uint64_t v;
	} good[] = { { "1", 1 }, { "7b", 7 }, { "2k", 2048 }, { "2K", 2048 }, { "2KB", 2000 },
		{ "2kb", 2000 }, { "2KiB", 2048 }, { "64M", 64 << 20 }, { "64MB", 64000000 },
		{ "64MiB", 64 << 20 }, { "1g", 1 << 30 }, { "3GB", 3000000000 },
		{ "1T", (uint64_t)1 << 40 }, { "1PB", 1000000000000000 },
		{ "16383P", (uint64_t)16383 << 50 } };
	static const char *const bad[] = { "", "M", "1.5G", "-1", " 1", "1 M", "1MM", "1iB", "1Mi",
		"1E", "1MBs", "16384P", "18446744073709551616", "0x10" };
	uint64_t v = 0;
	struct err e;
	size_t i;

	for (i = 0; i < sizeof good / sizeof *good; i++)
		CHECK_IN(good[i].s,
			!cli_size(good[i].s, 1, UINT64_MAX, &v, NULL) && v == good[i].v);
	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		memset(&e, 0, sizeof e);
		CHECK_IN(bad[i], cli_size(bad[i], 0, UINT64_MAX, &v, &e) && e.kind == ERR_USAGE);
	}
	CHECK(cli_size("1K", 1, 1023, &v, NULL) && cli_size("1K", 1025, 9999, &v, NULL));
}

/* --- the word that was meant --- */

static void near_words(void)
{
	static const char *const words[] = { "check", "compare", "sign", "signature", "replay",
		"record", "fp4", "fp8" };
	static const struct {
		const char *typed, *meant;
	} rows[] = { { "chek", "check" }, { "cehck", "check" }, { "checks", "check" },
		{ "chexk", "check" }, { "sig", "sign" }, { "signatur", "signature" },
		{ "reply", "replay" }, { "fp16", NULL }, { "bf16", NULL }, { "x", NULL },
		{ "", NULL }, { "nosuch", NULL }, { "restore", NULL }, { "compare", "compare" } };
	size_t i, k;

	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct near n = { .typed = rows[i].typed };

		for (k = 0; k < sizeof words / sizeof *words; k++)
			near_try(&n, words[k]);
		CHECK_IN(rows[i].typed,
			rows[i].meant ? n.word && !strcmp(n.word, rows[i].meant) : !n.word);
	}
}

/* --- threads --- */

static atomic_int at, after;

static int some_fail(struct par *p, unsigned me, struct err *e)
{
	int i;

	(void)me;
	CHECK(par_ctx(p) == &at);
	while ((i = atomic_fetch_add(&at, 1)) < 100000 && !par_stopping(p)) {
		if (i == 50)
			return err_set(e, ERR_DATA, "item 50");
		if (i > 90000)
			atomic_fetch_add(&after, 1);
	}
	return 0;
}

static void par_stops(void)
{
	unsigned n;
	struct err e;

	for (n = 1; n <= 8; n++) {
		memset(&e, 0, sizeof e);
		at = after = 0;
		CHECK(par_run(n, some_fail, &at, &e) == -1 && !strcmp(e.text, "item 50"));
	}
}

static const struct test tests[] = { { "err_first_wins", err_first_wins },
	{ "err_exit_codes", err_exit_codes }, { "err_moves", err_moves },
	{ "err_of_calls", err_of_calls }, { "rule_rows", rule_rows },
	{ "mem_never_wraps", mem_never_wraps }, { "arena_keeps", arena_keeps },
	{ "text_quotes", text_quotes }, { "text_numbers", text_numbers },
	{ "text_grows", text_grows }, { "hex_both_ways", hex_both_ways },
	{ "cli_parses", cli_parses }, { "cli_sizes", cli_sizes }, { "near_words", near_words },
	{ "par_stops", par_stops }, { 0 } };
TEST_MAIN(tests)
