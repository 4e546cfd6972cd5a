/* SPDX-License-Identifier: MIT */
#include "core/cli/cli.h"

#include "core/cli/manual.h"
#include "core/mem.h"
#include "core/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int cli_number(const char *s, uint64_t min, uint64_t max, uint64_t *v, struct err *e)
{
	uint64_t n = 0;
	const char *p;

	for (p = s; *p >= '0' && *p <= '9'; p++)
		if (!mem_mul(n, 10, &n) || !mem_add(n, (uint64_t)(*p - '0'), &n))
			break;
	if (p == s || *p || n < min || n > max)
		return err_set(e, ERR_USAGE, "\"%s\" is not a number from %llu to %llu",
			text_quote(s).s, (unsigned long long)min, (unsigned long long)max);
	*v = n;
	return 0;
}

static int parse_size(const char *s, uint64_t min, uint64_t max, uint64_t *v, struct err *e)
{
	static const char suffix[] = "KMG";
	char digits[32];
	size_t n = strlen(s);
	const char *u = n ? strchr(suffix, s[n - 1]) : NULL;
	uint64_t unit = u ? (uint64_t)1 << (10 * (u - suffix + 1)) : 1;

	if (n - (u != NULL) < sizeof digits && n > 0) {
		memcpy(digits, s, n - (u != NULL));
		digits[n - (u != NULL)] = 0;
		if (!cli_number(digits, 0, UINT64_MAX / unit, v, NULL)) {
			*v *= unit;
			if (*v >= min && *v <= max)
				return 0;
		}
	}
	return err_set(e, ERR_USAGE,
		"\"%s\" is not a size from %llu to %llu bytes (such as 128M or 2G)",
		text_quote(s).s, (unsigned long long)min, (unsigned long long)max);
}

static int parse_choice(const struct cli_opt *o, const char *s, const char **v, struct err *e)
{
	const char *p = o->arg, *end;
	size_t n = strlen(s);

	for (; *p; p = *end ? end + 1 : end) {
		end = p + strcspn(p, "|");
		if ((size_t)(end - p) == n && !memcmp(p, s, n)) {
			*v = s;
			return 0;
		}
	}
	return err_set(e, ERR_USAGE, "\"%s\" is none of %s", text_quote(s).s, o->arg);
}

static int set(const struct cli_opt *o, const char *value, void *opts, struct err *e)
{
	char *at = (char *)opts + o->at;
	uint64_t n = 0;
	const char *s = value;
	bool yes = true;

	switch (o->kind) {
	case CLI_FLAG:
		memcpy(at, &yes, sizeof yes);
		return 0;
	case CLI_TEXT:
		memcpy(at, &s, sizeof s);
		return 0;
	case CLI_CHOICE:
		if (parse_choice(o, value, &s, e))
			return -1;
		memcpy(at, &s, sizeof s);
		return 0;
	case CLI_NUMBER:
		if (cli_number(value, o->min, o->max, &n, e))
			return -1;
		break;
	case CLI_SIZE:
		if (parse_size(value, o->min, o->max, &n, e))
			return -1;
		break;
	}
	memcpy(at, &n, sizeof n);
	return 0;
}

static const struct cli_opt *find_opt(const struct cli_cmd *c, const char *arg, size_t n)
{
	const struct cli_opt *o;

	for (o = c->opts; o && o->name; o++) {
		if (arg[1] == '-' && strlen(o->name) == n - 2 && !memcmp(o->name, arg + 2, n - 2))
			return o;
		if (arg[1] != '-' && n == 2 && o->letter == arg[1])
			return o;
	}
	return NULL;
}

/* Of --name=value and of -xvalue what stands before the value. */
static size_t name_length(const char *arg)
{
	return arg[1] == '-' ? strcspn(arg, "=") : 2;
}

/* Fills opts and moves the positional arguments to the front. Returns their number or -1. */
static int parse(const struct cli_cmd *c, int argc, char **argv, void *opts, bool *help,
	struct err *e)
{
	const struct cli_opt *o;
	const char *value;
	size_t n;
	int i, out = 0;
	bool only_args = false;

