/* test_cli.c -- dsv4-convert as a script sees it: exit status, what goes to stdout and what to
 * stderr, JSON that parses, digests that sha256sum accepts.
 *
 * SPDX-License-Identifier: MIT */
#include "tests/shell.h"

#include <sched.h>

#define PRO "tests/golden/tiny-pro"

static int sh(const char *args)
{
	return shell("dsv4-convert", args);
}

/* clang-format off */
static const struct {
	const char *args;
	int status;
	const char *out, *err; /* must be in it; "" means: nothing at all; NULL: anything */
} calls[] = {
	{ "", 2, "", "try: dsv4-convert help" },
	{ "help", 0, "usage: dsv4-convert COMMAND", "" },
	{ "--help", 0, "exit status: 0 done and true", "" },
	{ "help plan", 0, "usage: dsv4-convert plan DIR -o OUT --target T", "" },
	{ "run -h", 0, "--source-sha256", "" },
	{ "version", 0, "dsv4-convert 0.", "" },
	{ "nosuch", 2, "", "no command nosuch. There are: inspect plan run" },
	{ "inspct", 2, "", "no command inspct. Did you mean inspect? There are" },
	{ "help inspct", 2, "", "Did you mean inspect?" },
	{ "-V", 0, "dsv4-convert 0.", "" },
	{ "--version", 0, "processors that it may use", "" },
	{ "run -V", 0, "dsv4-convert 0.", "" },
	{ "version --json", 0, "\"format\": \"dsv4-version-1\"", "" },
	{ "version --nosuch", 2, "", "version takes no --nosuch; there is: --json" },
	{ "inspect --jsn x", 2, "", "no option --jsn. Did you mean --json? There are: " },
	{ "inspect --overwrite x", 2, "", "no option --overwrite here; it belongs to: plan run" },
	{ "inspect -q x", 2, "", "no option -q here; it belongs to: plan run" },
	{ "inspect -x x", 2, "", "no option -x. There are" },
	{ "inspect --json=yes x", 2, "", "--json takes no value" },
	{ "inspect a b", 2, "", "b is one argument too many: it takes DIR" },
	{ "plan x --mp", 2, "", "--mp needs a value: N" },
	{ "plan " PRO " -o /tmp/x --target hf --experts fp6", 2, "", "\"fp6\" is none of fp4|fp8. Did you mean fp" },
	{ "plan " PRO " -o /tmp/x --target offical", 2, "", "no target offical. Did you mean official? There are: official hf" },
	{ "plan " PRO " -o /tmp/x --target marlin-mxfp --ranks 2", 2, "", "Did you mean marlin-mxfp4?" },
	{ "plan " PRO " -o /tmp/x --target marlin-mxfp4 --mp 2", 2, "", "--mp belongs to --target official; engines have --ranks" },
	{ "plan " PRO " -o /tmp/x --target official --ranks 2", 2, "", "official has --mp" },
	{ "run " PRO " -qj4 -o " PRO "/x --target official", 2, "", "out.nested" },
	{ "run " PRO " -qj 4 -o " PRO "/x --target official", 2, "", "out.nested" },
	{ "run " PRO " -q@4 -o" PRO "/x --target official", 2, "", "out.nested" },
	{ "run " PRO " -j0 -o " PRO "/x --target official", 2, "", "out.nested" },
	{ "run " PRO " -@ 0 -o " PRO "/x --target official", 2, "", "out.nested" },
	{ "run " PRO " -jx -o " PRO "/x --target official", 2, "", "\"x\" is not a number from 0 to 1024" },
	{ "run " PRO " -qh", 0, "-j, -@, --threads N", "" },
	{ "plan " PRO " -o /tmp/x --target official --max-memory 64MiB", 0, "unexplained", "" },
	{ "plan " PRO " -o /tmp/x --target official --max-memory 1g", 0, "unexplained", "" },
	{ "plan " PRO " -o /tmp/x --target official --max-memory 64mx", 2, "", "\"64mx\" is not a size" },
	{ "inspect -- -x", 2, "", "-x" },
	{ "inspect", 2, "", "usage: dsv4-convert inspect DIR" },
	{ "inspect " PRO, 0, "295 tensors in 6 shards, 5,155,970 bytes", "" },
	{ "inspect " PRO " --json", 0, "\"tensors\": 295", "" },
	{ "inspect /nonexistent", 2, "", "cannot open folder /nonexistent: No such file or directory" },
	{ "inspect tests", 1, "config.missing", "2 findings" },
	{ "run tests -o /tmp/x --target hf", 1, "", "config.missing: tests: " },
	{ "inspect tests --json", 1, "ckpt.empty", "2 findings" },
	{ "inspect " PRO " --max-header 100", 1, "st.header-cap", NULL },
	{ "rules", 0, "st.name-twice                1    data", "" },
	{ "roles", 0, "attn.wo_b.weight                       FP8     D,G*R                  columns", "" },
	{ "roles", 0, "engram.embed.weight                    table   ER,EH", "" },
	{ "plan " PRO, 2, "", "-o says where to write" },
	{ "plan " PRO " -o /tmp/x", 2, "", "--target says what to make" },
	{ "plan " PRO " -o /tmp/x --target hf --mp 2", 2, "", "--mp belongs to" },
	{ "plan " PRO " -o /tmp/x --target official --shard-size 1G", 2, "", "--shard-size belongs to" },
	{ "plan " PRO " -o /tmp/x --target official --mp 4", 2, "", "plan.split: --mp 4: tensor layers.0" },
	{ "plan " PRO " -o /tmp/x --target official --mp 2", 0, "unexplained                                      0", "" },
	{ "plan " PRO " -o /tmp/x --target official --mp 2 --json", 0, "\"unexplained\": {\"bytes\": 0, \"tensors\": 0}", "" },
	{ "plan " PRO " -o /tmp/x --target hf --tensors", 0, "copied\tnorm.weight", "" },
	{ "plan " PRO " -o /tmp/x --target hf --layers 1", 0, "left out", "" },
	{ "plan " PRO " -o /tmp/x --target official --max-memory 1K", 2, "", "plan.memory" },
	{ "plan " PRO " -o " PRO "/x --target official", 2, "", "out.nested" },
	{ "plan " PRO " -o tests/configs --target official", 2, "", "out.foreign" },
	{ "run " PRO " -o " PRO "/x --target official", 2, "", "out.nested" },
	{ "run " PRO " -o " PRO " --target official", 2, "", "out.nested" },
	{ "run " PRO " -o tests --target official", 2, "", "out.nested" },
	{ "run " PRO " -o tests/configs --target official", 2, "", "out.foreign" },
};
/* clang-format on */

