/* SPDX-License-Identifier: MIT */
#include "core/cli/parse.h"

#include "core/cli/value.h"
#include "core/cpu.h"
#include "core/near.h"
#include "core/text.h"

#include <stdio.h>
#include <string.h>

/* --- what is not known --- */

/* Appends words to a message of bounded length. */
struct list {
	char s[400];
	size_t n;
};

static void put(struct list *l, const char *before, const char *word)
{
	int n = snprintf(l->s + l->n, sizeof l->s - l->n, "%s%s%s", l->n ? " " : "", before, word);

	if (n > 0 && (size_t)n < sizeof l->s - l->n)
		l->n += (size_t)n;
	else
		l->s[l->n] = 0;
}

const struct cli_cmd *parse_verb(const struct cli_tool *t, const char *name)
{
	const struct cli_cmd *c;

	for (c = t->cmds; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

int parse_no_verb(const struct cli_tool *t, const char *name, struct err *e)
{
	static const char *const own[] = { "help", "version" };
	struct near near = { .typed = name };
	struct list l = { .n = 0 };
	const struct cli_cmd *c;
	int i;

	for (c = t->cmds; c->name; c++) {
		near_try(&near, c->name);
		put(&l, "", c->name);
	}
	for (i = 0; i < 2; i++) {
		near_try(&near, own[i]);
		put(&l, "", own[i]);
	}
	return err_set(e, ERR_USAGE, "no command %s.%s%s%s There are: %s", text_quote(name).s,
		near.word ? " Did you mean " : "", near.word ? near.word : "", near.word ? "?" : "",
		l.s);
}

static const struct cli_opt *find_long(const struct cli_cmd *c, const char *name, size_t n)
{
	const struct cli_opt *o;

	for (o = c->opts; o && o->name; o++)
		if (strlen(o->name) == n && !memcmp(o->name, name, n))
			return o;
	return NULL;
}

static const struct cli_opt *find_short(const struct cli_cmd *c, char letter)
{
	const struct cli_opt *o;

	for (o = c->opts; o && o->name; o++)
		if (o->letter == letter || (letter == '@' && o->kind == CLI_THREADS))
			return o;
	return NULL;
}

/* An option of other verbs: says of which. Else the options that there are, and the nearest of them. */
static int no_option(const struct cli_tool *t, const struct cli_cmd *c, const char *arg, size_t n,
	struct err *e)
{
	struct near near = { .typed = arg + 2 };
	struct list verbs = { .n = 0 }, known = { .n = 0 };
	const struct cli_cmd *other;
	const struct cli_opt *o;
	char name[64];

	snprintf(name, sizeof name, "%.*s", (int)(n < 60 ? n : 60), arg);
	near.typed = arg[1] == '-' ? name + 2 : "";
	for (other = t->cmds; other->name; other++)
		if (arg[1] == '-' ? find_long(other, name + 2, strlen(name) - 2)
				  : find_short(other, arg[1]))
			put(&verbs, "", other->name);
	for (o = c->opts; o && o->name; o++) {
		near_try(&near, o->name);
		put(&known, "--", o->name);
	}
	if (verbs.n)
		return err_set(e, ERR_USAGE, "no option %s here; it belongs to: %s",
			text_quote(name).s, verbs.s);
	return err_set(e, ERR_USAGE, "no option %s.%s%s%s There are: %s", text_quote(name).s,
		near.word ? " Did you mean --" : "", near.word ? near.word : "",
		near.word ? "?" : "", known.n ? known.s : "none");
}

/* --- parsing --- */

struct parser {
	const struct cli_tool *t;
	const struct cli_cmd *c;
	int argc, i; /* i: the word that is looked at */
	char **argv;
	void *opts;
	enum parsed *what;
	struct err *e;
};

/* The value of o: what stands behind it in the same word (NULL: nothing), else the next word. */
static int take(struct parser *p, const struct cli_opt *o, const char *value)
{
	if (o->kind != CLI_FLAG && !value && p->i + 1 < p->argc)
		value = p->argv[++p->i];
	if (o->kind != CLI_FLAG && !value)
		return err_set(p->e, ERR_USAGE, "--%s needs a value: %s", o->name, o->arg);
	return cli_set(o, value, p->opts, p->e) ? err_at(p->e, "--%s", o->name) : 0;
}

static int take_long(struct parser *p, const char *arg)
{
	size_t n = strcspn(arg, "=");
	const struct cli_opt *o = find_long(p->c, arg + 2, n - 2);

	if (!strcmp(arg, "--help") || !strcmp(arg, "--version")) {
		*p->what = arg[2] == 'h' ? PARSED_HELP : PARSED_VERSION;
		return 0;
	}
	if (!o)
		return no_option(p->t, p->c, arg, n, p->e);
	if (o->kind == CLI_FLAG && arg[n])
		return err_set(p->e, ERR_USAGE, "--%s takes no value", o->name);
	return take(p, o, arg[n] ? arg + n + 1 : NULL);
}

static int take_short(struct parser *p, const char *arg)
{
	const struct cli_opt *o;
	const char *s;

	for (s = arg + 1; *s; s++) {
		o = find_short(p->c, *s);
		if (!o && (*s == 'h' || *s == 'V')) {
			*p->what = *s == 'h' ? PARSED_HELP : PARSED_VERSION;
			return 0;
		}
		if (!o)
			return no_option(p->t, p->c, (char[]){ '-', *s, 0 }, 2, p->e);
		if (o->kind != CLI_FLAG)
			return take(p, o, s[1] ? s + 1 + (s[1] == '=') : NULL);
		if (take(p, o, NULL))
			return -1;
	}
	return 0;
}

/* Puts the number of processors where none was said. */
static void settle_threads(const struct parser *p)
{
	const struct cli_opt *o;
	uint64_t n;

	for (o = p->c->opts; o && o->name; o++) {
		if (o->kind != CLI_THREADS)
			continue;
		memcpy(&n, (char *)p->opts + o->at, sizeof n);
		n = n ? n : cpu_count();
		n = n < o->max ? n : o->max;
		memcpy((char *)p->opts + o->at, &n, sizeof n);
	}
}

int parse_options(const struct cli_tool *t, const struct cli_cmd *c, int argc, char **argv,
	void *opts, enum parsed *what, struct err *e)
{
	struct parser p = { t, c, argc, 0, argv, opts, what, e };
	bool only_args = false;
	int out = 0;

	*what = PARSED_CALL;
	for (; p.i < argc && *what == PARSED_CALL; p.i++) {
		char *arg = argv[p.i];

		if (only_args || arg[0] != '-' || !arg[1])
			argv[out++] = arg;
		else if (!strcmp(arg, "--"))
			only_args = true;
		else if (arg[1] == '-' ? take_long(&p, arg) : take_short(&p, arg))
			return -1;
	}
	settle_threads(&p);
	if (*what != PARSED_CALL)
		return out;
	if (out < c->min_args)
		return err_set(e, ERR_USAGE, "too few arguments: it takes %s", c->args);
	if (out > c->max_args)
		return err_set(e, ERR_USAGE, "%s is one argument too many: it takes %s",
			text_quote(argv[c->max_args]).s, *c->args ? c->args : "none");
	return out;
}
