/* main.c -- dsv4-verify: its commands, their options, and nothing else.
 *
 * SPDX-License-Identifier: MIT */
#include "core/cli.h"
#include "core/cpu.h"
#include "core/version.h"
#include "formats/rule.h"

#include <jansson.h>
#include <openssl/crypto.h>
#include <unistd.h>
#include <xxhash.h>

#define TOOL "dsv4-verify " DSV4_VERSION

struct opts {
	bool json;
};

static void defaults(void *p)
{
	(void)p;
}

/* Prints and frees. */
static int print(struct text *t, struct err *e)
{
	int rc = 0;

	if (t->failed)
		rc = err_nomem(e);
	else if (t->n)
		fwrite(t->s, 1, t->n, stdout); /* cli_main looks at stdout */
	text_free(t);
	return rc;
}

static int run_rules(void *opts, int n, char **args, struct err *e)
{
	const struct opts *o = opts;
	struct text t = { 0 };

	(void)n, (void)args;
	(o->json ? rule_put_json : rule_put_text)(&t);
	return print(&t, e);
}

static void version(FILE *out)
{
	fprintf(out, "%s\n", TOOL);
	fprintf(out, "compiler: %s\n", __VERSION__);
	fprintf(out, "libraries: %s, jansson %s, xxHash %u\n", OpenSSL_version(OPENSSL_VERSION),
		jansson_version_str(), XXH_versionNumber());
}

/* clang-format off */
#define AT(field) offsetof(struct opts, field)
#define JSON_OPT { "json", 0, NULL, CLI_FLAG, 0, 0, AT(json), "print one JSON document" }

static const struct cli_opt table_opts[] = { JSON_OPT, { 0 } };

static const struct cli_cmd cmds[] = {
	{ "rules", "", "list the rules that findings and errors name, with exit status", NULL, table_opts, 0, 0, run_rules },
	{ 0 },
};
/* clang-format on */

int main(int argc, char **argv)
{
	static const struct cli_tool tool = { .name = "dsv4-verify",
		.help = "Tells whether checkpoints and converted folders are what they should be.",
		.cmds = cmds,
		.opts_size = sizeof(struct opts),
		.defaults = defaults,
		.version = version,
		.exit_text =
			"exit status: 0 looked and true; 1 looked and found it false; 2 wrong call, or "
			"could not tell\n" };

	return cli_main(&tool, argc, argv);
}