static void all_calls(void)
{
	size_t i;
	int rc;

	for (i = 0; i < sizeof calls / sizeof *calls; i++) {
		rc = sh(calls[i].args);
		CHECK_IN(calls[i].args, rc == calls[i].status);
		CHECK_IN(calls[i].args, !calls[i].out || holds(out_file.s, calls[i].out));
		CHECK_IN(calls[i].args, !calls[i].err || holds(err_file.s, calls[i].err));
	}
	CHECK(!is_file(PRO "/x"));
}

/* How many processors there are depends on what the process may use. */
static void affinity(void)
{
	cpu_set_t was, one;
	size_t i;

	CHECK(!sched_getaffinity(0, sizeof was, &was));
	for (i = 0; !CPU_ISSET(i, &was);)
		i++;
	CPU_ZERO(&one);
	CPU_SET(i, &one);
	CHECK(!sched_setaffinity(0, sizeof one, &one));
	CHECK(sh("version --json") == 0 && holds(out_file.s, "\"processors\": 1,"));
	dirs_remove(dirs_path("o").s);
	CHECK(!sched_setaffinity(0, sizeof was, &was));
}

/* A word in DSV4_CPU that is not known stops every call. */
static void cpu_word(void)
{
	setenv("DSV4_CPU", "plian", 1);
	CHECK(sh("rules") == 2 && holds(out_file.s, "") && holds(err_file.s, "DSV4_CPU=plian"));
	CHECK(sh("inspect --json " PRO) == 2 && holds(out_file.s, "DSV4_CPU=plian"));
	setenv("DSV4_CPU", "plain", 1);
	CHECK(sh("version") == 0 && holds(out_file.s, "processor: no fast paths"));
	unsetenv("DSV4_CPU");
}

/* What stands on stdout comes before what stderr says, where both are one file. */
static void in_order(void)
{
	const char *b = getenv("B");
	char line[900], *s;
	size_t n;

	snprintf(line, sizeof line, "%s/dsv4-convert inspect tests >%s 2>&1",
		b ? b : "build/gcc-opt", dirs_path("both").s);
	CHECK(WEXITSTATUS(system(line)) == 1);
	s = (char *)file_get_all(dirs_path("both").s, &n);
	CHECK(s && n > 9 && !strncmp(s, "tests", 5));
	if (s)
		s[n] = 0;
	CHECK(s && strstr(s, "dsv4-convert inspect: tests: 2 findings\n"));
	free(s);
}