	for (i = 0; i < argc; i++) {
		if (only_args || argv[i][0] != '-' || !argv[i][1]) {
			argv[out++] = argv[i];
			continue;
		}
		if (!strcmp(argv[i], "--")) {
			only_args = true;
			continue;
		}
		if (!strcmp(argv[i], "-h") || !strcmp(argv[i], "--help")) {
			*help = true;
			return 0;
		}
		n = name_length(argv[i]);
		o = find_opt(c, argv[i], n);
		if (!o)
			return err_set(e, ERR_USAGE, "no option %s", text_quote_n(argv[i], n).s);
		value = argv[i][n] ? argv[i] + n + (argv[i][n] == '=') : NULL;
		if (o->kind == CLI_FLAG && value)
			return err_set(e, ERR_USAGE, "--%s takes no value", o->name);
		if (o->kind != CLI_FLAG && !value && ++i < argc)
			value = argv[i];
		if (o->kind != CLI_FLAG && !value)
			return err_set(e, ERR_USAGE, "--%s needs a value", o->name);
		if (set(o, value, opts, e))
			return err_at(e, "--%s", o->name);
	}
	if (out < c->min_args)
		return err_set(e, ERR_USAGE, "too few arguments");
	if (out > c->max_args)
		return err_set(e, ERR_USAGE, "what is %s for?", text_quote(argv[c->max_args]).s);
	return out;
}

static void usage_tool(const struct cli_tool *t, FILE *out)
{
	const struct cli_cmd *c;

	fprintf(out, "usage: %s COMMAND [ARGUMENTS]\n%s\n\n", t->name, t->help);
	for (c = t->cmds; c->name; c++)
		fprintf(out, "  %-10s %s\n", c->name, c->help);
	fprintf(out, "  %-10s %s\n  %-10s %s\n", "help", "explain a command", "version",
		"what was built, and which fast paths this machine has");
	fprintf(out, "\n%s", t->exit_text);
}

static void usage_line(const struct cli_tool *t, const struct cli_cmd *c, FILE *out)
{
	fprintf(out, "usage: %s %s %s%s\n", t->name, c->name, c->args, c->opts ? " [OPTIONS]" : "");
}

static void usage_cmd(const struct cli_tool *t, const struct cli_cmd *c, FILE *out)
{
	const struct cli_opt *o;
	char left[64];

	usage_line(t, c, out);
	fprintf(out, "%s\n", c->help);
	if (c->more)
		fprintf(out, "\n%s", c->more);
	if (c->opts)
		fprintf(out, "\n");
	for (o = c->opts; o && o->name; o++) {
		snprintf(left, sizeof left, "%c%c%s--%s%s%s", o->letter ? '-' : ' ',
			o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name,
			o->arg ? " " : "", o->arg ? o->arg : "");
		fprintf(out, "  %-28s %s\n", left, o->help);
	}
	fprintf(out, "\n%s", t->exit_text);
}

