/* SPDX-License-Identifier: MIT */
#include "verify/sign/provenance.h"

#include "formats/json/jwrite.h"
#include "verify/sign/statement.h"

#include <string.h>

/* Names, nothing lies there: what was done, and that it was done by whoever ran the tool. */
#define BUILD_TYPE STATEMENT_CONVERSION
#define BUILDER "https://dsv4-tools/builder/self"

/* A resource descriptor with a name and a digest. */
static void put_resource(struct jwrite *o, const char *name, const uint8_t sha256[32])
{
	jwrite_open(o, NULL, '{');
	jwrite_open(o, "digest", '{');
	jwrite_hex(o, "sha256", sha256, 32);
	jwrite_close(o, '}');
	jwrite_str(o, "name", name);
	jwrite_close(o, '}');
}

static void put_definition(struct jwrite *o, const struct lineage *l)
{
	size_t i;

	jwrite_open(o, "buildDefinition", '{');
	jwrite_str(o, "buildType", BUILD_TYPE);
	jwrite_open(o, "externalParameters", '{');
	if (l->options.n) /* as it stands in the manifest, which is JSON already */
		jwrite_raw(o, "options", l->options.s, l->options.n);
	jwrite_str(o, "target", l->target);
	jwrite_close(o, '}');
	jwrite_open(o, "internalParameters", '{');
	jwrite_str(o, "format", l->format);
	jwrite_str(o, "plan", l->plan);
	jwrite_str(o, "source", l->verified ? "verified" : "unverified");
	jwrite_close(o, '}');
	jwrite_open(o, "resolvedDependencies", '[');
	for (i = 0; i < l->shards.n; i++)
		put_resource(o, l->shards.v[i].name, l->shards.v[i].sha256);
	jwrite_close(o, ']');
	jwrite_close(o, '}');
}

/* "dsv4-convert 0.1.0" as the version of a component. */
static void put_tool(struct jwrite *o, const char *tool)
{
	const char *space = strrchr(tool, ' ');
	char name[128] = "";

	memcpy(name, tool, space ? (size_t)(space - tool) : 0);
	jwrite_open(o, "version", '{');
	if (name[0])
		jwrite_str(o, name, space + 1);
	jwrite_close(o, '}');
}

int provenance_put(struct text *out, const char *subject, const struct tree *files,
	const struct lineage *l, struct err *e)
{
	struct jwrite o;
	uint8_t root[32];
	size_t i;

	for (i = 0; i < l->shards.n; i++)
		if (!l->shards.v[i].hashed)
			return err_rule(e, RULE_SIG_NO_SOURCE, ERR_NOPOS,
				"the manifest does not say what SHA-256 %s had, and a dependency without one "
				"names nothing",
				text_quote(l->shards.v[i].name).s);
	if (statement_root(files, root, e))
		return -1;
	jwrite_begin(&o, out, 4);
	jwrite_open(&o, NULL, '{');
	jwrite_str(&o, "_type", STATEMENT_TYPE);
	jwrite_open(&o, "predicate", '{');
	put_definition(&o, l);
	jwrite_open(&o, "runDetails", '{');
	jwrite_open(&o, "builder", '{');
	jwrite_str(&o, "id", BUILDER);
	put_tool(&o, l->tool);
	jwrite_close(&o, '}');
	jwrite_close(&o, '}');
	jwrite_close(&o, '}');
	jwrite_str(&o, "predicateType", PROVENANCE_TYPE);
	jwrite_open(&o, "subject", '[');
	put_resource(&o, subject, root);
	jwrite_close(&o, ']');
	jwrite_close(&o, '}');
	return out->failed ? err_nomem(e) : 0;
}