static void json_parses(void)
{
	static const char *const call[] = { "rules --json", "roles --json",
		"inspect " PRO " --json", "inspect tests --json",
		"plan " PRO " -o /tmp/x --target hf --json --tensors",
		"run " PRO " -o OUT --target official --mp 2 --json -q" };
	static const char *const format[] = { "dsv4-rules-1", "dsv4-roles-1", "dsv4-inspect-1",
		"dsv4-inspect-1", "dsv4-plan-json-1", "dsv4-run-1" };
	struct path out = dirs_path("o");
	char args[700], *at;
	json_error_t je;
	json_t *o;
	size_t i;

	for (i = 0; i < sizeof call / sizeof *call; i++) {
		snprintf(args, sizeof args, "%s", call[i]);
		at = strstr(args, "OUT");
		if (at) {
			dirs_remove(out.s);
			snprintf(at, sizeof args - (size_t)(at - args), "%s %s", out.s,
				strstr(call[i], "OUT") + 3);
		}
		sh(args);
		o = json_load_file(out_file.s, JSON_REJECT_DUPLICATES, &je);
		CHECK_IN(call[i], o);
		CHECK_IN(call[i],
			o && !strcmp(json_string_value(json_object_get(o, "format")), format[i]));
		json_decref(o);
	}
}

/* Keys of every object in a document come in byte order. */
static bool sorted(const char *file)
{
	json_error_t je;
	json_t *o = json_load_file(file, JSON_REJECT_DUPLICATES, &je), *p;
	char *compact, *in_order;
	bool same;

	if (!o)
		return false;
	p = json_deep_copy(o);
	compact = json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER);
	in_order = json_dumps(p, JSON_COMPACT | JSON_SORT_KEYS);
	same = !strcmp(compact, in_order);
	free(compact);
	free(in_order);
	json_decref(o);
	json_decref(p);
	return same;
}

static void manifests_sorted(void)
{
	struct path out = dirs_path("o");
	char args[700];

	dirs_remove(out.s);
	snprintf(args, sizeof args, "run %s -o %s --target official --mp 2 --experts fp8", PRO,
		out.s);
	CHECK(sh(args) == 0);
	CHECK(holds(err_file.s, "2 files made") && holds(err_file.s, "exact"));
	CHECK(sorted(model_file(out.s, "manifest.json").s));
	CHECK(sorted(model_file(out.s, "model0-mp2.safetensors.manifest.json").s));
	CHECK(!holds(model_file(out.s, "manifest.json").s, out.s));
	CHECK(!holds(model_file(out.s, "manifest.json").s, PRO));
	/* quiet means quiet */
	snprintf(args, sizeof args, "run %s -o %s --target official --mp 2 --experts fp8 -q", PRO,
		out.s);
	CHECK(sh(args) == 0 && holds(err_file.s, ""));
}

/* stdout of run is what sha256sum reads. */
static void digests_check(void)
{
	struct path out = dirs_path("o");
	char args[2000];

	dirs_remove(out.s);
	snprintf(args, sizeof args, "run %s -o %s --target hf -q", PRO, out.s);
	CHECK(sh(args) == 0);
	snprintf(args, sizeof args, "cd %s && sha256sum --strict -c %s >/dev/null", out.s,
		out_file.s);
	CHECK(system(args) == 0);
	snprintf(args, sizeof args, "run %s -o %s --target hf -q --source-sha256 %s", PRO,
		dirs_path("o2").s, dirs_path("list").s);
	CHECK(!rename(out_file.s, dirs_path("list").s));
	CHECK(sh(args) == 0 &&
		holds(model_file(dirs_path("o2").s, "manifest.json").s, "\"verified\""));
}

static void full_stdout(void)
{
	const char *b = getenv("B");
	char line[900];
	int rc;

	snprintf(line, sizeof line, "%s/dsv4-convert inspect %s >/dev/full 2>%s",
		b ? b : "build/gcc-opt", PRO, dirs_path("e").s);
	rc = system(line);
	CHECK(WIFEXITED(rc) && WEXITSTATUS(rc) == 2 &&
		holds(dirs_path("e").s, "cannot write to stdout"));
}

/* Inputs may be read-only, in a folder that is. */
static void read_only_input(void)
{
	struct path in = dirs_new("ro"), out = dirs_path("o");
	char args[2000];

	snprintf(args, sizeof args, "cp %s/* %s/ && chmod 444 %s/* && chmod 555 %s", PRO, in.s,
		in.s, in.s);
	CHECK(system(args) == 0);
	dirs_remove(out.s);
	snprintf(args, sizeof args, "run %s -o %s --target hf -q", in.s, out.s);
	CHECK(sh(args) == 0);
	snprintf(args, sizeof args, "chmod 755 %s", in.s);
	CHECK(system(args) == 0);
}

static const struct test tests[] = { { "all_calls", all_calls }, { "json_parses", json_parses },
	{ "manifests_sorted", manifests_sorted }, { "digests_check", digests_check },
	{ "full_stdout", full_stdout }, { "affinity", affinity }, { "cpu_word", cpu_word },
	{ "in_order", in_order }, { "read_only_input", read_only_input }, { 0 } };
TEST_MAIN(tests)
