/* SPDX-License-Identifier: MIT */
#include "core/cli/cli.h"

#include "core/cli/manual.h"
#include "core/cli/parse.h"
#include "core/cli/usage.h"
#include "core/cpu.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int cli_print(struct text *t, struct err *e)
{
	int rc = 0;

	if (t->failed)
		rc = err_nomem(e);
	else if (t->n)
		fwrite(t->s, 1, t->n, stdout);
	fflush(stdout); /* before stderr speaks; cli_main looks whether it went well */
	text_free(t);
	return rc;
}

void cli_note(struct text *t)
{
	if (!t->failed && t->n)
		fwrite(t->s, 1, t->n, stderr);
	text_free(t);
}

void cli_signals(void (*on)(int signal))
{
	struct sigaction act = { .sa_handler = on }, was;

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGUSR1, &act, NULL);
	if (!sigaction(SIGHUP, NULL, &was) && was.sa_handler != SIG_IGN)
		sigaction(SIGHUP, &act, NULL);
}

static int put_version(const struct cli_tool *t, bool json, struct err *e)
{
	struct text out = { 0 };

	t->version(&out, json);
	return cli_print(&out, e);
}

static int put_usage(const struct cli_tool *t, const struct cli_cmd *c, struct err *e)
{
	struct text out = { 0 };

	if (c)
		usage_of_verb(&out, t, c);
	else
		usage_of_tool(&out, t);
	return cli_print(&out, e);
}

/* Says of which folder or file the verb complains, where it has one and the message neither names it nor begins with an
 * option, which names another. */
static int name_subject(const struct cli_cmd *c, int n, char **args, struct err *e)
{
	if (c->max_args != 1 || n != 1 || e->kind == ERR_USAGE)
		return -1;
	if (!strncmp(e->text, "--", 2) || strstr(e->text, text_quote(args[0]).s))
		return -1;
	return err_at(e, "%s", text_quote(args[0]).s);
}

static int run_verb(const struct cli_tool *t, const struct cli_cmd *c, int argc, char **argv,
	struct err *e)
{
	void *opts = calloc(1, t->opts_size);
	enum parsed what;
	int n, rc = -1;

	if (!opts)
		return err_nomem(e);
	t->defaults(opts);
	n = parse_options(t, c, argc, argv, opts, &what, e);
	if (n >= 0 && what == PARSED_HELP)
		rc = put_usage(t, c, e);
	else if (n >= 0 && what == PARSED_VERSION)
		rc = put_version(t, false, e);
	else if (n >= 0)
		rc = c->run(opts, n, argv, e) ? name_subject(c, n, argv, e) : 0;
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
		(void)cli_print(&out, e);
		return true;
	}
	return false;
}

/* "help" and what stands behind it. */
static int run_help(const struct cli_tool *t, int argc, char **argv, struct err *e)
{
	const struct cli_cmd *c = argc > 2 ? parse_verb(t, argv[2]) : NULL;

	if (argc > 2 && !c && !strcmp(argv[2], "version"))
		return put_version(t, false, e);
	if (argc > 2 && !c && put_manual(t, argv[2], e))
		return 0;
	return argc > 2 && !c && strcmp(argv[2], "help") != 0 ? parse_no_verb(t, argv[2], e)
							      : put_usage(t, c, e);
}

static int run_version(const struct cli_tool *t, int argc, char **argv, struct err *e)
{
	bool json = argc > 2 && !strcmp(argv[2], "--json");

	if (argc > 2 + json)
		return err_set(e, ERR_USAGE, "version takes no %s; there is: --json",
			text_quote(argv[2 + json]).s);
	return put_version(t, json, e);
}

/* "help", "version", and calls that name no command. False if the call was none of them. */
static bool run_own(const struct cli_tool *t, int argc, char **argv, struct err *e)
{
	const char *verb = argc > 1 ? argv[1] : NULL;

	if (!verb)
		err_set(e, ERR_USAGE, "which command?");
	else if (cpu_check(e))
		(void)0;
	else if (!strcmp(verb, "help") || !strcmp(verb, "-h") || !strcmp(verb, "--help"))
		run_help(t, argc, argv, e);
	else if (!strcmp(verb, "version") || !strcmp(verb, "--version") || !strcmp(verb, "-V"))
		run_version(t, argc, argv, e);
	else if (!parse_verb(t, verb))
		parse_no_verb(t, verb, e);
	else
		return false;
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
		c = parse_verb(t, argv[1]);
		run_verb(t, c, argc - 2, words + 2, e);
	}
	free(words);
	if (e->kind != ERR_NONE && !e->told && t->failed)
		t->failed(&(struct cli_failure){ t->name, c ? c->name : NULL, argc, argv, e });
	return c;
}

/* What stderr says of a call that failed. */
static void tell(const struct cli_tool *t, const struct cli_cmd *c, const struct err *e)
{
	struct text usage = { 0 };

	fprintf(stderr, "%s%s%s: %s%s%s\n", t->name, c ? " " : "", c ? c->name : "",
		e->rule ? e->rule : "", e->rule ? ": " : "", e->text);
	if (e->kind != ERR_USAGE || e->rule)
		return; /* the call was understood: what it asks for is not to be had */
	if (!c) {
		fprintf(stderr, "try: %s help\n", t->name);
		return;
	}
	usage_line(&usage, t, c);
	if (!usage.failed)
		fputs(usage.s, stderr);
	text_free(&usage);
}

/* Whoever reads stdout has seen enough (head): no failure of this program. */
static bool reader_gone(void)
{
	struct pollfd p = { .fd = STDOUT_FILENO };

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP));
}

/* A limit on file sizes and a pipe without a reader are errors of the call that met them, which cleans up; the
 * signals would end the process with its temporary files in place. */
static void ignore_signals(void)
{
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
}

int cli_main(const struct cli_tool *t, int argc, char **argv)
{
	struct err e = { .kind = ERR_NONE };
	const struct cli_cmd *c;

	ignore_signals();
	c = run_call(t, argc, argv, &e);
	if ((fflush(stdout) || ferror(stdout)) && !reader_gone()) {
		if (e.kind != ERR_NONE)
			fprintf(stderr, "%s: cannot write to stdout: %s\n", t->name,
				strerror(errno));
		else
			err_sys(&e, "cannot write to stdout");
	}
	if (e.kind != ERR_NONE)
		tell(t, c, &e);
	return err_exit_code(&e);
}