static const struct cli_cmd *find_cmd(const struct cli_tool *t, const char *name)
{
	const struct cli_cmd *c;

	for (c = t->cmds; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

static int run_cmd(const struct cli_tool *t, const struct cli_cmd *c, int argc, char **argv,
	struct err *e)
{
	void *opts = calloc(1, t->opts_size);
	bool help = false;
	int n, rc = -1;

	if (!opts)
		return err_nomem(e);
	t->defaults(opts);
	n = parse(c, argc, argv, opts, &help, e);
	if (help) {
		usage_cmd(t, c, stdout);
		rc = 0;
	} else if (n >= 0) {
		rc = c->run(opts, n, argv, e);
	}
	free(opts);
	return rc;
}

/* help --man and its like; false if arg is none of them. */
static bool put_manual(const struct cli_tool *t, const char *arg, struct err *e)
{
	const struct manual_form *f;
	struct text out = { 0 };

	for (f = manual_forms; f->option; f++) {
		if (strncmp(arg, "--", 2) || strcmp(arg + 2, f->option) != 0)
			continue;
		f->put(&out, t);
		if (out.failed)
			(void)err_nomem(e);
		else
			fwrite(out.s, 1, out.n, stdout);
		text_free(&out);
		return true;
	}
	return false;
}

/* "help", "version", and calls that name no command. True if the call was one of them. */
static bool run_own(const struct cli_tool *t, int argc, char **argv, struct err *e)
{
	const char *verb = argc > 1 ? argv[1] : NULL;

	if (!verb) {
		err_set(e, ERR_USAGE, "which command?");
	} else if (!strcmp(verb, "help") && argc > 2 && find_cmd(t, argv[2])) {
		usage_cmd(t, find_cmd(t, argv[2]), stdout);
	} else if (!strcmp(verb, "help") && argc > 2 && !strcmp(argv[2], "version")) {
		t->version(stdout);
	} else if (!strcmp(verb, "help") && argc > 2) {
		if (put_manual(t, argv[2], e))
			return true;
		err_set(e, ERR_USAGE, "no command %s", text_quote(argv[2]).s);
	} else if (!strcmp(verb, "help") || !strcmp(verb, "-h") || !strcmp(verb, "--help")) {
		usage_tool(t, stdout);
	} else if (!strcmp(verb, "version") || !strcmp(verb, "--version")) {
		t->version(stdout);
	} else if (!find_cmd(t, verb)) {
		err_set(e, ERR_USAGE, "no command %s", text_quote(verb).s);
	} else {
		return false;
	}
	return true;
}

const char *cli_word(int argc, char **argv, const char *name, bool flag)
{
	size_t n = strlen(name);
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strncmp(argv[i], "--", 2) != 0 || strncmp(argv[i] + 2, name, n) != 0)
			continue;
		if (!argv[i][2 + n])
			return flag ? "" : i + 1 < argc ? argv[i + 1] : NULL;
		if (argv[i][2 + n] == '=' && !flag)
			return argv[i] + 3 + n;
	}
	return NULL;
}

/* Runs the call, whose words the parser moves. Returns the verb that ran, or NULL. */
static const struct cli_cmd *run_call(const struct cli_tool *t, int argc, char **argv,
	struct err *e)
{
	const struct cli_cmd *c = NULL;
	char **words = calloc((size_t)argc + 1, sizeof *words);

	if (!words) {
		err_nomem(e);
		return NULL;
	}
	memcpy(words, argv, (size_t)argc * sizeof *words);
	if (!run_own(t, argc, words, e)) {
		c = find_cmd(t, argv[1]);
		run_cmd(t, c, argc - 2, words + 2, e);
	}
	free(words);
	if (e->kind != ERR_NONE && !e->told && t->failed)
		t->failed(&(struct cli_failure){ c ? c->name : NULL, argc, argv, e });
	return c;
}

int cli_main(const struct cli_tool *t, int argc, char **argv)
{
	struct err e = { .kind = ERR_NONE };
	const struct cli_cmd *c = run_call(t, argc, argv, &e);
	int status;

	if (fflush(stdout) || ferror(stdout)) {
		if (e.kind != ERR_NONE)
			fprintf(stderr, "%s: cannot write to stdout: %s\n", t->name,
				strerror(errno));
		else
			err_sys(&e, "cannot write to stdout");
	}
	status = err_exit_code(&e);
	if (e.kind == ERR_NONE)
		return status;
	fprintf(stderr, "%s%s%s: %s%s%s\n", t->name, c ? " " : "", c ? c->name : "",
		e.rule ? e.rule : "", e.rule ? ": " : "", e.text);
	if (e.kind == ERR_USAGE && e.rule)
		return status; /* the call was understood, what it asks for is not to be had */
	if (e.kind == ERR_USAGE && c)
		usage_line(t, c, stderr);
	else if (e.kind == ERR_USAGE)
		fprintf(stderr, "try: %s help\n", t->name);
	return status;
}
