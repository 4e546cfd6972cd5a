/* test_family_golden.c -- small members of the family that V4's golden folders are not of: for every target that takes them the
 * digests of all files of weights, the conversion held to its source, and the way back, byte for byte.
 *
 * tests/vectors/family.txt has a line for each: member, tool, options, and the SHA-256 of what the run prints, which is a line
 * of digest and name for each file of weights. Options that begin with the word slice are those of that verb, and of no run. WRITE=FILE writes the file anew.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/ck.h"
#include "tests/shell.h"

/* V4.1 with experts as wide as layouts of every engine take them. */
static struct path wide_config(void)
{
	struct path p = dirs_path("wide.json");
	json_t *o = json_load_file("tests/configs/small-v41.json", 0, NULL);

	json_object_set_new(json_object_get(o, "text_config"), "moe_intermediate_size",
		json_integer(256));
	CHECK(o && !json_dump_file(o, p.s, 0));
	json_decref(o);
	return p;
}

static struct path model(const char *member)
{
	struct path p = dirs_path(member), config = { "" };
	char args[1800];

	if (is_file(p.s))
		return p;
	if (!strcmp(member, "wide-v41"))
		config = wide_config();
	else
		snprintf(config.s, sizeof config.s, "tests/configs/small-%s.json", member);
	snprintf(args, sizeof args, "%s --config %s --seed 5", p.s, config.s);
	CHECK_IN(member, !model_tool("mkmodel", args));
	return p;
}

/* Every file of weights, and the small files that describe them, has the bytes of the source. */
static bool comes_back(const char *source, const char *back)
{
	struct dirent **d;
	int n = scandir(source, &d, NULL, alphasort), i;
	char a[65], b[65];
	bool same = n > 4;

	for (i = 0; i < n; i++) {
		if (d[i]->d_name[0] != '.') {
			digest_file(model_file(source, d[i]->d_name).s, a);
			digest_file(model_file(back, d[i]->d_name).s, b);
			same = same && !strcmp(a, b);
		}
		free(d[i]);
	}
	free(d);
	return same;
}

static void one(const char *member, const char *tool, const char *options, char digest[65])
{
	struct path m = model(member), out = dirs_path("out"), back = dirs_path("back");
	bool slice = !strncmp(options, "slice", 5);
	char what[400];

	snprintf(what, sizeof what, "%s %s %s", member, tool, options);
	dirs_remove(out.s);
	dirs_remove(back.s);
	CHECK_IN(what,
		slice ? ends(0, NULL, tool, "slice %s -o %s %s", m.s, out.s, options + 5)
		      : ends(0, NULL, tool, "run %s -o %s %s", m.s, out.s, options));
	digest_file(out_file.s, digest);
	CHECK_IN(what, ends(0, "compare: true", "dsv4-verify", "compare %s %s", m.s, out.s));
	if (slice) { /* there is no way back: it is a model of its own */
		CHECK_IN(what, ends(0, "doctor: true", "dsv4-verify", "doctor %s", out.s));
		return;
	}
	if (strstr(options, "--to engram-")) { /* rounded */
		CHECK_IN(what, ends(2, "set.not-kept", tool, "restore %s -o %s -q", out.s, back.s));
		return;
	}
	CHECK_IN(what, ends(0, NULL, tool, "restore %s -o %s -q", out.s, back.s));
	CHECK_IN(what, comes_back(m.s, back.s));
}

static void golden(void)
{
	FILE *f = fopen("tests/vectors/family.txt", "r"),
	     *to = getenv("WRITE") ? fopen(getenv("WRITE"), "w") : NULL;
	char line[500], member[32], tool[32], options[300], want[65], got[65];
	unsigned n = 0;

	CHECK(f);
	while (f && fgets(line, sizeof line, f)) {
		if (line[0] == '#' ||
			sscanf(line, "%31s %31s %64s %299[^\n]", member, tool, want, options) !=
				4) {
			if (to)
				fputs(line, to);
			continue;
		}
		one(member, tool, options, got);
		if (to)
			fprintf(to, "%s %s %s %s\n", member, tool, got, options);
		else
			CHECK_IN(line, !strcmp(got, want));
		n++;
	}
	CHECK(n > 30);
	if (to)
		fclose(to);
	if (f)
		fclose(f);
}

static const struct test tests[] = { { "family: golden", golden }, { NULL, NULL } };
TEST_MAIN(tests)
