/* SPDX-License-Identifier: MIT */
#include "core/cli/manual.h"

#include "core/cli/complete.h"
#include "core/cli/usage.h"
#include "core/version.h"

#include <string.h>

/* --- roff --- */

/* Text as roff takes it: backslashes, leading dots and hyphens of options. */
static void put_roff(struct text *out, const char *s)
{
	bool first = true;

	for (; *s; s++) {
		if (first && (*s == '.' || *s == '\''))
			text_str(out, "\\&");
		if (*s == '\\')
			text_str(out, "\\e");
		else if (*s == '-')
			text_str(out, "\\-");
		else
			text_put(out, s, 1);
		first = *s == '\n';
	}
}

/* Paragraphs with empty lines between them; a line that begins with two blanks stays a line. */
static void put_paragraphs(struct text *out, const char *s)
{
	struct text line = { 0 };
	size_t n;

	for (; *s; s += n + (s[n] == '\n')) {
		n = strcspn(s, "\n");
		line.n = 0;
		text_put(&line, s, n);
		if (line.failed)
			break;
		if (!n)
			text_str(out, ".PP");
		else if (!strncmp(line.s, "  ", 2))
			text_str(out, ".nf\n");
		put_roff(out, line.s);
		text_str(out, !strncmp(line.s, "  ", 2) ? "\n.fi\n" : "\n");
	}
	text_free(&line);
}

static void put_section(struct text *out, const char *title, const char *s)
{
	if (!s)
		return;
	text_fmt(out, ".SH %s\n", title);
	put_paragraphs(out, s);
}

static void put_man_opt(struct text *out, const struct cli_opt *o)
{
	struct text names = { 0 };

	text_str(out, ".TP\n.B ");
	usage_names(&names, o);
	if (!names.failed)
		put_roff(out, names.s);
	text_free(&names);
	if (o->arg) {
		text_str(out, " ");
		put_roff(out, o->arg);
	}
	text_str(out, "\n");
	put_roff(out, o->help);
	text_str(out, "\n");
}

static void put_man_cmd(struct text *out, const struct cli_tool *t, const struct cli_cmd *c)
{
	const struct cli_opt *o;

	text_fmt(out, ".SS ");
	put_roff(out, c->name);
	text_fmt(out, "\n.B ");
	put_roff(out, t->name);
	text_str(out, " ");
	put_roff(out, c->name);
	text_str(out, "\n");
	put_roff(out, c->args);
	text_fmt(out, "%s\n.PP\n", c->opts ? " [OPTIONS]" : "");
	put_roff(out, c->help);
	text_str(out, ".\n");
	if (c->more) {
		text_str(out, ".PP\n");
		put_roff(out, c->more);
	}
	for (o = c->opts; o && o->name; o++)
		put_man_opt(out, o);
}

/* Of every program: core/cpu.h, and what options mean wherever they are. */
static const char options[] =
	"Every command takes \\-h, \\-\\-help and \\-V, \\-\\-version. A value stands behind its option, as \\-\\-threads 4, "
	"\\-\\-threads=4, \\-j 4 or \\-j4; flags of one letter may be written together, as \\-qj4. Sizes are bytes, or have a "
	"unit: 128M and 128MiB are 2^20 bytes each, 128MB are 10^6; K, M, G, T and P are known. 0 threads are as many as the "
	"processors that the process may use.\n";
static const char environment[] =
	"DSV4_CPU leaves out fast paths: plain leaves out all of them, avx2 those with AVX-512. The results are the same. "
	"Any other value is refused.\n";

static void put_man(struct text *out, const struct cli_tool *t)
{
	const struct cli_cmd *c;

	text_fmt(out, ".TH \"%s\" 1 \"\" \"%s\" \"\"\n.SH NAME\n", t->name, DSV4_VERSION);
	put_roff(out, t->name);
	text_str(out, " \\- ");
	put_roff(out, t->help);
	text_str(out, "\n.SH SYNOPSIS\n.B ");
	put_roff(out, t->name);
	text_str(out, "\nCOMMAND [ARGUMENTS]\n.SH COMMANDS\n");
	for (c = t->cmds; c->name; c++)
		put_man_cmd(out, t, c);
	for (c = usage_own; c->name; c++)
		put_man_cmd(out, t, c);
	text_fmt(out, ".SH OPTIONS\n%s", options);
	put_section(out, "EXAMPLES", t->examples);
	text_fmt(out, ".SH ENVIRONMENT\n%s", environment);
	put_section(out, "FILES", t->files);
	put_section(out, "EXIT STATUS", t->exit_text + strcspn(t->exit_text, "0"));
	put_section(out, "SEE ALSO", t->see_also);
}

const struct manual_form manual_forms[] = {
	{ "man", put_man },
	{ "bash", complete_bash },
	{ "zsh", complete_zsh },
	{ "fish", complete_fish },
	{ 0 },
};
