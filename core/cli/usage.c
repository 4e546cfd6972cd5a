/* SPDX-License-Identifier: MIT */
#include "core/cli/usage.h"

const struct cli_cmd usage_own[] = {
	{ .name = "help", .args = "[COMMAND]", .help = "explain a command" },
	{ .name = "version",
		.args = "[--json]",
		.help = "what was built, and which fast paths this machine has" },
	{ .name = NULL },
};

static void put_verbs(struct text *out, const struct cli_cmd *c)
{
	for (; c->name; c++)
		text_fmt(out, "  %-10s %s\n", c->name, c->help);
}

void usage_of_tool(struct text *out, const struct cli_tool *t)
{
	text_fmt(out, "usage: %s COMMAND [ARGUMENTS]\n%s\n\n", t->name, t->help);
	put_verbs(out, t->cmds);
	put_verbs(out, usage_own);
	text_fmt(out, "\n%s", t->exit_text);
}

void usage_line(struct text *out, const struct cli_tool *t, const struct cli_cmd *c)
{
	text_fmt(out, "usage: %s %s %s%s\n", t->name, c->name, c->args,
		c->opts ? " [OPTIONS]" : "");
}

void usage_names(struct text *out, const struct cli_opt *o)
{
	if (o->letter)
		text_fmt(out, "-%c, ", o->letter);
	if (o->kind == CLI_THREADS)
		text_str(out, "-@, ");
	text_fmt(out, "--%s", o->name);
}

void usage_of_verb(struct text *out, const struct cli_tool *t, const struct cli_cmd *c)
{
	const struct cli_opt *o;
	struct text left = { 0 };

	usage_line(out, t, c);
	text_fmt(out, "%s\n", c->help);
	if (c->more)
		text_fmt(out, "\n%s", c->more);
	if (c->opts)
		text_str(out, "\n");
	for (o = c->opts; o && o->name; o++) {
		left.n = 0;
		if (!o->letter)
			text_str(&left, "    ");
		usage_names(&left, o);
		if (o->arg)
			text_fmt(&left, " %s", o->arg);
		text_fmt(out, "  %-28s %s\n", left.failed ? o->name : left.s, o->help);
	}
	text_free(&left);
	text_fmt(out, "\n%s", t->exit_text);
}
